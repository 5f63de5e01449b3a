"""From a log to training files: `train.parquet` and, if requested, the other splits, the catalogue and the users."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tfwd.config.config import Config
from tfwd.config.data import DataConfig
from tfwd.data.filters import checked
from tfwd.data.source import Source
from tfwd.data.sql import both, identifier
from tfwd.errors import ConfigError, DataError, RunError
from tfwd.preparation.catalogue import copy, events, items, users
from tfwd.preparation.database import Database, open_database
from tfwd.preparation.history import histories
from tfwd.preparation.log import LOG, make_log
from tfwd.preparation.split import require_time, split_of
from tfwd.preparation.time_range import within
from tfwd.utils.files import hidden_folder, left_folders, reason, remove
from tfwd.utils.naming import nearest

if TYPE_CHECKING:
    import pandas as pd


SPLITS = ("train", "validation", "test")


def prepare(
    config: Config,
    folder: str | Path,
    *,
    train: pd.DataFrame | None = None,
    validation: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
) -> dict[str, int]:
    """Writes the prepared rows of a configuration as Parquet files into an existing folder.

    The rows keep their order. They have all columns of the log, and what `data.join`, `data.columns` and
    `data.history` add; rows that `data.filter` rejects are left out. A history is made from the whole log before that.
    With a `ranking` section `items.parquet` holds the catalogue and `users.parquet` the users as of their last event.

    Args:
        config: the whole configuration.
        folder: where the files go.
        train, validation, test: frames in place of the sources that the configuration names.

    Returns:
        The number of rows of each split.

    Raises:
        ConfigError: the data section asks for something impossible.
        DataError: a source is missing or damaged, a value cannot be computed, or a split is empty.
    """
    folder, data = Path(folder), config.data
    counts: dict[str, int] = {}
    if (data.split or data.history) and (validation is not None or test is not None):
        raise ConfigError("data.split and data.history are made of one log: give it as `train`, and no other frame.")
    with tempfile.TemporaryDirectory(prefix=".work-", dir=folder) as work:
        given = {"train": train, "validation": validation, "test": test}
        for name, frame in given.items():
            source = frame if frame is not None else getattr(data, name)
            if source is None:
                continue
            log = open_source(source, data, Path(work))
            tables = [open_source(join.data, data, Path(work)) for join in data.join]
            reads = [file for opened in (log, *tables) for file in opened.reads]
            with open_database(Path(work), log.name, reads, folder) as database:
                counts |= _Preparation(database, log, tables, config, folder).write(name)
    if "train" not in counts:
        raise ConfigError("There is nothing to train on: set data.train to a file, or give a DataFrame.")
    return counts


@contextmanager
def prepared_beside(
    output: str | Path,
    config: Config,
    train: pd.DataFrame | None = None,
    validation: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
) -> Iterator[Path | None]:
    """Prepares the files of a run that does not exist yet, in a folder that is removed unless the run took it.

    Args:
        output: where the run will be; the folder is on the same disk, so that it can be moved there by renaming.
        config: the configuration of the run.
        train, validation, test: frames in place of the sources that it names.

    Yields:
        The folder, or None if there is nothing to prepare.
    """
    if not (config.data.prepared or config.ranking):
        yield None
        return
    there = next(parent for parent in Path(output).absolute().parents if parent.is_dir())
    with contextlib.ExitStack() as stack:
        beside = there / f"{Path(output).name}-data"
        try:
            for left in left_folders(beside, {"data"}):
                remove(left)
            folder = stack.enter_context(hidden_folder(beside)) / "data"
            folder.mkdir()
        except OSError as error:
            raise RunError(f"The run cannot be made in {output}: {reason(error)}.") from None
        prepare(config, folder, train=train, validation=validation, test=test)
        yield folder


def open_source(source: object, data: DataConfig, work: Path) -> Source:
    """Opens a source of the data section; a named dataset with a local copy is read from `data.path`."""
    if isinstance(source, str) and source.startswith("tfds:"):
        from tfwd.datasets.tfds import as_parquet

        opened = Source.open(as_parquet(source, data.path, work))
        opened.name = source
        return opened
    return Source.open(source, csv=data.csv, format=data.format)


class _Preparation:
    """The preparation of one log."""

    def __init__(self, database: Database, source: Source, tables: list[Source], config: Config, folder: Path) -> None:
        self.database, self.source, self.tables = database, source, tables
        self.config, self.data, self.folder = config, config.data, folder
        made = [history.name for history in self.data.history]
        longest = max(map(len, [*source.columns, *self.data.columns, *made, *(c for t in tables for c in t.columns)]))
        # Names that are longer than those of all columns cannot clash with any.
        self.row, self.split = "row" + "_" * longest, "split" + "_" * longest

    def write(self, name: str) -> dict[str, int]:
        """Writes the splits made from the source `name` and, from the training log, what ranking needs."""
        make_log(self.database, self.source, self.tables, self.data, self.row)
        for index in range(len(self.data.history)):
            self._history(index)
        self._rows(name)
        names = SPLITS if self.data.split and name == "train" else (name,)
        counts = {}
        for split_name in names:
            where = f"FROM kept WHERE {identifier(self.split)} = '{split_name}'"
            count = self.database.run(f"SELECT count(*) {where}")[0][0]
            if not count and self._asked(split_name):
                raise DataError(f"No {split_name} rows come out of {self.source.name}" + self._why_none())
            if count:
                query = f"SELECT * EXCLUDE ({identifier(self.row)}, {identifier(self.split)}) {where}"
                query = f"{query} ORDER BY {identifier(self.row)}"
                copy(self.database, query, str(self.folder / f"{split_name}.parquet"), self.data.columns)
                counts[split_name] = count
        if name == "train" and self.config.ranking is not None:
            self._require_ranking()
            copy(self.database, users(self.database, self.config, self.row), str(self.folder / "users.parquet"))
            query = items(self.database, self.config, self.tables, self.row)
            copy(self.database, query, str(self.folder / "items.parquet"))
        return counts

    def _why_none(self) -> str:
        if not self.database.run(f"SELECT EXISTS (FROM {LOG})")[0][0]:
            return ": it has no rows."
        return ": data.filter leaves none." if not self.data.split else ": data.split leaves none."

    def _asked(self, name: str) -> bool:
        split = self.data.split
        return split is None or name == "train" or getattr(split, name) != 0

    def _history(self, index: int) -> None:
        history, key = self.data.history[index], f"data.history.{self.data.history[index].name}"
        known = self._columns()
        for column in (history.user, history.item):
            self._require(column, key)
        require_time(self.database, LOG, history.time, key)
        if history.name.lower() in map(str.lower, known):
            raise ConfigError(f"{key}: {self.source.name} has a column of that name already. Give it another name.")
        where = f"{key}.where"
        listed = f"({checked(history.where, known, where, self.database.sizes)})" if history.where else "true"
        self.database.create(f"events_{index}", events(self.database, history, listed, self.row), where)
        found = histories(self.database.table(f"events_{index}"), history.length)
        self.database.create(f"history_{index}", found)

    def _columns(self) -> dict[str, str]:
        """Returns the columns of the log with their types, without the row number."""
        return {column: kind for column, kind in self.database.columns(LOG).items() if column != self.row}

    def _require(self, column: str, key: str) -> None:
        """Refuses a column that the log does not have."""
        known = self._columns()
        if column not in known:
            raise DataError(f"{key}: {self.source.name} has no column {column!r}.{nearest(column, known)}")

    def _rows(self, name: str) -> None:
        known = self._columns()
        condition = (
            checked(self.data.filter, known, sizes=self.database.sizes) if self.data.filter is not None else None
        )
        chosen_time = within(self.database, LOG, self.data) if name == "train" else None
        self.database.create("kept", f"SELECT * FROM {LOG}{both([condition, chosen_time])}", "data.filter")
        chosen = f"'{name}'"
        if self.data.split is not None:
            chosen = split_of(self.database, "kept", self.data.split, self.source.columns, self.row)
        # Before the lists exist, since a copy of the rows would copy them too.
        self.database.create("kept", f"SELECT *, {chosen} AS {identifier(self.split)} FROM kept", "data.split")
        # One after the other: joined together, all the lists would have to be in memory.
        for index, history in enumerate(self.data.history):
            listed = f"coalesce(h.history, CAST([] AS {known[history.item]}[])) AS {identifier(history.name)}"
            join = f'LEFT JOIN history_{index} AS h ON l.{identifier(self.row)} = h."row"'
            self.database.create("kept", f"SELECT l.*, {listed} FROM kept AS l {join}")

    def _require_ranking(self) -> None:
        ranking = self.config.ranking
        assert ranking is not None
        for column in (ranking.user, ranking.item, *([ranking.title] if ranking.title else []), *ranking.item_columns):
            self._require(column, "ranking")
