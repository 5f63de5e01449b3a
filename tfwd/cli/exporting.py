"""The way from tfwd to the package `export`, and what may be in the way."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tfwd.errors import ExportError

if TYPE_CHECKING:
    from export.pipeline import export_onnx as export_onnx
    from export.pipeline import export_savedmodel as export_savedmodel

_PUBLIC = ("export_onnx", "export_savedmodel")
# Next to tfwd, both in a checkout and where pip installs them.
_BESIDE = Path(__file__).resolve().parents[2] / "export"


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(export_module("pipeline"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def export_module(name: str) -> ModuleType:
    """Returns the module `export.<name>`.

    Raises:
        ExportError: the package is not installed, or Python finds another `export` first.
    """
    refuse_other_export()
    try:
        return importlib.import_module(f"export.{name}")
    except ModuleNotFoundError as error:
        if error.name not in ("export", f"export.{name}"):
            raise
        raise ExportError("The package export, which comes with tfwd, is missing. Install tfwd again.") from None


def refuse_other_export() -> None:
    """Checks, without an import, what Python finds under the name of the package.

    Raises:
        ExportError: it is a different `export`.
    """
    other = _other()
    if other is not None:
        raise ExportError(
            f"{other} is found in place of tfwd's package `export`, because Python looks first beside your program or "
            "in the current folder. Rename it, or start from another folder."
        )


def _other() -> Path | None:
    """Returns what Python finds in place of the package, if the package exists but isn't found."""
    if not (_BESIDE / "__init__.py").is_file():
        return None
    loaded = sys.modules.get("export")
    spec = find_spec("export") if loaded is None else loaded.__spec__
    origin = getattr(loaded, "__file__", None) if spec is None else spec.origin
    if origin is not None:
        return None if Path(origin).resolve() == _BESIDE / "__init__.py" else Path(origin)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    return Path(folders[0]) if folders else None
