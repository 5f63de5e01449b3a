"""Columns computed from others of the row, as SQL, in the same way when a log is prepared and a file is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from tfwd.data.engine import one
from tfwd.data.filters import measured, reads
from tfwd.data.scans import Block, Scan
from tfwd.data.sql import identifier
from tfwd.errors import ConfigError, DataError


def key_of(name: str) -> str:
    """The configuration's key of a computed column, for messages."""
    return f"data.columns.{name}"


def value(columns: dict[str, str], name: str, expression: str, sizes: dict[str, int]) -> str:
    """The SQL of a computed column.

    Args:
        columns: column -> DuckDB type, of the rows that it is computed from.
        name: the name of the computed column, which replaces an existing one of this name.
        expression: SQL, as the user wrote it.
        sizes: about how long the strings of computed columns are, by name in lower case; this one's is added.

    Raises:
        ConfigError: the expression is more than SQL on a row, or the name differs from a column's only in case.
    """
    twin = next((column for column in columns if column.lower() == name.lower() and column != name), None)
    if twin is not None:
        raise ConfigError(f"{key_of(name)} differs from the column {twin!r} only in case. Give it another name.")
    written, sizes[name.lower()] = measured(expression, columns, key_of(name), sizes)
    return written


def selected(columns: Mapping[str, str], values: Mapping[str, str]) -> str:
    """The list after SELECT of all columns and the computed ones, which replace columns of the same name."""
    named = {name: f"{sql} AS {identifier(name)}" for name, sql in values.items()}
    replaced = ", ".join(named[name] for name in named if name in columns)
    added = [named[name] for name in named if name not in columns]
    return ", ".join([f"* REPLACE ({replaced})" if replaced else "*", *added])


class ComputedScan:
    """A relation with additional columns, each computed from those before it.

    Args:
        scan: the rows.
        columns: computed column -> SQL, as the user wrote it, in order.
        name: the name of the source, for messages.

    Raises:
        ConfigError: a column cannot be computed from the available ones.
    """

    def __init__(self, scan: Scan, columns: Mapping[str, str], name: str) -> None:
        self.file_names: Sequence[str] = scan.file_names
        self.reads, self.connection = scan.reads, scan.connection
        self.lists_of_one, self.computed = scan.lists_of_one, scan.computed
        self.levels, self.is_csv = scan.levels, scan.is_csv
        self.columns = dict(scan.columns)
        self._scan, self._name = scan, name
        sizes = dict(scan.sizes)
        self.sizes: Mapping[str, int] = sizes
        # What is selected of the rows, of what that gives, and so on: columns that don't read each other stand in one.
        self._selects: list[tuple[dict[str, str], dict[str, str]]] = []
        for column, expression in columns.items():
            read = reads(expression, key_of(column))
            if not self._selects or any(made.lower() in read for made in self._selects[-1][1]):
                self._selects.append((dict(self.columns), {}))
            before, values = self._selects[-1]
            values[column] = value(before, column, expression, sizes)
            self.columns[column] = self._type(before, values[column], column, read)

    def _type(self, columns: dict[str, str], sql: str, name: str, read: set[str]) -> str:
        # Of the columns' types alone, so that no file is opened.
        nothing = [f"CAST(NULL AS {columns[c]}) AS {identifier(c)}" for c in columns if c.lower() in read]
        try:
            query = f"DESCRIBE SELECT {sql} AS value FROM (SELECT {', '.join(nothing) or '1'})"
            connection = self.connection.cursor()
            return str(connection.sql(one(connection, query)).fetchall()[0][1])
        except (duckdb.ProgrammingError, duckdb.DataError) as error:
            raise ConfigError(f"{self._cannot(name)}: {_reason(error)}.") from None

    def _cannot(self, name: str) -> str:
        return f"{key_of(name)} cannot be computed for the rows of {self._name}"

    def fault(self, connection: duckdb.DuckDBPyConnection) -> DataError | None:
        """What is wrong with the first column that cannot be computed for every row, if there is one."""
        for index, (_, values) in enumerate(self._selects):
            rows = self._wrapped(self._scan.relation(), index)
            for name, sql in values.items():
                try:
                    connection.sql(one(connection, f"SELECT max(CAST({sql} AS VARCHAR)) FROM {rows}")).fetchall()
                except (duckdb.ProgrammingError, duckdb.DataError) as error:
                    if "CSV Error" in str(error):
                        return None
                    return DataError(f"{self._cannot(name)}: {_reason(error)}.")
        return None

    def attach(self, connection: duckdb.DuckDBPyConnection, block: Block | None = None) -> None:
        """Makes the rows known to a connection."""
        self._scan.attach(connection, block)

    def relation(self, file: int | None = None) -> str:
        """The rows with the computed columns."""
        return self._wrapped(self._scan.relation(file), len(self._selects))

    def block(self, block: Block) -> str:
        """The rows of one block, with the computed columns."""
        return self._wrapped(self._scan.block(block), len(self._selects))

    def blocks(self) -> list[Block]:
        """The blocks of the rows."""
        return self._scan.blocks()

    def _wrapped(self, relation: str, count: int) -> str:
        for columns, values in self._selects[:count]:
            relation = f"(SELECT {selected(columns, values)} FROM {relation})"
        return relation


def _reason(error: duckdb.Error) -> str:
    return str(error).splitlines()[0].partition("Error: ")[2].rstrip(".!")
