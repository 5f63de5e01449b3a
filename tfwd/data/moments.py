"""Dates and moments of a source as seconds since 1970, in DuckDB's SQL."""

from __future__ import annotations

from tfwd.data.sql import INTEGERS, WIDE_INTEGERS, as_integer, identifier, is_fractional, literal
from tfwd.layers.calendar import FIRST_SECOND, LAST_SECOND

# The value of `Input.moment` for text that says seconds, and for ISO 8601.
SECONDS, ISO = "seconds", ""
# A day, or a moment with a time of day and perhaps an offset. DuckDB's own cast takes more: 'epoch', zones by name, BC.
_ISO = r"\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)?\s*"


def is_moment(duckdb_type: str) -> bool:
    """Whether a column of a type can be read as moments: days, timestamps, text and whole numbers."""
    return (
        duckdb_type in INTEGERS
        or duckdb_type in WIDE_INTEGERS
        or is_fractional(duckdb_type)
        or duckdb_type in ("VARCHAR", "DATE")
        or duckdb_type.startswith("TIMESTAMP")
    )


def seconds(column: str, duckdb_type: str, moment: str) -> str:
    """A column as seconds since 1970-01-01 UTC, BIGINT, rounded down; NULL where it is missing.

    A value that is no moment of the years 1 to 9999 is a conversion error.

    Args:
        column: its name.
        duckdb_type: as the source reads it.
        moment: how text says it; see `tfwd.schema.Input`.
    """
    name, found = identifier(column), _seconds(column, duckdb_type, moment)
    # The '!' stands beside the column, since a constant would be refused before any row is read.
    refused = f"CAST('!' || CAST({name} AS VARCHAR) AS BIGINT)"
    return f"CASE WHEN {_is_missing(name, duckdb_type)} THEN NULL WHEN {_fits(found)} THEN {found} ELSE {refused} END"


def is_bad_moment(column: str, duckdb_type: str, moment: str) -> str:
    """The condition under which `seconds` raises a conversion error in a row."""
    name = identifier(column)
    found = f"TRY({_seconds(column, duckdb_type, moment)})"
    return f"(NOT coalesce({_is_missing(name, duckdb_type)}, true) AND NOT {_fits(found)})"


def expected(moment: str) -> str:
    """What a value should have been, for a message."""
    if moment == ISO:
        return "a date of ISO 8601, such as 2024-02-29 or 2024-02-29T17:30:00Z, from the year 1 to 9999"
    if moment == SECONDS:
        return "whole seconds since 1970, from the year 1 to 9999"
    return f"a date of the format {moment!r}, from the year 1 to 9999"


def part(name: str, seconds: str) -> str:
    """A part of a moment, BIGINT; see `tfwd.layers.datetime_parts.DatetimeParts`."""
    moment = f"make_timestamp(({seconds}) * 1000000)"
    if name == "weekend":
        return f"CAST(isodow({moment}) >= 6 AS BIGINT)"
    return f"CAST({'isodow' if name == 'weekday' else name}({moment}) AS BIGINT)"


def age_in_days(seconds: str, reference: str) -> str:
    """How many days a moment lies before another, FLOAT."""
    return f"CAST((({reference}) - ({seconds})) / CAST(86400 AS DOUBLE) AS FLOAT)"


def angle(function: str, value: str, first: int, count: int) -> str:
    """The sine or cosine of a part that comes around again, FLOAT."""
    return f"CAST({function}(2 * pi() * (({value}) - {first}) / {count}) AS FLOAT)"


def _is_missing(name: str, duckdb_type: str) -> str:
    if duckdb_type == "VARCHAR":
        return f"({name} IS NULL OR {name} = '')"
    if duckdb_type in ("FLOAT", "DOUBLE"):
        return f"({name} IS NULL OR isnan({name}))"
    return f"({name} IS NULL)"


def _fits(found: str) -> str:
    return f"coalesce(({found}) BETWEEN {FIRST_SECOND} AND {LAST_SECOND}, false)"


def _seconds(column: str, duckdb_type: str, moment: str) -> str:
    name = identifier(column)
    if duckdb_type == "VARCHAR":
        if moment == SECONDS:
            return f"CASE WHEN regexp_full_match({name}, '[+-]?[0-9]{{1,12}}') THEN TRY_CAST({name} AS BIGINT) END"
        if moment == ISO:
            parsed = f"CASE WHEN regexp_full_match({name}, {literal(_ISO)}) THEN TRY_CAST({name} AS TIMESTAMPTZ) END"
            return _floor(parsed)
        # It takes this word for 1970.
        return _floor(f"CASE WHEN lower(trim({name})) <> 'epoch' THEN try_strptime({name}, {literal(moment)}) END")
    if duckdb_type == "DATE":
        return _floor(f"TRY_CAST({name} AS TIMESTAMP)")
    if duckdb_type.startswith("TIMESTAMP"):
        # Those of seconds and milliseconds have no way to microseconds in the year 1 but a cast.
        coarse = duckdb_type in ("TIMESTAMP_S", "TIMESTAMP_MS")
        return _floor(f"TRY_CAST({name} AS TIMESTAMP)" if coarse else name)
    return as_integer(column, duckdb_type)


def _floor(timestamp: str) -> str:
    """Microseconds as seconds: DuckDB's own division goes towards 0."""
    micro = f"epoch_us({timestamp})"
    return f"({micro} // 1000000 - CAST({micro} % 1000000 < 0 AS BIGINT))"
