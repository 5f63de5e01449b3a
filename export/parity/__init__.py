"""Compares every export with its model, row by row, on real rows and on hostile ones."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"compare": ["check_halves", "check_onnx", "check_savedmodel"]}
)
