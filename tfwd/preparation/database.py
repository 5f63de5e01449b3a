"""The temporary database in which rows are prepared: bounded memory, the rest on disk, and errors that name the key."""

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
    """A DuckDB that lives as long as a preparation.

    Args:
        folder: where it puts what memory has no room for.
        name: of the log, for messages.
        reads: the files that are read.
        writes: the folder in which files are made.
    """

    def __init__(self, folder: Path, name: str, reads: Iterable[str] = (), writes: Path | None = None) -> None:
        self.name = name
        # About how long the texts of computed columns are, by name in lower case.
        self.sizes: dict[str, int] = {}
        # Lists of a long log are large, and dear to sort on disk: so much of the machine's memory, the rest goes there.
        settings = {"memory_limit": "40%"}
        places = [] if writes is None else [writes]
        self.connection = connect(reads, writes=places, temporary=folder, settings=settings)

    def run(self, query: str, key: str | None = None) -> list[tuple]:
        """Executes a query, says what is wrong with the configuration's `key` when it fails, and gives its rows.

        Raises:
            ConfigError: types that do not go together, or a type or a pattern that is none.
            DataError: a value that cannot be read or computed.
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
        """Column -> DuckDB type."""
        return {row[0]: row[1] for row in self.connection.execute(f"DESCRIBE {table}").fetchall()}

    def table(self, name: str) -> ir.Table:
        """A table for Ibis. Declared, not looked up: a backend of Ibis would open a database of its own."""
        types = {column: DuckDBType.from_string(found) for column, found in self.columns(name).items()}
        return ibis.table(types, name=name)

    def create(self, name: str, query: str | ir.Table, key: str | None = None) -> None:
        """Makes a table of a query or an expression."""
        text = query if isinstance(query, str) else str(ibis.to_sql(query, dialect="duckdb"))
        self.run(f"CREATE OR REPLACE TABLE {name} AS {text}", key)


@contextmanager
def open_database(folder: Path, name: str, reads: Iterable[str] = (), writes: Path | None = None) -> Iterator[Database]:
    """A database with its temporary files in `folder`; see `Database`."""
    database = Database(folder, name, reads, writes)
    try:
        yield database
    finally:
        database.connection.close()
