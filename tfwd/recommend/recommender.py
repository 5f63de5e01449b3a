"""Lists of items for the users of a run, in Python and for whole files."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray

from tfwd.config.ranking import SEEN
from tfwd.data.lists import value_type
from tfwd.data.rows import Batch, Rows
from tfwd.data.source import Source
from tfwd.data.sql import INTEGERS, TEXTS, WIDE_INTEGERS
from tfwd.data.writer import writing
from tfwd.errors import DataError
from tfwd.features.raw_tensors import tensors
from tfwd.recommend.catalogue import Catalogue, read_catalogue
from tfwd.recommend.inputs import ranking_of
from tfwd.recommend.reasons import Reasons
from tfwd.recommend.top_k import ListMaker
from tfwd.run_folder.folder import RunFolder
from tfwd.schema import DTYPES

if TYPE_CHECKING:
    import pandas as pd


ITEMS, USERS = "items.parquet", "users.parquet"

# Users who are answered in one call.
_USERS = 64


class Recommender:
    """Answers users with the best items of a catalogue.

    Args:
        run: a run whose configuration has a ranking section.
        items: the catalogue, as `Source.open` takes it: one row per item, with the columns that `ranking` names.
            By default the one that training has left in the run.

    Raises:
        ConfigError: the run cannot rank.
        DataError: there is no catalogue, or it does not fit.
    """

    def __init__(self, run: RunFolder, items: Any = None) -> None:
        self.run = run
        self.ranking = ranking_of(run.config, run.path)
        run.refuse_changed()
        given = items if items is not None else file_of(run, ITEMS)
        self.catalogue: Catalogue = read_catalogue(Source.open(given), run.model.schema, self.ranking)
        self._lists = ListMaker(run.model, run.config.model_features, self.ranking, self.catalogue)
        self._row_of = {str(value): row for row, value in enumerate(self.catalogue.ids.tolist())}
        users = {entry.name: tf.TensorSpec(entry.shape, DTYPES[entry.kind]) for entry in self._lists.scorer.user_inputs}
        listed = tf.TensorSpec([None, None], DTYPES[self.catalogue.input.kind])
        # One trace, which takes seconds, whatever the number of users and the lengths of their lists.
        signature = [users, tf.TensorSpec([], tf.int32), listed, listed]
        self._graph = tf.function(self._lists.__call__, input_signature=signature, autograph=False)

    @property
    def lists(self) -> ListMaker:
        """Returns the model and the catalogue as a graph, for an export."""
        return self._lists

    def recommend(
        self,
        users: Any,
        *,
        k: int | None = None,
        candidates: Sequence[Any] | None = None,
        include_seen: bool = False,
    ) -> pd.DataFrame:
        """Returns the best items for some users.

        Args:
            users: a frame or a file, as `Source.open` takes it: one row per user, with the column `ranking.user`, those
                that the model reads of a request and optionally `seen`, a list of the items to leave out.
            k: the length of the lists; `ranking.k` if None.
            candidates: items to choose from; the whole catalogue if None.
            include_seen: whether to list items in `seen` too.

        Returns:
            Rows of `ranking.user`, `place` from 1, `ranking.item`, the title's column if there is one, and `score`:
            the probability, or the prediction. A user with fewer items than k has fewer rows.
        """
        found = list(self.tables(Source.open(users), k=k, candidates=candidates, include_seen=include_seen))
        return pa.concat_tables(found).to_pandas() if found else self._table(None, [], [], []).to_pandas()

    def recommend_file(
        self,
        source: Source,
        output: str | Path,
        *,
        k: int | None = None,
        candidates: Sequence[Any] | None = None,
        include_seen: bool = False,
        advance: Callable[[int], None] | None = None,
    ) -> int:
        """Writes `recommend` for all users of a source as `.parquet` or `.csv`; memory does not grow with the users.

        Args:
            source: the users.
            output: the file, which appears when it is complete.
            k, candidates, include_seen: as in `recommend`.
            advance: called with the number of users after each write.

        Returns:
            The number of rows written.

        Raises:
            DataError: a column is missing, or the output cannot be written.
        """
        done = 0
        with writing(output) as writer:
            for table in self.tables(source, k=k, candidates=candidates, include_seen=include_seen, advance=advance):
                writer.write(table)
                done += table.num_rows
            if not done:
                writer.write(self._table(None, [], [], []))
        return done

    def tables(
        self,
        source: Source,
        *,
        k: int | None = None,
        candidates: Sequence[Any] | None = None,
        include_seen: bool = False,
        advance: Callable[[int], None] | None = None,
    ) -> Iterator[pa.Table]:
        """Yields the lists of the users of a source, some users at a time; see `recommend`."""
        length = _length(self.ranking.k if k is None else k)
        chosen = self._candidates(candidates)
        leave_out = not include_seen and SEEN in source.columns
        if leave_out:
            _check_seen(source)
        for batch in self._users(source, leave_out):
            assert batch.key is not None
            seen = self._padded(batch.key.column(1).to_pylist()) if leave_out else self._padded([[]])
            answer = self._graph(tensors(batch.inputs), tf.constant(length), chosen, seen)
            places, scores = answer.places.numpy(), answer.scores.numpy()
            rows, columns = np.nonzero(places >= 0)
            yield self._table(batch.key.column(0).take(rows), columns + 1, places[rows, columns], scores[rows, columns])
            if advance is not None:
                advance(len(places))

    def reasons(self, users: Any, items: Sequence[Any], count: int = 3) -> list[str]:
        """Returns why a user is shown some items: the largest contributions that depend on the item, in logits.

        Args:
            users: as in `recommend`; only the first is used.
            items: items of the catalogue.
            count: reasons per item, at most.

        Raises:
            DataError: there is no user, or an item that is not in the catalogue.
        """
        return ["; ".join(found) for found in self.reason_lists(users, items, count)]

    def reason_lists(self, users: Any, items: Sequence[Any], count: int = 3) -> list[list[str]]:
        """Returns what `reasons` does, each reason by itself: a value may have a semicolon.

        Args:
            users, items, count: as in `reasons`.

        Raises:
            DataError: as in `reasons`.
        """
        first, rows = self._pairs(users, items)
        return Reasons(self.run, self.ranking, self._lists).of(first, rows, count)

    def pairs(self, users: Any, items: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Returns the raw rows of a user with some items, as the model reads them: `{input: (N,)}` or `(N, K)`.

        Args:
            users, items: as in `reasons`.

        Raises:
            DataError: as in `reasons`.
        """
        first, rows = self._pairs(users, items)
        of_user = {name: np.repeat(values, len(rows), axis=0) for name, values in first.items()}
        return {**of_user, **{name: values[rows] for name, values in self.catalogue.inputs.items()}}

    def _pairs(self, users: Any, items: Sequence[Any]) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        """Returns the raw inputs of the first user, one row, and the rows of items in the catalogue."""
        batch = next(self._users(Source.open(users), False), None)
        if batch is None:
            raise DataError("There is no user to give reasons for.")
        unknown = next((item for item in items if str(item) not in self._row_of), None)
        if unknown is not None:
            raise DataError(
                f"The item {unknown!r} is not in the catalogue, which begins with {self.catalogue.ids[0]!r}."
            )
        rows = np.array([self._row_of[str(item)] for item in items], np.int64)
        return {name: values[:1] for name, values in batch.inputs.items()}, rows

    def _users(self, source: Source, seen: bool) -> Iterator[Batch]:
        source.require(self.ranking.user, "ranking.user")
        schema = dataclasses.replace(self.run.model.schema, inputs=self._lists.scorer.user_inputs)
        key = (self.ranking.user, SEEN) if seen else (self.ranking.user,)
        return Rows(source, schema, labelled=False, key=key).batches(_USERS)

    def _candidates(self, candidates: Sequence[Any] | None) -> tf.Tensor:
        if candidates is None:
            return self._padded([[]])
        if isinstance(candidates, str | bytes):
            raise DataError(f"candidates are a list of items, such as [{candidates!r}]. Received: {candidates!r}")
        candidates = list(candidates)
        if not any(str(candidate) in self._row_of for candidate in candidates):
            raise DataError(
                f"None of the {len(candidates)} candidates is in the catalogue of {len(self.catalogue)} items, which "
                f"begins with {self.catalogue.ids[0]!r}."
            )
        return self._padded([candidates])

    def _padded(self, lists: Sequence[Sequence[Any] | None]) -> tf.Tensor:
        """Returns lists of items as a matrix, padded with the missing value; what cannot be an item is missing too."""
        missing, text = self.catalogue.missing, self.catalogue.input.kind == "string"
        width = max(1, max((len(items or ()) for items in lists), default=1))

        def one(value: Any) -> str | int:
            if value is None:
                return missing
            if text:
                return str(value)
            try:
                return int(value)
            except ValueError:
                return missing

        rows = [[one(value) for value in items or ()] for items in lists]
        padded = [row + [missing] * (width - len(row)) for row in rows]
        return tf.constant(padded, tf.string if text else tf.int64)

    def _table(self, users: Any, places: Any, rows: Any, scores: Any) -> pa.Table:
        rows = np.asarray(rows, np.int64)
        text = self.catalogue.input.kind == "string"
        columns = {
            self.ranking.user: users if users is not None else pa.array([], pa.string()),
            "place": pa.array(np.asarray(places, np.int32)),
            self.ranking.item: pa.array(self.catalogue.ids[rows], pa.string() if text else pa.int64()),
        }
        if self.catalogue.titles is not None and self.ranking.title not in columns:
            assert self.ranking.title is not None
            columns[self.ranking.title] = pa.array([self.catalogue.titles[row] for row in rows], pa.string())
        columns["score"] = pa.array(np.asarray(scores, np.float32))
        return pa.table(columns)


