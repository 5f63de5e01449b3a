"""tfwd: Wide & Deep Learning (Cheng et al. 2016) for TensorFlow and Keras 3.

Declare features once, train a linear head with FTRL and a deep head with Adam jointly, export one SavedModel and one
ONNX file that take raw features. Everything a notebook needs is here; TensorFlow is imported when it is first needed.
The public names are in `__init__.pyi`, from which they are loaded.
"""

from __future__ import annotations

import importlib
from typing import Any

import lazy_loader

from tfwd.registration import register_when_keras_is_imported

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
# Modules that are commands, as `tfwd.predict`: where they are called they say what there is in Python for it.
_COMMANDS = ("evaluate", "predict", "prepare", "rank", "train")

register_when_keras_is_imported()


def __getattr__(name: str) -> Any:
    return importlib.import_module(f"tfwd.{name}") if name in _COMMANDS else _public(name)
