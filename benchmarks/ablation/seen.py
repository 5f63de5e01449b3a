"""How often what a test row is about was seen in the training rows, and how good a model is by that."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfwd.data.rows import Rows
from tfwd.metrics.tasks import binary_metrics

Array = NDArray[Any]
# A bin begins where the one before ends: never, 1 to 4, ...
EDGES = (0.0, 1.0, 5.0, 20.0, 100.0, 1000.0, math.inf)
# Bins of fewer test rows are left out: their figures would be noise.
FEWEST = 100


def times_seen(train: Rows, test: Rows, columns: tuple[str, ...]) -> Array:
    """For each test row, the number of training rows with the same values of the columns.

    A column of lists is counted by each value, and the mean over the row's values is taken; 0 where the list is empty.

    Args:
        train: rows that were learned from.
        test: rows in whose order the answer is.
        columns: of both.

    Returns:
        `(N,)` float64.
    """
    connection = duckdb.connect()
    learned, asked = _columns(train, columns), _columns(test, columns)
    connection.register("train_rows", learned)
    connection.register("test_rows", asked.append_column("row", pa.array(range(len(asked)))))
    names = ", ".join(f"c{index}" for index in range(len(columns)))
    lists = [pa.types.is_list(kind) or pa.types.is_large_list(kind) for kind in learned.schema.types]
    each = ", ".join(f"unnest(c{i}) AS c{i}" if listed else f"c{i}" for i, listed in enumerate(lists))
    same = " AND ".join(f"t.c{index} IS NOT DISTINCT FROM n.c{index}" for index in range(len(columns)))
    found = connection.sql(
        f"WITH counts AS (SELECT {names}, count(*) AS seen FROM (SELECT {each} FROM train_rows) GROUP BY ALL), "
        f"asked AS (SELECT row, {each} FROM test_rows), "
        f"answers AS (SELECT row, avg(coalesce(seen, 0)) AS seen FROM asked AS t LEFT JOIN counts AS n ON {same} "
        "GROUP BY row) SELECT coalesce(seen, 0) AS seen FROM test_rows LEFT JOIN answers USING (row) ORDER BY row"
    ).fetchnumpy()
    return np.asarray(found["seen"], np.float64)


def _columns(rows: Rows, columns: tuple[str, ...]) -> pa.Table:
    keyed = Rows(rows.source, rows.schema, split=rows.split, fraction=rows.fraction, labelled=False, key=columns)
    keys = [batch.key for batch in keyed.batches(65_536) if batch.key is not None]
    return pa.concat_tables(keys).rename_columns([f"c{index}" for index in range(len(columns))])


def by_times_seen(times: Array, labels: Array, probabilities: Array) -> dict[str, dict[str, float]]:
    """The metrics of the test rows in each bin of `EDGES`, by the name of the bin.

    Args:
        times: `(N,)`.
        labels: `(N,)`, 0 or 1.
        probabilities: `(N,)`.
    """
    found = {}
    for low, high in pairwise(EDGES):
        inside = (times >= low) & (times < high)
        if inside.sum() >= FEWEST:
            found[name_of(low, high, float(times[inside].max()))] = {
                "rows": int(inside.sum()),
                **binary_metrics(labels[inside], probabilities[inside]),
            }
    return found


def name_of(low: float, high: float, most: float) -> str:
    """A bin in words.

    Args:
        low, high: its ends.
        most: the largest number in it; means of lists lie between whole numbers.
    """
    if high <= 1:
        return "never" if most == 0 else "less than 1"
    return f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high - 1:g}"
