"""The SQL of a column whose rows are lists of values: Parquet's and Arrow's own lists, or text with a delimiter."""

from __future__ import annotations

import re
from typing import NamedTuple

from tfwd.data.sql import as_float, identifier, is_bad, literal, typed
from tfwd.schema import Kind

# The name of a lambda's parameter; no column is read inside the lambda.
_ITEM = "item"
_NAME = identifier(_ITEM)


class Items(NamedTuple):
    """The values of a row, as in the data.

    Attributes:
        sql: a list, NULL where there is none.
        type: the type of a value, as DuckDB names it.
    """

    sql: str
    type: str


def value_type(duckdb_type: str) -> str | None:
    """Returns the type of a list's values, None for any other type. Lists of a fixed length count as lists."""
    match = re.fullmatch(r"(.+)\[\d*\]", duckdb_type, re.DOTALL)
    return match[1] if match else None


def fixed_length(duckdb_type: str) -> int | None:
    """Returns the length of lists of a fixed length, None for any other type."""
    match = re.fullmatch(r".+\[(\d+)\]", duckdb_type, re.DOTALL)
    return int(match[1]) if match else None


def items(column: str, duckdb_type: str, delimiter: str | None, lists_of_one: bool = False) -> Items | None:
    """Returns a column's rows as lists.

    Args:
        column: its name.
        duckdb_type: as the source reads it.
        delimiter: what separates the values in a string; lists need none.
        lists_of_one: whether a column of single values may stand for lists of at most one value.

    Returns:
        The lists, or None if there are none: text without a delimiter, or a single value per row.
    """
    name = identifier(column)
    inner = value_type(duckdb_type)
    if inner is not None:
        return Items(name if duckdb_type.endswith("[]") else f"CAST({name} AS {inner}[])", inner)
    if duckdb_type == "VARCHAR" and delimiter is not None:
        return Items(f"string_split(NULLIF({name}, ''), {literal(delimiter)})", "VARCHAR")
    if lists_of_one:
        return Items(f"CASE WHEN {name} IS NOT NULL THEN [{name}] END", duckdb_type)
    return None


def values(given: Items, kind: Kind, length: int) -> str:
    """Returns the latest `length` of a row's values as a list of the schema's kind of input; never NULL.

    A missing value (NULL, "", NaN) is left out of text and whole numbers; among floats it is NULL.
    """
    kept = given.sql
    if kind == "string" and given.type == "VARCHAR":
        kept = f"list_filter({kept}, lambda {_NAME}: {_NAME} <> '')"
    else:
        kept = f"list_transform({kept}, lambda {_NAME}: {typed(_ITEM, given.type, kind, nulls=True)})"
        if kind != "float":
            kept = f"list_filter({kept}, lambda {_NAME}: {_NAME} IS NOT NULL)"
    return _latest(kept, length)


def vector(given: Items, length: int) -> str:
    """Returns a row's vector: a list of FLOAT, NULL where a number is missing; empty if there is no vector.

    More or fewer than `length` numbers are a conversion error.
    """
    numbers = f"list_transform({given.sql}, lambda {_NAME}: {as_float(_ITEM, given.type)})"
    return f"CASE WHEN {is_other_length(given, length)} THEN {_refused(given)} ELSE coalesce({numbers}, []) END"


def is_other_length(given: Items, length: int) -> str:
    """Returns the condition under which `vector` finds more or fewer numbers than there should be."""
    return f"(len({given.sql}) <> {length})"


def length_text(given: Items) -> str:
    """Returns what is found there, in words."""
    return f"len({given.sql}) || CASE WHEN len({given.sql}) = 1 THEN ' number' ELSE ' numbers' END"


def _refused(given: Items) -> str:
    # Refused like a value of the wrong kind, whose place is also found afterwards.
    return f"CAST('!' || CAST({given.sql} AS VARCHAR) AS FLOAT[])"


def weights(given: Items, of: Items, kind: Kind, length: int) -> str:
    """Returns the weights of what `values` gives: a list of FLOAT, NULL where a weight is missing; never NULL.

    It is empty if a row has values and no list of weights, and a conversion error if it has both in different
    numbers.

    Args:
        given: the weights.
        of: the values.
        kind: the kind of the values.
        length: as for the values.
    """
    if kind == "string" and of.type == "VARCHAR":
        present = f"coalesce({_NAME} <> '', false)"
    else:
        present = f"{typed(_ITEM, of.type, kind, nulls=True)} IS NOT NULL"
    numbers = f"list_transform({given.sql}, lambda {_NAME}: {as_float(_ITEM, given.type)})"
    kept = f"list_where({numbers}, list_transform({of.sql}, lambda {_NAME}: {present}))"
    return f"CASE WHEN {are_uneven(given, of)} THEN {_refused(given)} ELSE {_latest(kept, length)} END"


def are_uneven(given: Items, of: Items) -> str:
    """Returns the condition under which `weights` finds more or fewer weights than values."""
    return f"(len({given.sql}) <> coalesce(len({of.sql}), 0))"


def uneven_text(given: Items, of: Items) -> str:
    """Returns what is found there, in words."""
    return f"len({given.sql}) || ' weights for ' || coalesce(len({of.sql}), 0) || ' values'"


def bad(given: Items, kind: Kind) -> tuple[str, str] | None:
    """Returns the condition under which `values` raises a conversion error in a row, and the text of the bad value.

    None if it never does.
    """
    condition = is_bad(_ITEM, given.type, kind)
    if condition is None:
        return None
    found = f"list_filter({given.sql}, lambda {_NAME}: {condition})"
    return f"len({found}) > 0", f"CAST({found}[1] AS VARCHAR)"


def _latest(values: str, length: int) -> str:
    return f"coalesce({values}[-{length}:], [])"
