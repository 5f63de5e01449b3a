"""The whole log as one table: the rows of a source, the columns of joined tables, and computed columns."""

from __future__ import annotations

from tfwd.config.data import DataConfig
from tfwd.data.computed import key_of, selected, value
from tfwd.data.failures import reading
from tfwd.data.source import Source
from tfwd.data.sql import as_text, identifier, is_number
from tfwd.errors import DataError
from tfwd.preparation.database import Database
from tfwd.utils.naming import nearest

LOG = "log"


def make_log(database: Database, source: Source, joined: list[Source], data: DataConfig, row: str) -> None:
    """Makes the table `log`.

    Args:
        database: where the table is made.
        source: the events, without a filter.
        joined: the tables of `data.join`.
        data: the configuration's data section.
        row: the name of the column that numbers the rows from 1.

    Raises:
        ConfigError: a column is computed from one that does not exist, or from types that do not match.
        DataError: a table to join has a key twice, or a value cannot be computed.
    """
    source.attach(database.connection)
    numbered = source.select(f"row_number() OVER () AS {identifier(row)}, *")
    database.create(LOG, numbered)
    for index, (table, join) in enumerate(zip(joined, data.join, strict=True)):
        key = f"data.join[{index}]"
        add(database, LOG, table, join.on, key, source.name)
        _refuse_strangers(database, table, join.on, key, source.name)
    for name, expression in data.columns.items():
        compute(database, LOG, name, expression, row)


def add(database: Database, into: str, table: Source, on: str, key: str, log: str) -> None:
    """Adds the columns of a joined table that do not exist yet.

    Args:
        database: holds the rows.
        into: their table.
        table: the table to join.
        on: the column to join on, in both.
        key: the configuration key, for messages.
        log: the name of the rows in messages.

    Raises:
        DataError: either table lacks the column, the joined table has a value of it twice, or a column's name differs
            from another's only in case.
    """
    known = database.columns(into)
    if on not in known:
        raise DataError(f"{key}: {log} has no column {on!r} to join {table.name} on.{nearest(on, known)}")
    load_table(database, table, on, key)
    added = [column for column in table.columns if column not in known]
    by_case = {column.lower(): column for column in known}
    twin = next((column for column in added if column.lower() in by_case), None)
    if twin is not None:
        raise DataError(
            f"{key}: the column {twin!r} of {table.name} differs from {by_case[twin.lower()]!r} of {log} only in case. "
            "Rename one of them."
        )
    columns = ", ".join(f"r.{identifier(column)}" for column in added)
    if added:
        matched = _matched(on, known[on], table.columns[on])
        database.create(into, f"SELECT l.*, {columns} FROM {into} AS l LEFT JOIN joined AS r ON {matched}", key)


def _matched(on: str, left: str, right: str) -> str:
    """Returns the condition that a row `l` matches the row `r`, for columns of two types."""
    name = identifier(on)
    if left == right or (is_number(left) and is_number(right)):
        return f"l.{name} = r.{name}"
    # 42 in a Parquet file may be "42" in a CSV file.
    texts = (as_text(on, kind).replace(name, f"{side}.{name}") for kind, side in ((left, "l"), (right, "r")))
    return " = ".join(texts)


def _refuse_strangers(database: Database, table: Source, on: str, key: str, log: str) -> None:
    """Refuses a join in which no keys match, such as 42.0 and "42"."""
    name, kind = identifier(on), database.columns(LOG)[on]
    found = f"EXISTS (SELECT 1 FROM {LOG} AS l SEMI JOIN joined AS r ON {_matched(on, kind, table.columns[on])})"
    query = f"SELECT {found}, (SELECT min({name}) FROM {LOG})::VARCHAR, (SELECT min({name}) FROM joined)::VARCHAR"
    known, left, right = database.run(query)[0]
    if not known and left is not None:
        raise DataError(
            f"{key}: no {on} of {log}, such as {left!r}, is in {table.name}"
            + (f", which has {right!r}. " if right is not None else ". ")
            + f"They are {kind} and {table.columns[on]}."
        )


def load_table(database: Database, table: Source, on: str, key: str) -> None:
    """Makes the table `joined` from one that is joined on a column.

    Raises:
        DataError: it cannot be read, lacks the column, or has a value of it twice.
    """
    table.require(on, f"{key}.on")
    table.attach(database.connection)
    with reading(table.name):
        database.connection.execute(f"CREATE OR REPLACE TABLE joined AS {table.select('*')}")
    name = identifier(on)
    counted = f"SELECT {name}, count(*) FROM joined WHERE {name} IS NOT NULL GROUP BY 1"
    twice = database.run(f"{counted} HAVING count(*) > 1 ORDER BY 1 LIMIT 1")
    if twice:
        raise DataError(
            f"{key}: {table.name} has {twice[0][1]} rows of {on} = {twice[0][0]!r}, and a row can be joined with one. "
            "Keep one row per key."
        )


def compute(database: Database, table: str, name: str, expression: str, row: str | None = None) -> None:
    """Adds a computed column to a table, or replaces the column of that name.

    Args:
        database: holds the table.
        table: its name.
        name: the name of the column.
        expression: SQL, as the user wrote it.
        row: the column that numbers the rows, which the expression cannot use.

    Raises:
        ConfigError, DataError: it cannot be computed.
    """
    columns = {column: kind for column, kind in database.columns(table).items() if column != row}
    values = {name: value(columns, name, expression, database.sizes)}
    database.create(table, f"SELECT {selected(columns, values)} FROM {table}", key_of(name))
