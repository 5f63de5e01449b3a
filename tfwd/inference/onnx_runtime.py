"""The one place that imports ONNX Runtime, so that it asks nobody and leaves nothing behind.

From 1.32 on it looks a host of its vendor up when a process makes its first session, and leaves a file `.ses` in the
temporary folder. A variable of the environment stops both, if it is set before the import; whoever sets it to 0 has
decided otherwise.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["onnxruntime"]
