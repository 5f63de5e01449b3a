"""The rows that a training began with: recorded, and checked when they are read again."""

from __future__ import annotations

from collections.abc import Mapping

from tfwd.data.provenance import Provenance, SplitMark, marks
from tfwd.data.rows import Rows
from tfwd.errors import DataError, RunError
from tfwd.run_folder.folder import RunFolder
from tfwd.utils.console import console


class KnownRows:
    """The rows of a training, by split.

    Args:
        splits: the splits that exist, by name.
    """

    def __init__(self, splits: Mapping[str, Rows]) -> None:
        self._splits = splits
        self._marks = {name: marks(rows) for name, rows in splits.items()}

    def write(self, run: RunFolder, rows: int) -> None:
        """Records what the splits are.

        Args:
            run: the run that has begun.
            rows: the number of training rows that its statistics were learned from.

        Raises:
            DataError: a file has changed since then.
        """
        with console.status("Computing the fingerprint of the rows"):
            found = Provenance({name: SplitMark.of(split) for name, split in self._splits.items()})
        counted = found.splits["train"].fingerprint.rows
        if counted != rows:
            raise DataError(
                f"{self._splits['train'].source.name} has changed while it was read: {rows:,} training rows, then "
                f"{counted:,}. Train on a file that nobody writes to."
            )
        found.save(run.path / "rows.json")

    def refuse_others(self, run: RunFolder) -> None:
        """Refuses to resume with rows other than those that the run recorded; runs of version 0.3 record none.

        Raises:
            RunError: the rows differ; names the split and the difference.
        """
        known = run.provenance
        for name, mark in known.splits.items() if known else ():
            if name not in self._splits:
                raise RunError(f"{run.path} was started with {name} rows, and now there are none. Restore them.")
            with console.status("Comparing the rows with those that the training started with"):
                difference = mark.difference(self._splits[name])
            if difference is not None:
                raise RunError(
                    f"The {name} rows of {run.path} are not those that it was started with: "
                    f"{self._splits[name].source.name} has {difference}. Restore those, or train again."
                )

    def refuse_changed(self, *names: str) -> None:
        """Checks the files of some splits, which are about to be read again or have just been read.

        Raises:
            DataError: a file has changed, or is missing.
        """
        for mark in (mark for name in names for mark in self._marks.get(name, ())):
            change = mark.change()
            if change is not None:
                raise DataError(
                    f"{change}, while the training was reading it. Train again on a file that stays as it is."
                )
