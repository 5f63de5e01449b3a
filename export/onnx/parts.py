"""The files beside an ONNX file that are parts of its model, and are replaced and removed with it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import DecodeError

from export.onnx import protobuf as wire
from tfwd.errors import ExportError
from tfwd.inference.metadata import PART


def is_part(file: Path) -> bool:
    """Whether a file is a part of a model that `export.onnx` wrote beside the whole."""
    try:
        return file.is_file() and any(entry.key == PART for entry in wire.head(file).metadata_props)
    except (OSError, ValueError, DecodeError):
        return False


def refuse_others(files: Iterable[Path]) -> None:
    """Checks that what exists in the place of parts are parts: nobody has asked to replace anything else.

    Raises:
        ExportError: a file is something else.
    """
    for file in files:
        if os.path.lexists(file) and not is_part(file):
            raise ExportError(
                f"{file} exists and is not a part of a model, whose name it has. Rename it, or write to another "
                "output_file (--output)."
            )


def remove_parts(files: Iterable[Path]) -> None:
    """Removes parts with their external data, and nothing else."""
    for file in filter(is_part, files):
        file.unlink()
        file.with_name(f"{file.name}.data").unlink(missing_ok=True)
