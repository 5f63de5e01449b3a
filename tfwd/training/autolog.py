"""One MLflow run per training, when MLflow's autologging for Keras is on.

MLflow creates a run for every call of `keras.Model.fit`, and a training makes one such call per evaluation. It is kept
out of these calls, and what it would have logged is logged here.
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

# The names that MLflow gives to what it logs for Keras, under either of its two switches.
_INTEGRATIONS = ("keras", "tensorflow")
# MLflow refuses longer values, and more parameters at a time.
_LONGEST, _MOST = 500, 100


@contextlib.contextmanager
def autologged(run: Run) -> Iterator[list[keras.callbacks.Callback]]:
    """Opens an MLflow run with the configuration as its parameters, and yields callbacks that log to it.

    It is the active run if there is one, and otherwise a new one that ends with the training. At the end the exact
    metrics of `metrics.json` are logged, for example as `test_auc`. Nothing happens if MLflow was not imported, or if
    its autologging for Keras is off.

    Args:
        run: the run that is trained.
    """
    mlflow: Any = sys.modules.get("mlflow")
    if mlflow is None or not _is_on():
        yield []
        return
    from mlflow.utils.autologging_utils import disable_autologging  # type: ignore[import-not-found, unused-ignore]

    active = mlflow.active_run()
    with disable_autologging(), contextlib.nullcontext(active) if active else mlflow.start_run():
        if not active:
            # A second training could not change the parameters of a run that already has them.
            parameters = list(_flat(run.config.model_dump(mode="json", exclude_unset=True)).items())
            for start in range(0, len(parameters), _MOST):
                mlflow.log_params(dict(parameters[start : start + _MOST]))
        mlflow.set_tag("tfwd.run", str(run.path.absolute()))
        yield [_Metrics(mlflow)]
        final = {f"{split}_{name}": value for split, found in run.metrics.items() for name, value in found.items()}
        mlflow.log_metrics(_finite(final))


def _is_on() -> bool:
    utils: Any = sys.modules.get("mlflow.utils.autologging_utils")
    return utils is not None and any(
        name in utils.AUTOLOGGING_INTEGRATIONS and not utils.autologging_is_disabled(name) for name in _INTEGRATIONS
    )


class _Metrics(keras.callbacks.Callback):
    """Logs the metrics of an evaluation under its number, counted from 0, as MLflow does."""

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
    """A configuration's values by their paths; a list, such as the features, becomes one string."""
    made: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            made |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            made[prefix + key] = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return made
