"""ONNX: one file from raw features to probabilities, for any ONNX runtime."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"session": ["fingerprints"], "writer": ["save", "write"]}
)
