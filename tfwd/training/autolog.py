"""One MLflow run of a training, where MLflow's autologging for Keras is on.

MLflow makes a run of every call of `keras.Model.fit`, of which a training has one per evaluation. It is kept out of
these, and what it would have logged is logged here.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator
from typing import Any

import keras

from tfwd.run import Run

# What MLflow calls what it logs of Keras, under either of its two switches.
_INTEGRATIONS = ("keras", "tensorflow")
# MLflow refuses longer values, and more parameters at a time.
_LONGEST, _MOST = 500, 100


@contextlib.contextmanager
def autologged(run: Run) -> Iterator[list[keras.callbacks.Callback]]:
    """Inside, an MLflow run with the configuration as its parameters; callbacks that log to it are given.

    It is the active run where there is one, and otherwise a new one that ends with the training. At the end the exact
    metrics of `metrics.json` are logged, as `test_auc`. Nothing happens where MLflow was not imported, or does not log
    Keras by itself.

    Args:
        run: what is trained.
    """
    mlflow: Any = sys.modules.get("mlflow")
    if mlflow is None or not _is_on():
        yield []
        return
    from mlflow.utils.autologging_utils import disable_autologging  # type: ignore[import-not-found, unused-ignore]

    active = mlflow.active_run()
    with disable_autologging(), contextlib.nullcontext(active) if active else mlflow.start_run():
        if not active:
            # Of a run that has others', a second training could not change them.
            parameters = list(_flat(run.config.model_dump(mode="json", exclude_unset=True)).items())
            for start in range(0, len(parameters), _MOST):
                mlflow.log_params(dict(parameters[start : start + _MOST]))
        mlflow.set_tag("tfwd.run", str(run.path.absolute()))
        yield [_Metrics(mlflow)]
        final = {f"{part}_{name}": value for part, found in run.metrics.items() for name, value in found.items()}
        mlflow.log_metrics(_finite(final))


def _is_on() -> bool:
    utils: Any = sys.modules.get("mlflow.utils.autologging_utils")
    return utils is not None and any(
        name in utils.AUTOLOGGING_INTEGRATIONS and not utils.autologging_is_disabled(name) for name in _INTEGRATIONS
    )


class _Metrics(keras.callbacks.Callback):
    """Logs what an evaluation found, at the number of the evaluation from 0, as MLflow does."""

    def __init__(self, mlflow: Any) -> None:
        super().__init__()
        self._mlflow, self._evaluations = mlflow, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs."""
        self._mlflow.log_metrics(_finite(logs or {}), step=self._evaluations)
        self._evaluations += 1


def _finite(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if value is not None and math.isfinite(value)}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A configuration's sections by their paths; a list, as that of the features, is one text."""
    made: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            made |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            made[prefix + key] = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return made
