"""The rows in a range of time, as an SQL condition."""

from __future__ import annotations

from tfwd.config.data import DataConfig
from tfwd.data.sql import FLOATS, identifier
from tfwd.errors import ConfigError, DataError
from tfwd.preparation.database import Database
from tfwd.preparation.split import moment_sql, require_time


def within(database: Database, table: str, data: DataConfig) -> str | None:
    """Returns the SQL of `data.since` <= time < `data.until`, None if neither is given. Rows without time are outside.

    Args:
        database: holds the table.
        table: the log.
        data: the configuration's data section.

    Raises:
        ConfigError: the column has no order of time, a bound is invalid, or the range ends before it begins.
        DataError: the column is missing, or no row is in the range.
    """
    if not data.ranged:
        return None
    time = require_time(database, table, data.event_time, "data")
    name, found = identifier(time), database.columns(table)[time]
    there = name
    if found in FLOATS:
        # DuckDB orders NaN after all times.
        there = f"CASE WHEN NOT isnan({name}) THEN {name} END"
    bounds: dict[str, str] = {}
    for key in ("since", "until"):
        value = getattr(data, key)
        if value is not None:
            bounds[key] = moment_sql(value, found, f"data.{key}")
            database.run(f"SELECT {bounds[key]}", f"data.{key}")
    if len(bounds) == 2 and not database.run(f"SELECT {bounds['since']} < {bounds['until']}")[0][0]:
        raise ConfigError(
            f"data.since, {data.since}, must be before data.until, {data.until}: the rows of the first are trained on, "
            "those of the second are not any more."
        )
    signs = {"since": ">=", "until": "<"}
    condition = " AND ".join(f"{there} {signs[key]} {bound}" for key, bound in bounds.items())
    counted = f"SELECT count(*) FILTER ({condition}), min({there})::VARCHAR, max({there})::VARCHAR FROM {table}"
    rows, first, last = database.run(counted)[0]
    if not rows:
        asked = " and ".join(f"data.{key} = {getattr(data, key)}" for key in bounds)
        raise DataError(
            f"No row of {database.name} is in the range of {asked}: its {time} goes from {first} to {last}."
        )
    return condition
