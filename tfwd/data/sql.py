"""Pieces of DuckDB SQL: quoting, the typed form of a column, and the digest of a row that splits the data."""

from __future__ import annotations

from collections.abc import Iterable

from tfwd.schema import MISSING_INTEGER, Kind

INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
WIDE_INTEGERS = frozenset({"UBIGINT", "HUGEINT", "UHUGEINT"})
FLOATS = frozenset({"FLOAT", "DOUBLE"})
TEXTS = frozenset({"VARCHAR", "UUID"})
MOMENTS = ("DATE", "TIME")

# Hexadecimal digits of the digest that decide the split: 52 bits, what a Python float holds exactly.
_DIGITS = 13


def identifier(name: str) -> str:
    """Returns a column's name, quoted."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Returns a string, quoted."""
    return "'" + text.replace("'", "''") + "'"


def is_fractional(duckdb_type: str) -> bool:
    """Returns whether a type holds numbers with a fraction."""
    return duckdb_type in FLOATS or duckdb_type.startswith("DECIMAL")


def is_number(duckdb_type: str) -> bool:
    """Returns whether a type holds numbers (text that holds numbers is judged by its rows)."""
    return duckdb_type in INTEGERS or duckdb_type in WIDE_INTEGERS or is_fractional(duckdb_type)


def is_scalar(duckdb_type: str) -> bool:
    """Returns whether a type can be formatted as a category: text, whole numbers, truth values, days and moments."""
    return (
        duckdb_type in INTEGERS
        or duckdb_type in WIDE_INTEGERS
        or duckdb_type in TEXTS
        or duckdb_type == "BOOLEAN"
        or duckdb_type.startswith(("ENUM", *MOMENTS))
    )


def as_text(column: str, duckdb_type: str) -> str:
    """Returns the text form of a column, NULL where it is NULL; moments with a time zone are in UTC."""
    name = identifier(column)
    if duckdb_type == "VARCHAR":
        return name
    if duckdb_type == "TIMESTAMP WITH TIME ZONE":
        return f"CAST({name} AT TIME ZONE 'UTC' AS VARCHAR)"
    return f"CAST({name} AS VARCHAR)"


def as_double(column: str, duckdb_type: str) -> str:
    """Returns a column as DOUBLE; empty text is NULL, other text that is not a number is a conversion error."""
    name = identifier(column)
    if duckdb_type == "DOUBLE":
        return name
    return f"CAST(NULLIF({name}, '') AS DOUBLE)" if duckdb_type == "VARCHAR" else f"CAST({name} AS DOUBLE)"


def as_float(column: str, duckdb_type: str) -> str:
    """Returns a column as FLOAT; beyond the range of float32 it is NULL, like any value that is missing."""
    if duckdb_type == "FLOAT":
        return identifier(column)
    return f"TRY_CAST({as_double(column, duckdb_type)} AS FLOAT)"


def as_integer(column: str, duckdb_type: str) -> str:
    """Returns a column as BIGINT; a conversion error where it holds anything but a whole number."""
    name = identifier(column)
    if duckdb_type == "VARCHAR":
        # DuckDB rounds '1.5' to 2 and reads '1e3': a category is written in decimal digits or refused. The '!' makes
        # it refuse, and stands beside the column, since a constant would be refused before any row is read.
        return (
            f"CAST(CASE WHEN {name} = '' THEN NULL WHEN {_is_whole(name)} THEN {name} ELSE '!' || {name} END AS BIGINT)"
        )
    if is_fractional(duckdb_type):
        return (
            f"CAST(CASE WHEN isnan(CAST({name} AS DOUBLE)) THEN NULL WHEN {_is_whole(name, duckdb_type)} "
            f"THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) ELSE '!' || CAST({name} AS VARCHAR) END AS BIGINT)"
        )
    if duckdb_type in ("BIGINT", *WIDE_INTEGERS):
        whole = _is_whole(name, duckdb_type)
        return f"CASE WHEN {whole} THEN CAST({name} AS BIGINT) ELSE CAST('!' || {name} AS BIGINT) END"
    return f"CAST({name} AS BIGINT)"


