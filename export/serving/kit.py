"""`export.serving.tf_serving` at its location before version 0.5, kept for one version."""

from __future__ import annotations

import warnings

from export.serving.tf_serving import write as write

warnings.warn(
    "export.serving.kit has moved and will be removed in version 0.6: write `from export.serving.tf_serving import "
    "write`.",
    DeprecationWarning,
    stacklevel=2,
)
