"""The typed training rows as one relation of a temporary DuckDB, which the whole analysis queries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from tfwd.config.features.base import Feature, OnColumn
from tfwd.config.features.datetime import DatetimeNumber, DatetimePart
from tfwd.data import moments
from tfwd.data.engine import connect, one, threads_and_memory
from tfwd.data.failures import ENGINE_ERRORS
from tfwd.data.rows import Rows
from tfwd.data.sql import INTEGERS, identifier, in_split, is_number
from tfwd.dates import PARTS
from tfwd.schema import DTYPES, Input

# Memory per thread before data spills to disk: enough to group by a column of many values, and for each column the
# blocks that a thread writes to at a time, without which DuckDB refuses rows of some hundred columns.
_THREAD_BYTES, _COLUMN_BYTES = 64 * 2**20, 2 * 2**20
# Additional memory for the blocks of a CSV file, and for each column read only for the hash that splits the rows.
_READ_BYTES, _HASHED_BYTES = 128 * 2**20, 256 * 2**10


class Workspace:
    """A relation of typed rows and the engine that answers Ibis expressions about it.

    Attributes:
        table: one column per input, by its data column's position in the schema (`x0`, `x1`, ...), NULL where missing
            (a float also where infinite) and an array where there are several values; for a vector, one column per
            number (`x2_0`, `x2_1`, ...). Then `label` (a number, or a class as a string or whole number) and, if there
            is one, `weight`.
        rows: the number of rows.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, rows: Rows, computed: Sequence[Feature]) -> None:
        self._connection = connection
        self._query = rows.query
        self._columns = {entry.column: f"x{index}" for index, entry in enumerate(rows.schema.inputs)}
        # Declared, not looked up: a backend of Ibis would ask the database for every table and column.
        types: dict[str, str] = {}
        for entry in rows.schema.inputs:
            name = self._columns[entry.column]
            types |= dict.fromkeys(_numbers_of(name, entry), "float32") if entry.fixed else {name: _type(entry)}
        self._computed = {feature.name: f"c{index}" for index, feature in enumerate(computed)}
        for feature in computed:
            types[self._computed[feature.name]] = "float32" if isinstance(feature, DatetimeNumber) else "int64"
        types["label"] = "float64" if rows.schema.task == "regression" else "int64" if _counted(rows) else "string"
        if rows.schema.weight is not None:
            types["weight"] = "float32"
        self.table: ir.Table = ibis.table(types, name="rows")
        self.rows = int(self.record(self.table.aggregate(rows=self.table.count()))["rows"])

    def column(self, feature: OnColumn, place: int | None = None) -> str:
        """The table's column that a feature is learned from, or the one of the number at a place of its vectors."""
        name = self._computed.get(feature.name) or self._columns[feature.column]
        return name if place is None else f"{name}_{place}"

    def arrow(self, expression: ir.Table) -> pa.Table:
        """Returns the answer as an Arrow table.

        Raises:
            DataError: a value does not fit its column; names its file, row and column.
        """
        return self._answer(expression, "to_arrow_table")

    def record(self, expression: ir.Table) -> dict[str, Any]:
        """Returns the answer, one row, as Python values; integers may have any size.

        Raises:
            DataError: as in `arrow`.
        """
        return dict(zip(expression.columns, self.pairs(expression)[0], strict=True))

    def pairs(self, expression: ir.Table) -> list[tuple[Any, ...]]:
        """Returns the answer as rows of Python values; integers may have any size.

        Raises:
            DataError: as in `arrow`.
        """
        rows: list[tuple[Any, ...]] = self._answer(expression, "fetchall")
        return rows

    def given(self, values: pa.Array) -> ir.Table:
        """Returns a table with the single column `value`."""
        self._connection.register("given", pa.table({"value": values}))
        return ibis.table({"value": "int64" if pa.types.is_integer(values.type) else "string"}, name="given")

    def _answer(self, expression: ir.Table, form: str) -> Any:
        # DuckDB runs the query itself: Ibis 12 cannot stream from DuckDB 2.0, and would narrow a 128-bit sum.
        query = str(ibis.to_sql(expression, dialect="duckdb"))
        try:
            return getattr(self._connection.sql(one(self._connection, query)), form)()
        except ENGINE_ERRORS as error:
            raise self._query.error(error) from None


def _numbers_of(name: str, entry: Input) -> list[str]:
    return [f"{name}_{place}" for place in range(entry.length)]


def _type(entry: Input) -> str:
    return f"array<{DTYPES[entry.kind]}>" if entry.length else DTYPES[entry.kind]


