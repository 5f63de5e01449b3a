"""What each split of a training was, to tell later whether it is still the same, and what was learned from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfwd.data.fingerprint import Fingerprint, fingerprint, together
from tfwd.errors import RunError
from tfwd.utils.files import read_json, write_text

if TYPE_CHECKING:
    from tfwd.data.rows import Rows


class FileMark(NamedTuple):
    """A file as it was: its path, bytes, and time of the last change in nanoseconds since 1970."""

    path: str
    size: int
    modified: int

    @classmethod
    def of(cls, path: str) -> FileMark:
        """Returns the mark of a file as it is now.

        Raises:
            OSError: it does not exist.
        """
        status = os.stat(path)
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)

    def change(self) -> str | None:
        """Returns how the file has changed since, in words; None if it has not."""
        try:
            now = FileMark.of(self.path)
        except OSError:
            return f"{self.path} is gone"
        if now == self:
            return None
        length = f"{self.size:,} bytes then, {now.size:,} now" if now.size != self.size else "it was written to"
        return f"{self.path} has changed: {length}"


def marks(rows: Rows) -> tuple[FileMark, ...]:
    """Returns the marks of the files of rows, as they are now; none for a frame."""
    return tuple(map(FileMark.of, rows.source.files))


@dataclass(frozen=True)
class SplitMark:
    """What a split was.

    Attributes:
        files: the files that it was read from; none for a frame.
        fingerprint: the fingerprint of its rows.
    """

    files: tuple[FileMark, ...]
    fingerprint: Fingerprint

    @classmethod
    def of(cls, rows: Rows) -> SplitMark:
        """Reads the rows once."""
        # The marks come first, so that a file that changes while it is read has another mark afterwards.
        return cls(marks(rows), fingerprint(rows))

    def untouched(self, rows: Rows) -> bool:
        """Returns whether the files are the same and unchanged, without reading them. A frame has no marks."""
        try:
            return bool(self.files) and self.files == marks(rows)
        except OSError:
            return False

    def difference(self, rows: Rows) -> str | None:
        """Returns how other rows differ from these, in words; None if they are the same in the same order."""
        if self.untouched(rows):
            return None
        found, own = fingerprint(rows), self.fingerprint
        if found == own:
            return None
        if found.rows != own.rows:
            return f"{found.rows:,} rows, where the training began with {own.rows:,}"
        return (
            "the same rows in another order"
            if found.same_rows(own)
            else f"other rows, though as many as then ({own.rows:,})"
        )


@dataclass(frozen=True)
class Provenance:
    """What the splits of a training were: `rows.json`.

    Attributes:
        splits: `train`, and `validation` and `test` if there were any.
    """

    splits: dict[str, SplitMark]

    def learned(self, refit: bool) -> Fingerprint:
        """Returns the fingerprint of all rows that the model has learned from.

        Args:
            refit: whether it has learned from its validation rows too.
        """
        train, validation = self.splits["train"], self.splits.get("validation")
        if refit and validation is not None:
            return together(train.fingerprint, validation.fingerprint)
        return train.fingerprint

    def save(self, file: Path) -> None:
        """Writes the file atomically."""
        splits = {
            name: {"files": [list(mark) for mark in split.files], **split.fingerprint.to_dict()}
            for name, split in self.splits.items()
        }
        write_text(file, json.dumps(splits, indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> Provenance | None:
        """Reads what `save` wrote; None if there is no file.

        Raises:
            RunError: it is damaged.
        """
        try:
            found = read_json(file)
        except FileNotFoundError:
            return None
        try:
            if "train" not in found or not set(found) <= {"train", "validation", "test"}:
                raise ValueError("train is missing")
            return cls({name: _split(values) for name, values in found.items()})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(f"{file} is damaged: what it says of the rows cannot be read ({error!r}).") from None


def _split(values: dict[str, Any]) -> SplitMark:
    files = tuple(FileMark(path, size, modified) for path, size, modified in values["files"])
    if not all(isinstance(path, str) and type(size) is type(modified) is int for path, size, modified in files):
        raise TypeError("files")
    return SplitMark(files, Fingerprint.from_dict(values))
