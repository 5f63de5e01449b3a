"""`tfwd.inference.prediction` at its place before version 0.5, kept for one version."""

from __future__ import annotations

import warnings

from tfwd.inference.prediction import predict as predict

warnings.warn(
    "tfwd.prediction has moved and will be removed in version 0.6: write `from tfwd.inference.prediction import "
    "predict`.",
    DeprecationWarning,
    stacklevel=2,
)
