"""Metrics by user for rows that come in batches, in any order: GAUC, NDCG, recall, hit rate, MRR, coverage.

The candidates of a user are the user's rows. DuckDB sorts them by user and score, on disk where there are many.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfwd.config.ranking import RankingConfig
from tfwd.data.engine import connect
from tfwd.metrics.ranking_metrics import ListMetrics

Array = NDArray[Any]

# How many rows wait before DuckDB gets them, and how many are in a block of the computation.
_WAITING, _BLOCK = 2**19, 2**18
_MEMORY = "512MiB"


class UserMetrics:
    """The exact metrics of `tfwd.metrics.ranking_metrics.ListMetrics`, in memory that does not grow with the rows.

    A row without a user or an item is in nobody's list and is left out. The weights of rows don't count here: a list
    has only places.

    Args:
        ranking: the columns of users and items, and the length of a list.
        binary: whether labels are 0 and 1.
        waiting: how many rows wait in memory.
    """

    def __init__(self, ranking: RankingConfig, binary: bool, waiting: int = _WAITING) -> None:
        self._ranking, self._binary, self._most = ranking, binary, waiting
        self._folder = tempfile.TemporaryDirectory(prefix="tfwd-evaluation-")
        settings: dict[str, str | bool] = {"memory_limit": _MEMORY, "preserve_insertion_order": False}
        self._connection = connect(temporary=self._folder.name, settings=settings)
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._made = False

    def add(self, key: pa.Table, labels: Array, scores: Array) -> None:
        """Adds rows.

        Args:
            key: the columns of users and items, `B` rows, with the same types in all calls.
            labels: `(B,)`.
            scores: `(B,)`.
        """
        columns = {
            "user": key.column(self._ranking.user),
            "item": key.column(self._ranking.item),
            "label": np.asarray(labels, np.float32),
            "score": np.asarray(scores, np.float32),
        }
        self._waiting.append(pa.table(columns))
        self._rows += len(labels)
        if self._rows >= self._most:
            self._write()

    def result(self) -> dict[str, float]:
        """Returns the metrics of all rows. No more rows can be added afterwards."""
        try:
            self._write()
            if not self._made:
                return ListMetrics(self._ranking.k, 0, self._binary).result()
            self._number("user")
            items = self._number("item")
            metrics = ListMetrics(self._ranking.k, items, self._binary)
            for block in self._blocks():
                metrics.add(*(block.column(name).to_numpy() for name in ("user", "item", "label", "score")))
            return metrics.result()
        finally:
            self._connection.close()
            self._folder.cleanup()

    def _write(self) -> None:
        if not self._waiting:
            return
        waiting = pa.concat_tables(self._waiting)
        self._waiting, self._rows = [], 0
        self._connection.register("waiting", waiting)
        verb = "INSERT INTO rows" if self._made else "CREATE TABLE rows AS"
        known = '"user" IS NOT NULL AND item IS NOT NULL'
        self._connection.execute(f"{verb} SELECT * FROM waiting WHERE {known}")
        self._connection.unregister("waiting")
        self._made = True

    def _number(self, column: str) -> int:
        """Numbers the distinct values of a column in their order, and returns how many there are."""
        self._connection.execute(
            f'CREATE TABLE {column}s AS SELECT "{column}", row_number() OVER (ORDER BY "{column}") - 1 AS number '
            f'FROM (SELECT DISTINCT "{column}" FROM rows)'
        )
        return int(self._connection.execute(f"SELECT count(*) FROM {column}s").fetchall()[0][0])

    def _blocks(self) -> Iterator[pa.Table]:
        """Yields rows by user and descending score, as numbers, in blocks that end with the last row of a user."""
        # Labels are part of the order: sums of rows with the same score are then the same in every run.
        query = (
            "SELECT users.number AS user, items.number AS item, label, score FROM rows "
            'JOIN users ON rows."user" = users."user" JOIN items ON rows.item = items.item '
            "ORDER BY users.number, score DESC, label"
        )
        left: pa.Table | None = None
        for batch in self._connection.sql(query).to_arrow_reader(_BLOCK):
            table = pa.Table.from_batches([batch])
            block = table if left is None else pa.concat_tables([left, table])
            users = block.column("user").to_numpy()
            cut = int(np.searchsorted(users, users[-1])) if len(users) else 0
            if cut:
                yield block.slice(0, cut)
            left = block.slice(cut)
        if left is not None and len(left):
            yield left
