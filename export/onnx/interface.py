"""What an exported ONNX file asks of others: the standard of its runtime, and the fingerprints that a client sends."""

from __future__ import annotations

from tfwd.layers.direct_lookup import fingerprints as fingerprints

OPSET = 18
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
