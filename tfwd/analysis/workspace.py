"""The training rows, read once, typed, in a temporary database on disk: what all of the analysis asks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from tfwd.data.failures import ENGINE_ERRORS
from tfwd.data.rows import Rows
from tfwd.data.sql import identifier, in_split


class Workspace:
    """A table of typed rows and the engine that answers Ibis expressions about it.

    Attributes:
        table: one column an input, by its data column's position in the schema (`x0`, `x1`, ...), NULL where missing (a
            float also where infinite), then `label` and, if there is one, `weight`.
        rows: how many rows it has.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, rows: Rows) -> None:
        self._connection = connection
        self._backend = ibis.duckdb.from_connection(connection)
        self._columns = {entry.column: f"x{index}" for index, entry in enumerate(rows.schema.inputs)}
        self.table: ir.Table = self._backend.table("rows")
        self.rows = int(self.record(self.table.aggregate(rows=self.table.count()))["rows"])

    def column(self, name: str) -> str:
        """The table's column for a data column."""
        return self._columns[name]

    def arrow(self, expression: ir.Table) -> pa.Table:
        """The answer as an Arrow table."""
        # Through DuckDB itself: Ibis 12 cannot stream from DuckDB 2.0, and would narrow a 128-bit sum.
        return self._connection.sql(str(ibis.to_sql(expression, dialect="duckdb"))).to_arrow_table()

    def record(self, expression: ir.Table) -> dict[str, Any]:
        """The answer, one row, as Python values: integers of any size."""
        relation = self._connection.sql(str(ibis.to_sql(expression, dialect="duckdb")))
        return dict(zip(relation.columns, relation.fetchall()[0], strict=True))

    def pairs(self, expression: ir.Table) -> list[tuple[Any, ...]]:
        """The answer as rows of Python values: integers of any size."""
        rows: list[tuple[Any, ...]] = self._connection.sql(str(ibis.to_sql(expression, dialect="duckdb"))).fetchall()
        return rows

    def given(self, values: pa.Array) -> ir.Table:
        """A table with the one column `value`."""
        self._connection.register("given", pa.table({"value": values}))
        return self._backend.table("given")


@contextmanager
def open_workspace(rows: Rows, columns: set[str]) -> Iterator[Workspace]:
    """Reads the rows into a database that lives as long as the context.

    Args:
        rows: the training rows.
        columns: the data columns that the analysis asks about.

    Raises:
        DataError: a value does not fit its column; names its file, row and column.
    """
    kinds = {f"x{index}": entry for index, entry in enumerate(rows.schema.inputs)}
    selected = []
    for name, value in rows.query.expressions(nulls=True).items():
        entry = kinds.get(name)
        if entry is not None and entry.column not in columns:
            continue
        if entry is not None and entry.kind == "float":
            # Zero in both signs is one value, and only finite numbers count.
            value = f"CASE WHEN {value} = 0 THEN CAST(0 AS FLOAT) WHEN isfinite({value}) THEN {value} END"
        if not name.startswith("k"):
            selected.append(f"{value} AS {identifier(name)}")
    with tempfile.TemporaryDirectory(prefix="tfwd-analysis-") as folder:
        connection = duckdb.connect(str(Path(folder) / "rows.duckdb"))
        try:
            # Nothing that is asked depends on the order, and keeping it costs memory.
            connection.execute("SET preserve_insertion_order = false")
            rows.source.attach(connection)
            where = in_split(rows.source.columns, rows.split, rows.fraction) if rows.split is not None else None
            query = rows.source.select(", ".join(selected), where=where)
            try:
                connection.execute(f"CREATE TABLE rows AS {query}")
            except ENGINE_ERRORS as error:
                raise rows.query.error(error) from None
            yield Workspace(connection, rows)
        finally:
            connection.close()