@contextmanager
def open_workspace(rows: Rows, features: Sequence[OnColumn]) -> Iterator[Workspace]:
    """Opens the rows as a relation that lives as long as the context.

    Where a column can be read unchanged and without the others, every query reads the columns it needs from the
    source. Otherwise the rows are read once and kept, in memory as long as there is room, then on disk.

    Args:
        rows: the training rows.
        features: the features to analyze.

    Raises:
        DataError: a value does not fit its column; names its file, row and column.
    """
    computed = [feature for feature in features if isinstance(feature, DatetimePart | DatetimeNumber)]
    columns = {f.column for f in features if not isinstance(f, DatetimePart | DatetimeNumber)}
    # No query depends on the order, and keeping it costs memory.
    width = sum(entry.length if entry.fixed else 1 for entry in rows.schema.inputs if entry.column in columns)
    width += len(computed)
    settings: dict[str, str | bool] = {
        "memory_limit": f"{_memory(rows, width)}B",
        "preserve_insertion_order": False,
    }
    with (
        tempfile.TemporaryDirectory(prefix="tfwd-analysis-") as folder,
        connect(rows.source.reads, temporary=folder, settings=settings) as connection,
    ):
        rows.source.attach(connection)
        where = in_split(rows.source.columns, rows.split, rows.fraction) if rows.split is not None else None
        query = rows.source.select(", ".join([*_selected(rows, columns), *_computed(rows, computed)]), where=where)
        kept = "TEMP VIEW" if _cheap_to_read(rows, columns) and not computed else "TABLE"
        try:
            connection.execute(one(connection, f"CREATE {kept} rows AS {query}"))
        except ENGINE_ERRORS as error:
            raise rows.query.error(error) from None
        yield Workspace(connection, rows, computed)


def _selected(rows: Rows, columns: set[str]) -> list[str]:
    kinds = {f"x{index}": entry for index, entry in enumerate(rows.schema.inputs)}
    selected = []
    for name, value in rows.query.expressions(nulls=True).items():
        entry = kinds.get(name)
        if name.startswith("k") or (entry is not None and entry.column not in columns):
            continue
        if entry is not None and entry.fixed:
            for place, number in enumerate(_numbers_of(name, entry), start=1):
                selected.append(f"{_finite(f'list_extract({value}, {place})')} AS {identifier(number)}")
            continue
        if entry is not None and entry.kind == "float":
            value = _finite(value)
        if name == "label" and _counted(rows):
            value = identifier(rows.schema.label)
        selected.append(f"{value} AS {identifier(name)}")
    return selected


def _computed(rows: Rows, features: Sequence[DatetimePart | DatetimeNumber]) -> list[str]:
    """The values of datetime features, computed from their moments as in `tfwd.layers.datetime_parts`."""
    found = rows.query.expressions(nulls=True)
    seconds = {entry.column: found[f"x{index}"] for index, entry in enumerate(rows.schema.inputs)}
    return [f"{_of_moment(feature, seconds)} AS c{index}" for index, feature in enumerate(features)]


def _of_moment(feature: DatetimePart | DatetimeNumber, seconds: Mapping[str, str]) -> str:
    moment = seconds[feature.source]
    if isinstance(feature, DatetimePart):
        return moments.part(feature.part, moment)
    if feature.cycle is not None:
        return moments.angle(feature.of, moments.part(feature.cycle, moment), *PARTS[feature.cycle])
    other = feature.reference_column
    return moments.age_in_days(moment, str(feature.reference) if other is None else seconds[other])


def _finite(value: str) -> str:
    """A number, NULL where it is not finite; -0 becomes 0."""
    return f"CASE WHEN {value} = 0 THEN CAST(0 AS FLOAT) WHEN isfinite({value}) THEN {value} END"


def _counted(rows: Rows) -> bool:
    """Whether the labels are classes that are whole numbers, which need no string per row to be counted."""
    return rows.schema.task != "regression" and rows.source.columns[rows.schema.label] in INTEGERS


def _cheap_to_read(rows: Rows, columns: set[str]) -> bool:
    """Whether reading a column several times costs less than reading and keeping all of them once."""
    source = rows.source
    # A number is read five times and more, and reading text as a number takes longer than reading the text.
    numbers = [entry.column for entry in rows.schema.inputs if entry.kind == "float" and entry.column in columns]
    return (
        rows.split is None
        and source.filter is None
        and all(block.stop is not None for block in source.blocks())
        and all(is_number(source.columns[column]) for column in numbers)
    )


def _memory(rows: Rows, columns: int) -> int:
    threads, most = threads_and_memory()
    hashed = len(rows.source.columns) if rows.split is not None else 0
    return min(_READ_BYTES + threads * (_THREAD_BYTES + columns * _COLUMN_BYTES + hashed * _HASHED_BYTES), most)
