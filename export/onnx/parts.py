"""The files beside an ONNX file that are parts of its model, and are replaced and removed with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
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


def publish(staged: Mapping[str | None, Path], files: Mapping[str | None, Path], aside: Path) -> None:
    """Moves the files of a model to their places: the parts first, so that whoever sees the whole sees them too.

    Older parts are taken away before. If that does not come to its end, they lie beside the older file again.

    Args:
        staged: the new files by part; None is the whole.
        files: the places of the whole and of all parts, whether or not there is a new one.
        aside: an empty folder.
    """
    older = [file for part, file in files.items() if part is not None and is_part(file)]
    try:
        for file in older:
            _move(file, aside / file.name)
        for part in sorted(staged, key=lambda part: part is None):
            _move(staged[part], files[part])
    except BaseException:
        if staged[None].exists():
            for file in (files[part] for part in staged if part is not None):
                if file not in older or (aside / file.name).exists():
                    file.unlink(missing_ok=True)
                    _data(file).unlink(missing_ok=True)
            for file in older:
                for one in (_data(file), file):
                    if (aside / one.name).exists():
                        os.replace(aside / one.name, one)
        raise


def _data(file: Path) -> Path:
    return file.with_name(f"{file.name}.data")


def _move(source: Path, target: Path) -> None:
    """Moves a file, and its external data if any, to their place."""
    external = _data(source).exists()
    if external:
        # Two files cannot be replaced as one: for a moment there is none, rather than one with the tables of the
        # other.
        target.unlink(missing_ok=True)
        os.replace(_data(source), _data(target))
    os.replace(source, target)
    if not external:
        # Left by an older file, whose tables were next to it.
        _data(target).unlink(missing_ok=True)