def _length(k: Any) -> int:
    try:
        length = operator.index(k)
    except TypeError:
        raise DataError(f"k, the length of a list, must be a whole number. Received: {k!r}") from None
    if length < 1:
        raise DataError(f"A list has at least one place. Received: k={length}")
    return length


def _check_seen(source: Source) -> None:
    """Refuses a column `seen` that holds anything but lists of items."""
    found = source.columns[SEEN]
    if value_type(found) not in (*TEXTS, *INTEGERS, *WIDE_INTEGERS, "NULL") and source.has_values(SEEN):
        raise DataError(
            f"{source.name}, column {SEEN!r}: expected lists of items, text or whole numbers, found {found}. Use a "
            "Parquet file, since a CSV file has no lists, or give the column another name."
        )


def has_catalogue(run: RunFolder) -> bool:
    """Returns whether a run ranks items and has a catalogue."""
    return run.config.ranking is not None and (run.path / "data" / ITEMS).is_file()


def file_of(run: RunFolder, name: str) -> Path:
    """Returns a file that training leaves in `RUN/data`.

    Raises:
        DataError: it does not exist.
    """
    path = run.path / "data" / name
    if not path.is_file():
        what = "catalogue" if name == ITEMS else "users"
        raise DataError(f"{path} does not exist: the run has no {what}. Give a file of your own.")
    return path
