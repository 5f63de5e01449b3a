"""`export.onnx.fingerprints` at its location before version 0.5, kept for one version."""

from __future__ import annotations

import warnings

from tfwd.layers.direct_lookup import fingerprints as fingerprints

warnings.warn(
    "export.onnx_file has moved and will be removed in version 0.6: write `from export.onnx import fingerprints`.",
    DeprecationWarning,
    stacklevel=2,
)