def _is_whole(name: str, duckdb_type: str = "VARCHAR") -> str:
    """Returns the condition that a value, if present, is a whole number other than the mark of a missing one."""
    if duckdb_type == "VARCHAR":
        digits = str(MISSING_INTEGER).removeprefix("-")
        return f"regexp_full_match({name}, '[+-]?[0-9]+') AND NOT regexp_full_match({name}, '-0*{digits}')"
    form = "DOUBLE" if is_fractional(duckdb_type) else "BIGINT"
    known = f"{name} IS DISTINCT FROM CAST({literal(str(MISSING_INTEGER))} AS {form})"
    return f"({name} = trunc({name}) AND {known})" if is_fractional(duckdb_type) else known


def is_bad(column: str, duckdb_type: str, kind: Kind) -> str | None:
    """Returns the condition under which `typed` raises a conversion error in a row; None if it never does."""
    name = identifier(column)
    if kind == "string" and not is_fractional(duckdb_type):
        return None
    if duckdb_type == "VARCHAR":
        filled = f"({name} IS NOT NULL AND {name} <> '')"
        if kind == "float":
            return f"({filled} AND TRY_CAST({name} AS DOUBLE) IS NULL)"
        whole = f"({_is_whole(name)} AND TRY_CAST({name} AS BIGINT) IS NOT NULL)"
        return f"({filled} AND NOT {whole})"
    if kind != "float" and is_fractional(duckdb_type):
        return (
            f"(NOT isnan(CAST({name} AS DOUBLE)) AND (NOT {_is_whole(name, duckdb_type)} "
            f"OR TRY_CAST({name} AS BIGINT) IS NULL))"
        )
    if kind == "integer" and duckdb_type in ("BIGINT", *WIDE_INTEGERS):
        whole = _is_whole(name, duckdb_type)
        return f"({name} IS NOT NULL AND (TRY_CAST({name} AS BIGINT) IS NULL OR NOT {whole}))"
    return None


def typed(column: str, duckdb_type: str, kind: Kind, *, nulls: bool = False) -> str:
    """Returns a column converted to the kind of input in the schema.

    Args:
        column: its name.
        duckdb_type: as the source reads it.
        kind: the kind of the input.
        nulls: whether to leave missing values NULL; otherwise a missing string is "" and a missing integer
            `MISSING_INTEGER`. A missing float is NULL in any case: it is NaN outside SQL.
    """
    if kind == "float":
        return as_float(column, duckdb_type)
    if kind == "integer":
        value = as_integer(column, duckdb_type)
        return value if nulls else f"coalesce({value}, CAST({literal(str(MISSING_INTEGER))} AS BIGINT))"
    # The text of a float is that of a whole number: pandas turns integers into floats if any in the column is missing.
    whole = is_fractional(duckdb_type)
    value = f"CAST({as_integer(column, duckdb_type)} AS VARCHAR)" if whole else as_text(column, duckdb_type)
    return f"NULLIF({value}, '')" if nulls else f"coalesce({value}, '')"


def in_split(columns: dict[str, str], split: str, fraction: float) -> str:
    """Returns the condition that a row is in a split: the MD5 of its columns, in [0, 1), against `fraction`.

    It depends only on the row's own text, so that equal rows stay together, and no run, machine, order or number of
    files moves a row. NULL and "" differ.

    Args:
        columns: all columns of the source with their types.
        split: `validation` (below `fraction`) or `train`.
        fraction: the share of validation rows.
    """
    threshold = literal(f"{round(fraction * 16**_DIGITS):0{_DIGITS}x}")
    return f"{digest(columns)} {'<' if split == 'validation' else '>='} {threshold}"


def digest(columns: dict[str, str]) -> str:
    """Returns the MD5 of a row's columns, by name, as hexadecimal text."""
    fields = [f"coalesce({as_text(column, columns[column])}, chr(30))" for column in sorted(columns)]
    return f"md5(concat_ws(chr(31), {', '.join(fields)}))"


def both(conditions: Iterable[str | None]) -> str:
    """Returns ` WHERE` with all the conditions that are not None, or the empty string."""
    given = [f"({condition})" for condition in conditions if condition]
    return " WHERE " + " AND ".join(given) if given else ""
