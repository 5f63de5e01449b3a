"""tfwd: Wide & Deep Learning (Cheng et al. 2016) for TensorFlow and Keras 3.

Declare features once, train a linear head with FTRL and a deep head with Adam jointly, export one SavedModel and one
ONNX file that take raw features. Everything a notebook needs is here; TensorFlow is imported when it is first needed.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from tfwd.registration import register_when_keras_is_imported

# The public names are listed only once, in the stub that type checkers read. lazy_loader reads stubs too, but without
# it an `import tfwd` needs no other package.
_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_PLACE = {name: f"tfwd.{module}" for module, name in re.findall(r"^from \.([\w.]+) import (\w+) as", _STUB, re.M)}
# Modules that are commands, such as `tfwd.predict`: when called, they name their equivalent in Python.
_COMMANDS = ("evaluate", "predict", "prepare", "rank", "serve", "train")

__all__ = sorted(_PLACE)

register_when_keras_is_imported()


def __getattr__(name: str) -> Any:
    if name in _COMMANDS:
        return importlib.import_module(f"tfwd.{name}")
    if name not in _PLACE:
        raise AttributeError(f"module 'tfwd' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
