"""Which files a path, a folder, a glob or `census:train` names, and what they hold."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Literal

from tfwd.config.tree import short
from tfwd.data.bundled import census
from tfwd.errors import DataError
from tfwd.utils.files import what_it_is
from tfwd.utils.naming import nearest

Format = Literal["auto", "csv", "parquet", "tfrecord"]


_ENDINGS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
    ".tsv.gz": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
    ".tfrecord.gz": "tfrecord",
    ".tfrecords.gz": "tfrecord",
}


_FORMATS = {"csv": "CSV", "parquet": "Parquet", "tfrecord": "TFRecord"}


# What TensorFlow adds to the name of one of several files, for example train.tfrecord-00000-of-00008.
_SHARD = re.compile(r"-[0-9*?]+(-of-[0-9*?]+)?")


def find_files(data: str) -> list[str]:
    """Returns the files of a path, a folder, a glob or `census:train`.

    Raises:
        DataError: there are none.
    """
    if re.fullmatch(r"census:.*", data):
        return [str(census(data.split(":", 1)[1]))]
    path, found = Path(data), what_it_is(data)
    if found == "a file":
        return [data]
    if found == "a folder":
        files = sorted(str(entry) for entry in path.iterdir() if entry.is_file() and _is_data(entry))
        if not files:
            raise DataError(f"The folder {data} holds no data file: expected {_endings()}.")
        return files
    if found is not None:
        raise DataError(f"{data} is {found}, and rows are read several times: write them to a file first.")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", data):
        raise DataError(f"{data} is a URL, and only local files are read: copy it here, or mount its folder.")
    if glob.has_magic(data):
        files = sorted(file for file in glob.glob(data, recursive=True) if Path(file).is_file())
        if not files:
            raise DataError(f"No file matches {data}.")
        return files
    if what_it_is(path.parent) != "a folder":
        raise DataError(f"There is no file {short(data, 500)}.")
    neighbours = [entry.name for entry in path.parent.iterdir()]
    hint = nearest(path.name, neighbours) if len(neighbours) <= 20 else ""
    raise DataError(f"There is no file {short(data, 500)}.{hint}")


def _is_data(entry: Path) -> bool:
    return not entry.name.startswith((".", "_")) and _ending(entry.name) is not None


def _ending(file: str) -> str | None:
    file = file.lower()
    if ".tfrecord" in file:
        file = _SHARD.sub("", file)
    return next((kind for ending, kind in _ENDINGS.items() if file.endswith(ending)), None)


def known_ending(data: str) -> bool:
    """Returns whether the name of a file, or of the files in a folder, says what they are."""
    return data.startswith("census:") or Path(data).is_dir() or _ending(data) is not None


def _endings() -> str:
    return ", ".join(_ENDINGS)


def format_of(files: list[str]) -> str:
    """Returns the format of files that are read together, by the endings of their names: `csv`, `parquet`, `tfrecord`.

    Raises:
        DataError: an ending is unknown, or two files differ in their format.
    """
    kinds: dict[str, str] = {}
    for file in files:
        kind = _ending(file)
        if kind is None:
            raise DataError(f"{file} ends in none of {_endings()}. Say what it is with data.format.")
        kinds.setdefault(kind, file)
    if len(kinds) > 1:
        (one, first), (other, second) = sorted(kinds.items())[:2]
        raise DataError(
            f"{first} is {_FORMATS[one]} and {second} is {_FORMATS[other]}. Files read together need one format."
        )
    return next(iter(kinds))
