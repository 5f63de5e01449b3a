"""The split of each row, `train`, `validation` or `test`, as an SQL expression over the kept rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from tfwd.config.preparation import SplitConfig
from tfwd.data.sql import INTEGERS, MOMENTS, as_text, digest, identifier, is_number, literal
from tfwd.errors import ConfigError, DataError
from tfwd.preparation.database import Database
from tfwd.utils.naming import nearest

_DIGITS = 13


def split_of(database: Database, table: str, split: SplitConfig, columns: Iterable[str], row: str) -> str:
    """Returns the SQL of a row's split.

    Args:
        database: holds the table.
        table: the rows to split.
        split: how to split them.
        columns: the log's own columns, whose values distinguish rows.
        row: the column that numbers the rows, for rows that are equal.

    Raises:
        ConfigError: a moment is invalid for the type of the time.
        DataError: rows lack a time that the split depends on.
    """
    known = database.columns(table)
    own = digest({column: known[column] for column in columns})
    if split.by == "random":
        return _by_share(own, split)
    if split.by == "user":
        user = _column(database, table, split.user, "user")
        text = f"coalesce({as_text(user, known[user])}, chr(30))"
        return _by_share(f"md5({text})", split)
    time = require_time(database, table, split.time, "data.split")
    _refuse_missing(database, table, time)
    if split.by == "time":
        return _by_time(database, table, split, time)
    user = identifier(_column(database, table, split.user, "user"))
    # Events of the same time are ordered by their values, not by their position.
    order = f"{identifier(time)} DESC, {own} DESC, {identifier(row)} DESC"
    number = f"row_number() OVER (PARTITION BY {user} ORDER BY {order})"
    test, validation = int(split.test), int(split.validation)
    last = f"WHEN {number} <= {test} THEN 'test' WHEN {number} <= {test + validation} THEN 'validation'"
    # Rows without a user are nobody's last rows.
    return f"CASE WHEN {user} IS NULL THEN 'train' {last} ELSE 'train' END"


def require_time(database: Database, table: str, column: str | None, key: str) -> str:
    """Returns the column of an event's time.

    Raises:
        DataError: it is missing.
        ConfigError: its type has no order of time.
    """
    name = _column(database, table, column, "time", key)
    found = database.columns(table)[name]
    if not is_number(found) and not found.startswith(MOMENTS):
        raise ConfigError(
            f"{key}.time: {name!r} is {found} in {database.name}, which has no order of time. Make it a number or a "
            f'moment in data.columns, as in {name}: "cast({name} as bigint)" or "cast({name} as timestamp)".'
        )
    return name


def _column(database: Database, table: str, column: str | None, role: str, key: str = "data.split") -> str:
    assert column is not None
    known = database.columns(table)
    if column not in known:
        raise DataError(f"{key}.{role}: {database.name} has no column {column!r}.{nearest(column, known)}")
    return column


def _by_share(hashed: str, split: SplitConfig) -> str:
    test, validation = split.share("test"), split.share("validation")

    def below(share: float) -> str:
        return f"{hashed} < {literal(f'{round(share * 16**_DIGITS):0{_DIGITS}x}')}"

    return f"CASE WHEN {below(test)} THEN 'test' WHEN {below(test + validation)} THEN 'validation' ELSE 'train' END"


def _refuse_missing(database: Database, table: str, time: str) -> None:
    value = identifier(time)
    missing = database.run(f"SELECT count(*) FROM {table} WHERE {value} IS NULL OR {value}::VARCHAR = 'nan'")[0][0]
    if missing:
        raise DataError(
            f"data.split: {missing:,} rows of {database.name} have no {time}. Leave them out, for example with "
            f"data.filter: {time} is not null."
        )


def _by_time(database: Database, table: str, split: SplitConfig, time: str) -> str:
    found = database.columns(table)[time]
    rows = database.run(f"SELECT count(*) FROM {table}")[0][0]
    cuts: dict[str, str | None] = {"validation": None, "test": None}
    later = 0.0
    for name in ("test", "validation"):
        value = split.test if name == "test" else split.validation
        if isinstance(value, str) or value >= 1:
            cuts[name] = moment_sql(value, found, f"data.split.{name}")
        elif value > 0 and rows:
            later += value
            # Before the test rows of a moment, the share is still a share of all rows.
            cuts[name] = _cut(database, table, time, found, rows - round(later * rows), rows)
        if isinstance(value, str) or value >= 1:
            counted = f"SELECT count(*) FROM {table} WHERE {identifier(time)} >= {cuts[name]}"
            later = max(later, database.run(counted, f"data.split.{name}")[0][0] / max(rows, 1))
    clauses = [f"WHEN {identifier(time)} >= {cut} THEN '{name}'" for name, cut in reversed(cuts.items()) if cut]
    return f"CASE {' '.join(clauses)} ELSE 'train' END" if clauses else "'train'"


def _cut(database: Database, table: str, time: str, found: str, at: int, rows: int) -> str:
    """Returns the first moment of a split that begins at a position in time order, or the last moment before it."""
    query = f"SELECT {identifier(time)} FROM {table} ORDER BY 1 LIMIT 1 OFFSET {min(at, rows - 1)}"
    value = database.run(f"SELECT CAST(({query}) AS VARCHAR)")[0][0]
    return f"CAST({literal(value)} AS {found})"


def moment_sql(value: str | float, found: str, key: str) -> str:
    """Returns the SQL of a moment in the type of a time.

    Raises:
        ConfigError: it is invalid for that type.
    """
    if not isinstance(value, str):
        if not is_number(found):
            raise ConfigError(f"{key}: {value!r} is a number and the time is {found}: give a date, such as 2000-12-01.")
        return repr(value)
    if found.startswith(MOMENTS):
        return f"CAST({literal(value)} AS {found})"
    try:
        given = datetime.fromisoformat(value)
    except ValueError:
        raise ConfigError(
            f"{key}: {value!r} is not a date or moment, such as 2000-12-01 or 2000-12-01T12:00."
        ) from None
    if found not in INTEGERS:
        raise ConfigError(f"{key}: the time is {found}, and a date stands for whole seconds since 1970: give a number.")
    return repr(int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()))
