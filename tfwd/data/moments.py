"""Dates and moments of a source as seconds since 1970, in DuckDB's SQL."""

from __future__ import annotations

import re

from tfwd.data.sql import INTEGERS, WIDE_INTEGERS, as_integer, identifier, is_fractional, literal
from tfwd.dates import FIRST_SECOND, LAST_SECOND
from tfwd.schema import ISO, SECONDS

# A day, or a moment with a time of day and perhaps an offset. DuckDB's own cast takes more: 'epoch', zones by name, BC.
_ISO = r" *\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)? *"


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

    A value that is not a moment of the years 1 to 9999 is a conversion error.

    Args:
        column: its name.
        duckdb_type: as the source reads it.
        moment: the format of text; see `tfwd.schema.Input`.
    """
    if not is_moment(duckdb_type):
        # Only a column without any value has another type.
        return "CAST(NULL AS BIGINT)"
    name, found = identifier(column), _seconds(column, duckdb_type, moment)
    # The '!' stands beside the column, since a constant would be refused before any row is read.
    refused = f"CAST('!' || CAST({name} AS VARCHAR) AS BIGINT)"
    return f"CASE WHEN {_is_missing(name, duckdb_type)} THEN NULL WHEN {_fits(found)} THEN {found} ELSE {refused} END"


def is_bad_moment(column: str, duckdb_type: str, moment: str) -> str:
    """The condition under which `seconds` raises a conversion error in a row."""
    if not is_moment(duckdb_type):
        return "false"
    name = identifier(column)
    found = f"TRY({_seconds(column, duckdb_type, moment)})"
    return f"(NOT coalesce({_is_missing(name, duckdb_type)}, true) AND NOT {_fits(found)})"


def expected(duckdb_type: str, moment: str) -> str:
    """What a value should have been, for a message."""
    years = "from the year 1 to 9999"
    if duckdb_type == "DATE" or duckdb_type.startswith("TIMESTAMP"):
        return f"a moment {years}"
    if duckdb_type != "VARCHAR" or moment == SECONDS:
        return f"whole seconds since 1970, {years}"
    if moment == ISO:
        return f"an ISO 8601 date, such as 2024-02-29 or 2024-02-29T17:30:00Z, {years}"
    return f"a date in the format {moment!r}, {years}"


def advice(value: str, duckdb_type: str, moment: str) -> str:
    """What a value that is not a moment may stand for, for a message; "" if nothing is likely."""
    may_be_number = duckdb_type != "VARCHAR" or moment in (SECONDS, ISO)
    for digits, unit in ((13, "milliseconds"), (16, "microseconds"), (19, "nanoseconds")):
        if may_be_number and re.fullmatch(rf"[12]\d{{{digits - 1}}}(\.0)?", value):
            return f" If it is {unit}, divide the column by 1{'0' * (digits - 10)}, as data.columns can."
    if duckdb_type == "VARCHAR" and moment == ISO:
        if re.fullmatch(r"[12]\d{3}[01]\d[0-3]\d", value):
            return " If it is a day, give the feature format: '%Y%m%d'."
        if re.fullmatch(r"[+-]?\d{1,12}", value) and FIRST_SECOND <= int(value) <= LAST_SECOND:
            return " If it is seconds since 1970, give the feature format: seconds."
        if re.match(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b", value):
            return " Give the feature the format of its text, such as format: '%d/%m/%Y'."
    return ""


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
    """The sine or cosine of a cyclic part, FLOAT."""
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
            is_iso = f"regexp_full_match({name}, {literal(_ISO)})"
            return _floor(f"CASE WHEN {is_iso} THEN TRY_CAST(trim({name}) AS TIMESTAMPTZ) END")
        return _floor(_parsed(name, moment))
    if duckdb_type == "DATE":
        return _floor(f"TRY_CAST({name} AS TIMESTAMP)")
    if duckdb_type.endswith("_NS"):
        # A cast to microseconds rounds towards 0, and with a time zone there is no other conversion.
        return _floor(name, "ns")
    if duckdb_type.startswith("TIMESTAMP"):
        # In the year 1, only a cast converts those of seconds and milliseconds to microseconds.
        coarse = duckdb_type in ("TIMESTAMP_S", "TIMESTAMP_MS")
        return _floor(f"TRY_CAST({name} AS TIMESTAMP)" if coarse else name)
    return as_integer(column, duckdb_type)


def _parsed(name: str, format: str) -> str:
    # strptime reads this word as 1970, whatever the format.
    parsed = (
        f"CASE WHEN NOT regexp_full_match({name}, '(?i)\\s*epoch\\s*') THEN try_strptime({name}, {literal(format)}) END"
    )
    directives = re.findall("%-?(.)", format)
    function = "year" if "Y" in directives else "isoyear" if "G" in directives else None
    if function is None:
        return parsed
    # Years have four digits, as in Python: 24 for 2024 would be a year of the Romans.
    year = f"{function}({parsed})"
    return f"CASE WHEN {year} > 999 OR contains({name}, lpad(CAST({year} AS VARCHAR), 4, '0')) THEN {parsed} END"


def _floor(timestamp: str, unit: str = "us") -> str:
    """A timestamp's microseconds or nanoseconds as seconds: DuckDB's own division rounds towards 0."""
    count, second = f"epoch_{unit}({timestamp})", {"us": 10**6, "ns": 10**9}[unit]
    return f"({count} // {second} - CAST({count} % {second} < 0 AS BIGINT))"
