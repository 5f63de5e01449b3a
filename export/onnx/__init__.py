"""ONNX: one file from raw features to probabilities, for any ONNX runtime; also as two halves, for a GPU."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"interface": ["fingerprints"], "halves": ["half_files"], "writer": ["save", "write"]}
)
