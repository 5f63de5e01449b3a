"""`tfwd.inference.evaluation` at its place before version 0.5, kept for one version."""

from __future__ import annotations

import warnings

from tfwd.inference.evaluation import evaluate as evaluate

warnings.warn(
    "tfwd.evaluation has moved and will be removed in version 0.6: write `from tfwd.inference.evaluation import "
    "evaluate`.",
    DeprecationWarning,
    stacklevel=2,
)
