"""Checks the numbers of an optimizer that is made in Python, as a configuration's are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfwd.config.optimizers import OPTIONS, wanted
from tfwd.errors import ConfigError

_KNOWN = {option for options in OPTIONS.values() for option in options} - {"kernel"}
_TINY, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def check_options(owner: str, options: Mapping[str, Any], divides: bool = False) -> None:
    """Checks the options of an optimizer's class, both whole numbers and others.

    Args:
        owner: the class, for the message.
        options: the constructor's arguments; those that only Keras knows are left to it.
        divides: whether it divides by the learning rate, which must then be above 0.

    Raises:
        ConfigError: names the option, what it should be and what it is.
    """
    for option, given in options.items():
        value = given.item() if isinstance(given, np.generic) else given
        expected = None
        if option == "learning_rate":
            expected = _rate(value, divides)
        elif option in _KNOWN:
            expected = wanted(option, value)
        if expected is not None:
            raise ConfigError(f"{owner}: {option} is {expected}. Received: {given!r}")


def _rate(value: Any, divides: bool) -> str | None:
    if isinstance(value, bool | str):
        return "a number or a schedule"
    if not isinstance(value, int | float):
        return None  # a schedule, or a variable of Keras
    if not abs(value) <= _LARGEST:
        return "a finite float32 number"
    if divides:
        return None if value >= _TINY else "a number above 0, by which FTRL divides"
    return None if value >= 0 else "a number of at least 0"
