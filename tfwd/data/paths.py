"""Files under names that DuckDB takes literally, whatever they are called."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfwd.errors import DataError

_FOLDER = "tfwd-files-"
# DuckDB reads a path as a pattern, ignores an ending after a question mark, and at times reads a backslash as a slash.
_PATTERN = frozenset("*?[\\")


class PlainFiles:
    """Files, each under a name that is UTF-8 and not a pattern: its own, or the name of a link to it.

    The links are in a temporary folder, which is removed together with this object.

    Attributes:
        paths: the names, in the order of the files.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._folder: Path | None = None
        self.paths: Sequence[str] = [self._plain(file, index) for index, file in enumerate(files)]

    def _plain(self, file: str, index: int) -> str:
        if _PATTERN.isdisjoint(file) and is_text(file):
            # In a relative name DuckDB reads ~ as the home folder, and a prefix that ends in a colon as a protocol.
            return file if os.path.isabs(file) else os.path.join(".", file)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            if not _PATTERN.isdisjoint(str(self._folder)):
                raise DataError(
                    f"{file} cannot be read: DuckDB takes its name for a pattern, and that of the temporary folder "
                    f"{self._folder.parent} too. Set TMPDIR to a folder without any of * ? [ \\ in its name."
                )
        ending = Path(file).suffix
        ending = ending if _PATTERN.isdisjoint(ending) and is_text(ending) else ""
        link = self._folder / f"{index}{ending}"
        link.symlink_to(os.path.abspath(file))
        return str(link)


def is_text(path: str) -> bool:
    """Returns whether a name is UTF-8, which DuckDB needs; Python reads other names with surrogates."""
    return not any("\ud800" <= sign <= "\udfff" for sign in path)


def given_name(path: str) -> str:
    """Returns the name of a file outside `PlainFiles`."""
    for link in (Path(path), *Path(path).parents):
        if link.parent.name.startswith(_FOLDER) and link.is_symlink():
            return str(link.readlink() / Path(path).relative_to(link))
    return path.removeprefix(f".{os.sep}")
