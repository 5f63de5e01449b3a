"""Rows of a frame in memory, as DuckDB scans an Arrow table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from tfwd.data.engine import in_memory
from tfwd.data.failures import reading
from tfwd.data.scans import Block, cut, refuse_twins
from tfwd.errors import DataError

_TABLE = "tfwd_table"
# The type of pandas' periods in Arrow.
_PERIOD = "pandas.period"


class TableScan:
    """An Arrow table in memory.

    Args:
        table: its columns.
        levels: the names of the index of the frame that it was made from.
    """

    is_csv = False
    lists_of_one = False
    computed: Mapping[str, str] = {}
    sizes: Mapping[str, int] = {}

    def __init__(self, table: pa.Table, levels: Sequence[str] = ()) -> None:
        self.levels = levels
        self.file_names: Sequence[str] = ["DataFrame"]
        refuse_twins(table.column_names, "The DataFrame")
        _check_texts(table)
        if not table.num_columns:
            raise DataError("The DataFrame has no columns.")
        self.periods = {field.name for field in table.schema if getattr(field.type, "extension_name", "") == _PERIOD}
        self._table = _plain(table)
        self.reads: Sequence[str] = []
        self.connection = in_memory()
        cursor = self.connection.cursor()
        with reading("DataFrame"):
            self.attach(cursor)
            described = cursor.sql(f"DESCRIBE SELECT * FROM {_TABLE}").fetchall()
        self.columns = {row[0]: row[1] for row in described}

    def attach(self, connection: duckdb.DuckDBPyConnection, block: Block | None = None) -> None:
        """Registers the table, or a slice of it, under the name that `relation` uses."""
        table = self._table
        if block is not None and block.stop is not None:
            table = table.slice(block.start, block.stop - block.start)
        connection.register(_TABLE, table)

    def relation(self, file: int | None = None) -> str:
        """Returns the registered name."""
        return _TABLE

    def block(self, block: Block) -> str:
        """Returns the registered name, under which `attach` put the slice."""
        return _TABLE

    def blocks(self) -> list[Block]:
        """Returns slices of `BLOCK_ROWS` rows."""
        return cut(0, self._table.num_rows)


def _check_texts(table: pa.Table) -> None:
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"The DataFrame's column {name!r} cannot be read: {reason}.") from None


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type.value_type
    if pa.types.is_string_view(kind):
        # Polars' type; Arrow cannot decode a dictionary of such strings.
        parts = [part.dictionary.cast(pa.large_string()).take(part.indices) for part in column.chunks]
        return pa.chunked_array(parts, pa.large_string())
    return column.cast(kind)


def _plain(table: pa.Table) -> pa.Table:
    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = _decoded(column)
        if pa.types.is_null(column.type):
            column = column.cast(pa.string())
        if pa.types.is_float16(column.type):
            column = column.cast(pa.float32())
        columns.append(column)
    return pa.table(columns, names=table.column_names)
