"""Files under names that DuckDB takes as they stand, whatever they are called."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfwd.errors import DataError

_FOLDER = "tfwd-files-"
# DuckDB reads a path as a pattern; what comes after a question mark is no ending, and a backslash at times a slash.
_PATTERN = frozenset("*?[\\")


class PlainFiles:
    """Files, each under a name that is text and no pattern: its own, or that of a link to it.

    The links lie in a temporary folder that is removed with this.

    Attributes:
        paths: the names, in the order of the files.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._folder: Path | None = None
        self.paths: Sequence[str] = [self._plain(file, index) for index, file in enumerate(files)]

    def _plain(self, file: str, index: int) -> str:
        if _PATTERN.isdisjoint(file) and is_text(file):
            # Of a relative name DuckDB takes ~ for the home folder, and what ends in a colon for a protocol.
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
    """Whether a name is UTF-8, as DuckDB takes it; Python reads others with signs that are none."""
    return not any("\ud800" <= sign <= "\udfff" for sign in path)


def given_name(path: str) -> str:
    """What a file is called outside of `PlainFiles`."""
    for link in (Path(path), *Path(path).parents):
        if link.parent.name.startswith(_FOLDER) and link.is_symlink():
            return str(link.readlink() / Path(path).relative_to(link))
    return path.removeprefix(f".{os.sep}")
