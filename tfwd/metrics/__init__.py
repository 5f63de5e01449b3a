"""Exact metrics of any number of rows, in bounded memory."""

from __future__ import annotations

import importlib
import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    # What notebooks imported from here before version 0.5, kept for one version.
    if name != "binary_metrics":
        raise AttributeError(f"module 'tfwd.metrics' has no attribute {name!r}")
    warnings.warn(
        f"tfwd.metrics.{name} has moved and will be removed in version 0.6: write `from tfwd.metrics.tasks import "
        f"{name}`.",
        DeprecationWarning,
        stacklevel=2,
    )
    value = getattr(importlib.import_module("tfwd.metrics.tasks"), name)
    # An import asks twice.
    globals()[name] = value
    return value
