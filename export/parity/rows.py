"""Given raw rows, converted to what a model takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfwd.data.raw import in_seconds, objects
from tfwd.errors import ExportError
from tfwd.schema import MISSING_INTEGER, Input, Kind, Schema

Rows = dict[str, np.ndarray]


def as_rows(schema: Schema, rows: Mapping[str, Any]) -> Rows:
    """Converts raw rows to what the model takes.

    Args:
        schema: the schema of the model.
        rows: a column of values for every input, by input name; None is a missing value in any of them. Moments are
            seconds since 1970, datetimes or datetime64.

    Returns:
        By input, in order: object arrays of `str`, int64 or float32 arrays, all `(B,)`, or `(B, K)` for lists, where K
        is the longest of an input.

    Raises:
        ExportError: an input is missing, columns differ in length, a vector has another length than its input, a string
            is not valid UTF-8, or a value is not a number, or not an integer, where it must be one.
    """
    absent = [entry.name for entry in schema.inputs if entry.name not in rows]
    if absent:
        raise ExportError(f"The rows lack the inputs {absent}. They have: {sorted(rows)}.")
    made = {
        entry.name: (_lists if entry.length else _column)(entry.name, entry.kind, _given(entry, rows[entry.name]))
        for entry in schema.inputs
    }
    for entry in schema.inputs:
        if entry.weighs is not None:
            values = next(one.name for one in schema.inputs if one.column == entry.weighs)
            made[entry.name] = _as_wide(made[entry.name], made[values])
        if entry.fixed and made[entry.name].shape[1] != entry.length and len(made[entry.name]):
            raise ExportError(
                f"The input {entry.name!r} takes vectors of {entry.length} numbers. Received the shape "
                f"{made[entry.name].shape}"
            )
    lengths = {name: len(values) for name, values in made.items()}
    if len(set(lengths.values())) != 1:
        raise ExportError(f"The columns of the rows must have one length. Received: {lengths}")
    return made


def _given(entry: Input, values: Any) -> Any:
    """Returns the values of an input, with moments as seconds since 1970."""
    return values if entry.moment is None else in_seconds(objects(list(values)))


def _column(name: str, kind: Kind, values: Any) -> np.ndarray:
    if kind == "string":
        return objects([_text(name, value) for value in values])
    made = _float if kind == "float" else _integer
    # Via a list, as None among integers makes NumPy choose objects or floats.
    numbers = [made(name, value) for value in values]
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(np.float32) if kind == "float" else np.array(numbers, np.int64)


def _float(name: str, value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise ExportError(f"The input {name!r} takes a number. Received: {value!r}") from None


def _integer(name: str, value: Any) -> int:
    if value is None or value != value:
        return MISSING_INTEGER
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    # Neither truncated nor wrapped: 3.0 is 3, and 3.7 is invalid.
    if number is None or (not isinstance(value, str | bytes) and number != value) or not -(2**63) <= number < 2**63:
        raise ExportError(f"The input {name!r} takes a 64-bit integer. Received: {value!r}")
    return number


def _lists(name: str, kind: Kind, rows: Any) -> np.ndarray:
    lists = [[] if row is None else list(row) for row in rows]
    longest = max(map(len, lists), default=0)
    padded = [value for row in lists for value in (*row, *[None] * (longest - len(row)))]
    return _column(name, kind, padded).reshape(len(lists), longest)


def _as_wide(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Pads weights with missing ones to the width of the values, for when no row has as many."""
    more = max(values.shape[1] - weights.shape[1], 0)
    return np.pad(weights, ((0, 0), (0, more)), constant_values=np.nan)


def _text(name: str, value: Any) -> str:
    if value is None or value != value:
        return ""
    try:
        text = value.decode() if isinstance(value, bytes) else str(value)
        text.encode()
    except UnicodeError:
        raise ExportError(f"The input {name!r} takes UTF-8 text. Received: {value!r}") from None
    return text


def length(rows: Rows) -> int:
    """The number of rows."""
    return len(next(iter(rows.values())))


def part(rows: Rows, start: int, stop: int) -> Rows:
    """Returns the rows `start` to `stop - 1`."""
    return {name: values[start:stop] for name, values in rows.items()}
