"""Turns Keras optimizers passed to `fit` into configuration, so that a run can be repeated and resumed from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfwd.config.config import Config
from tfwd.config.optimizers import KERAS_SCHEDULES
from tfwd.errors import ConfigError
from tfwd.optimizers.registry import names_of_classes
from tfwd.optimizers.schedule import WarmupDecay
from tfwd.utils.naming import nearest

# Only has an effect with `use_ema`, which is refused.
_WITHOUT_EFFECT = ("name", "ema_momentum", "ema_overwrite_frequency")


def with_optimizers(config: Config, optimizers: Mapping[str, keras.optimizers.Optimizer]) -> Config:
    """Returns the configuration with the heads' optimizers replaced.

    Args:
        config: the configuration.
        optimizers: for `wide`, `deep` or both, a new optimizer: one of tfwd's, or a Keras optimizer whose method tfwd
            has, which then trains with tfwd's row-sparse form of it.

    Returns:
        A configuration that declares all of them, including options and schedules.

    Raises:
        ConfigError: there is no such head, tfwd lacks the method or its schedule, an option would make the update
            dense, or the optimizer has already trained something.
    """
    changes = {}
    for head, optimizer in optimizers.items():
        if head not in ("wide", "deep"):
            raise ConfigError(f"optimizers: there is no head {head!r}.{nearest(head, ['wide', 'deep'])}")
        if head not in config.model.heads:
            raise ConfigError(f"optimizers: the model has no {head} head, see model.heads.")
        changes[f"train__{head}_optimizer"] = section_of(optimizer, f"optimizers[{head!r}]")
    return config.replace(**changes) if changes else config


def section_of(optimizer: Any, where: str) -> dict[str, Any]:
    """Returns the section of a configuration that makes an equal optimizer.

    Args:
        optimizer: an optimizer from Keras or tfwd.
        where: the place named in messages.
    """
    known = names_of_classes()
    name = known.get(type(optimizer))
    if name is None:
        offered = ", ".join(sorted(cls.__name__ for cls in known))
        raise ConfigError(
            f"{where}: expected an optimizer whose method also exists in a form that updates only the rows of a batch: "
            f"{offered}. Give any other to the `compile` of your own model. Received: a {type(optimizer).__name__}"
        )
    if int(optimizer.iterations.numpy()):
        raise ConfigError(
            f"{where}: expected a new optimizer. Received one that has made {int(optimizer.iterations.numpy())} steps."
        )
    rate = _rate(optimizer._learning_rate, where)
    options = {key: value for key, value in optimizer.get_config().items() if key not in _WITHOUT_EFFECT}
    # Unset options are left out, so that messages are only about options that were set.
    options = {key: _plain(value) for key, value in options.items() if value is not None and value is not False}
    return {"name": name, **options, "learning_rate": rate}


def _rate(rate: Any, where: str) -> Any:
    if isinstance(rate, WarmupDecay):
        return rate.get_config()
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        kind = type(rate).__name__
        if kind not in KERAS_SCHEDULES or type(rate) is not getattr(keras.optimizers.schedules, kind):
            raise ConfigError(
                f"{where}: expected a number or one of Keras' own schedules ({', '.join(KERAS_SCHEDULES)}) as its "
                f"learning rate. Received: {rate!r}"
            )
        given = {key: value for key, value in rate.get_config().items() if key != "name" and value is not None}
        return {"keras": kind, **{key: _plain(value) for key, value in given.items()}}
    if callable(rate) and not hasattr(rate, "numpy"):
        raise ConfigError(f"{where}: expected a number or a schedule as its learning rate. Received: {rate!r}")
    # Keras holds it in float32: the given number is the shortest decimal that rounds to it.
    return float(str(np.float32(rate.numpy())))


def _plain(value: Any) -> Any:
    """Turns NumPy's numbers and arrays into Python's."""
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
