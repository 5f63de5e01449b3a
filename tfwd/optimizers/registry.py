"""Optimizers by name, as in a configuration file."""

from __future__ import annotations

from typing import Any

import keras

from tfwd.config.optimizers import SLOTS, unfit
from tfwd.errors import ConfigError
from tfwd.optimizers.dense import DenseAdam, DenseFtrl
from tfwd.optimizers.lazy_adam import LazyAdam
from tfwd.optimizers.sparse import RowSparseUpdates
from tfwd.optimizers.sparse_adagrad import SparseAdagrad
from tfwd.optimizers.sparse_ftrl import SparseFtrl
from tfwd.optimizers.sparse_rmsprop import SparseRmsprop
from tfwd.optimizers.sparse_sgd import SparseSgd
from tfwd.utils.naming import nearest

_BY_NAME: dict[str, type[keras.optimizers.Optimizer]] = {
    "sparse_ftrl": SparseFtrl,
    "lazy_adam": LazyAdam,
    "adagrad": SparseAdagrad,
    "rmsprop": SparseRmsprop,
    "sgd": SparseSgd,
    "ftrl": DenseFtrl,
    "adam": DenseAdam,
}


def get(name: str, **options: Any) -> keras.optimizers.Optimizer:
    """Makes an optimizer by name.

    Args:
        name: Row-sparse: "sparse_ftrl", "lazy_adam", "adagrad", "rmsprop", "sgd". Dense, a pass over every
            table per step: "ftrl", "adam".
        **options: The constructor's arguments. `learning_rate` is a number or a
            `keras.optimizers.schedules.LearningRateSchedule`.

    Returns:
        The optimizer, not built yet.

    Raises:
        ConfigError: If the name, an option or its value is invalid.

    Example:
        >>> get("sparse_ftrl", l1_regularization_strength=0.01).kernel
        'auto'
    """
    if name not in _BY_NAME:
        raise ConfigError(f"There is no optimizer {name!r}.{nearest(name, _BY_NAME)}")
    chosen = _BY_NAME[name]
    found = unfit(name, {option: value for option, value in options.items() if option != "learning_rate"})
    if found is not None:
        option, text = found
        raise ConfigError(f"Optimizer {name!r}: {option}: {text}")
    rate = options.get("learning_rate")
    if isinstance(rate, int) and not isinstance(rate, bool):
        options["learning_rate"] = float(rate)
    try:
        return chosen(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Optimizer {name!r} cannot be made from {options}: {error}") from error


def names_of_classes() -> dict[type[keras.optimizers.Optimizer], str]:
    """Returns the name of each class; for Keras' own classes, that of their row-sparse form."""
    own = {chosen: name for name, chosen in _BY_NAME.items()}
    sparse = [chosen for chosen in own if issubclass(chosen, RowSparseUpdates)]
    return {**own, **{_method(chosen): own[chosen] for chosen in sparse}}


def method_of(optimizer: keras.optimizers.Optimizer) -> type[keras.optimizers.Optimizer]:
    """Returns Keras' class of an optimizer's method: `keras.optimizers.Ftrl` for each FTRL of tfwd."""
    return _method(type(optimizer))


def slots_of(optimizer: keras.optimizers.Optimizer) -> tuple[str, ...]:
    """Returns the attributes of an optimizer that hold its state, each a list of one variable per weight.

    Raises:
        ConfigError: it is none of tfwd's optimizers.
    """
    name = names_of_classes().get(method_of(optimizer))
    if name is None:
        raise ConfigError(
            f"Nothing is known of the state of {type(optimizer).__name__}: tfwd.optimizers.registry has no name for "
            "its method, with which tfwd.config.optimizers.SLOTS says what it keeps."
        )
    return tuple(SLOTS[name])


def _method(chosen: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    return next(base for base in chosen.__mro__ if base.__module__.startswith("keras."))
