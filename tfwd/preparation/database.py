"""The temporary database in which rows are prepared: memory is bounded, the rest is on disk, errors name the key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.sql.datatypes import DuckDBType

from tfwd.data.engine import connect, one
from tfwd.data.failures import ENGINE_ERRORS, explain
from tfwd.errors import ConfigError, DataError, RunError


class Database:
    """A DuckDB database that lives as long as a preparation.

    Args:
        folder: where it puts what memory has no room for.
        name: the name of the log, for messages.
        reads: the files that are read.
        writes: the folder in which files are made.
    """

    def __init__(self, folder: Path, name: str, reads: Iterable[str] = (), writes: Path | None = None) -> None:
        self.name = name
        # The approximate length of the strings of computed columns, by lower-case name.
        self.sizes: dict[str, int] = {}
        # Lists of a long log are large, and expensive to sort on disk: they get this share of the memory first.
        settings = {"memory_limit": "40%"}
        places = [] if writes is None else [writes]
        self.connection = connect(reads, writes=places, temporary=folder, settings=settings)

    def run(self, query: str, key: str | None = None) -> list[tuple]:
        """Executes a query and returns its rows; if it fails, says what is wrong with the configuration's `key`.

        Raises:
            ConfigError: types do not match, or a type or a pattern is invalid.
            DataError: a value cannot be read or computed.
            RunError: the disk is full.
        """
        try:
            return self.connection.execute(one(self.connection, query)).fetchall()
        except (duckdb.ProgrammingError, duckdb.DataError) as error:
            if key is None:
                raise explain(error, self.name) from None
            reason = str(error).splitlines()[0].partition("Error: ")[2].rstrip(".!")
            kind = ConfigError if isinstance(error, duckdb.ProgrammingError) else DataError
            raise kind(f"{key} cannot be computed for the rows of {self.name}: {reason}.") from None
        except ENGINE_ERRORS as error:
            if "No space left" in str(error):
                raise RunError(f"The rows of {self.name} cannot be prepared: the disk is full.") from None
            raise explain(error, self.name) from None

    def columns(self, table: str) -> dict[str, str]:
        """Returns the DuckDB type of each column."""
        return {row[0]: row[1] for row in self.connection.execute(f"DESCRIBE {table}").fetchall()}

    def table(self, name: str) -> ir.Table:
        """Returns a table for Ibis. It is declared, not looked up: an Ibis backend would open its own database."""
        types = {column: DuckDBType.from_string(found) for column, found in self.columns(name).items()}
        return ibis.table(types, name=name)

    def create(self, name: str, query: str | ir.Table, key: str | None = None) -> None:
        """Makes a table from a query or an expression."""
        text = query if isinstance(query, str) else str(ibis.to_sql(query, dialect="duckdb"))
        self.run(f"CREATE OR REPLACE TABLE {name} AS {text}", key)


@contextmanager
def open_database(folder: Path, name: str, reads: Iterable[str] = (), writes: Path | None = None) -> Iterator[Database]:
    """Opens a database with its temporary files in `folder`; see `Database`."""
    database = Database(folder, name, reads, writes)
    try:
        yield database
    finally:
        database.connection.close()
