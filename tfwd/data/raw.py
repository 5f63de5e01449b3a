"""Raw batches by name: the inputs of a caller, converted to what every scorer takes."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.dates import seconds_of
from tfwd.errors import DataError
from tfwd.schema import MISSING, MISSING_INTEGER, Input, Kind, Schema
from tfwd.utils.naming import nearest

_WANTED: dict[Kind, str] = {"string": "text", "integer": "whole numbers", "float": "numbers"}
_MOMENTS = "moments, int64 seconds since 1970-01-01 UTC or datetime64"
_DTYPES: dict[Kind, Any] = {"string": object, "integer": np.int64, "float": np.float32}


def choose(schema: Schema, inputs: Any) -> dict[str, Any]:
    """Selects the inputs of a schema from a batch, by name and in the schema's order; other keys are left out.

    Raises:
        DataError: the batch is not a dict of inputs, or lacks one; names the nearest key.
    """
    if not isinstance(inputs, Mapping):
        names = ", ".join(repr(entry.name) for entry in schema.inputs[:3])
        more = ", ..." if len(schema.inputs) > 3 else ""
        raise DataError(
            f"A batch is a dict of inputs by name, {{{names}{more}}}, each an array of one value per row. "
            f"Received: {type(inputs).__name__}"
        )
    for entry in schema.inputs:
        if entry.name not in inputs:
            raise DataError(f"The batch has no input {entry.name!r}.{_instead(entry, inputs)}")
    return {entry.name: inputs[entry.name] for entry in schema.inputs}


def _instead(entry: Input, inputs: Collection[Any]) -> str:
    if entry.column in inputs:
        return f" The data's column {entry.column!r} is the input {entry.name!r}: give it under that name."
    return nearest(entry.name, (str(key) for key in inputs))


def raw_arrays(schema: Schema, inputs: Any) -> dict[str, NDArray[Any]]:
    """A checked batch in the form that every scorer takes.

    An input of one value per row is given as `(B,)` or `(B, 1)`; one of lists as `(B, K)`, as lists of any length, as
    a RaggedTensor, or as `(B,)` if each has one value; one of vectors as `(B, n)`, or as lists of n numbers. None, NaN
    and pandas' NA are missing values in all of them.

    Args:
        schema: the inputs.
        inputs: by name, arrays or what NumPy can convert to arrays; other keys are ignored.

    Returns:
        By name, in the schema's order: object arrays of `str`, int64 or float32, `(B,)` or `(B, K)`.

    Raises:
        DataError: an input is missing, has the wrong shape or type or another number of rows than the others, or the
            weights of a list have another length than the list; names the input and, if known, the row (from 1).
    """
    chosen = choose(schema, inputs)
    made = {entry.name: _array(entry, chosen[entry.name]) for entry in schema.inputs}
    for entry in schema.inputs:
        if entry.weighs is not None:
            values = next(one.name for one in schema.inputs if one.column == entry.weighs)
            made[entry.name] = _as_long(made[entry.name], made[values], entry.name, values)
    found = {name: value.array for name, value in made.items()}
    refuse_lengths({name: len(array) for name, array in found.items()})
    return found


def refuse_lengths(rows: Mapping[str, int]) -> None:
    """Refuses inputs with different numbers of rows.

    Raises:
        DataError: names two of them.
    """
    first = next(iter(rows))
    for name, count in rows.items():
        if count != rows[first]:
            raise DataError(
                f"The inputs of a batch have one number of rows. Received: {rows[first]} of {first!r} and {count} of "
                f"{name!r}"
            )


def refuse_shape(entry: Input, shape: str) -> DataError:
    """The error for an input of the wrong shape."""
    wanted = "one list per row, (B, K)" if entry.length else "one value per row, (B,) or (B, 1)"
    if entry.fixed:
        wanted = f"{entry.length} numbers per row, (B, {entry.length})"
    return DataError(f"The input {entry.name!r} takes {wanted}. Received: {shape}")


def refuse_dtype(entry: Input, found: str, hint: str = "") -> DataError:
    """The error for an input of the wrong type."""
    wanted = _WANTED[entry.kind] if entry.moment is None else _MOMENTS
    return DataError(f"The input {entry.name!r} takes {wanted}. Received: {found}{hint}")


def refuse_weights(weights: str, values: str, found: str) -> DataError:
    """The error for a list of weights that is not as long as the list of values."""
    return DataError(f"The input {weights!r} takes a weight for each value of {values!r}. Received: {found}")


class _Given:
    """An input's array, and the lengths of its rows if they were given as lists."""

    def __init__(self, array: NDArray[Any], lengths: NDArray[np.int64] | None = None) -> None:
        self.array, self.lengths = array, lengths


def _array(entry: Input, value: Any) -> _Given:
    value = _plain(value)
    rows = _lists(value) if entry.length else None
    if rows is not None:
        lengths = np.array([len(row) for row in rows], np.int64)
        if entry.fixed and not np.isin(lengths, (0, entry.length)).all():
            row = int(np.argmin(np.isin(lengths, (0, entry.length))))
            raise refuse_shape(entry, f"{lengths[row]} in row {row + 1}")
        flat = objects([item for row in rows for item in row])
        converted = _converted(entry, flat, lambda at: int(np.searchsorted(np.cumsum(lengths), at, "right")))
        width = entry.length if entry.fixed else lengths.max(initial=0)
        array = np.full((len(rows), width), MISSING[entry.kind], _DTYPES[entry.kind])
        array[np.arange(array.shape[1]) < lengths[:, np.newaxis]] = converted
        return _Given(array, lengths)
    try:
        # NumPy makes objects of a list with None, and would make strings of one that mixes strings and numbers.
        array = objects(value) if isinstance(value, list | tuple) and _is_flat(value) else np.asarray(value)
    except (ValueError, TypeError):
        raise refuse_shape(entry, "lists of different lengths") from None
    if entry.fixed and array.shape == (0,):
        array = array.reshape(0, entry.length)
    if array.ndim == 2 and array.shape[1] == 1 and not entry.length:
        array = array[:, 0]
    if array.ndim == 1 and entry.length:
        array = array[:, np.newaxis]
    if array.ndim != (2 if entry.length else 1) or (entry.fixed and array.shape[1] != entry.length):
        raise refuse_shape(entry, f"shape {array.shape}" if array.ndim else f"{type(value).__name__} {value!r}")
    width = max(array.shape[1] if entry.length else 1, 1)
    return _Given(_converted(entry, array.reshape(-1), lambda at: at // width).reshape(array.shape))


def _plain(value: Any) -> Any:
    """As a list if NumPy would lose something: rows of different lengths, large integers beside missing ones."""
    if hasattr(value, "to_pylist"):  # Arrow
        return value.to_pylist()
    if hasattr(value, "to_list") and not isinstance(getattr(value, "dtype", None), np.dtype):
        return value.to_list()  # a RaggedTensor, pandas' and Polars' own types
    if isinstance(value, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(value), np.array(None, object), value.data.astype(object))
    return value


def _lists(value: Any) -> list[Any] | None:
    """The rows of a value given as lists of any length, None for anything else."""
    dtype = getattr(value, "dtype", None)
    if getattr(value, "ndim", 1) != 1 or not (isinstance(value, list | tuple) or getattr(dtype, "kind", "") == "O"):
        return None
    rows = list(value)
    if not any(_is_list(row) for row in rows):
        return None
    return [row if _is_list(row) else [] if _is_missing(row) else [row] for row in rows]


def _is_list(row: Any) -> bool:
    return isinstance(row, list | tuple) or (isinstance(row, np.ndarray) and row.ndim == 1)


def _is_flat(value: list[Any] | tuple[Any, ...]) -> bool:
    return not any(_is_list(item) or isinstance(item, np.ndarray) for item in value)


def _is_missing(item: Any) -> bool:
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, float | np.floating) and bool(np.isnan(item))


def objects(items: Sequence[Any]) -> NDArray[Any]:
    """Returns items as an array of objects `(N,)`, whatever they are."""
    # np.array(items) would make a fixed-width array of strings, which cuts them off at a NUL.
    made = np.empty(len(items), object)
    made[:] = items
    return made


def _converted(entry: Input, flat: NDArray[Any], row_of: Callable[[int], int]) -> NDArray[Any]:
    """`(N,)` values converted to the kind of an input."""
    if not flat.size:
        return np.empty(0, _DTYPES[entry.kind])
    if entry.kind == "string":
        return _texts(entry, flat, row_of)
    if entry.moment is not None:
        flat = in_seconds(flat)
    if flat.dtype.kind == "O":
        flat = _numbers(entry, flat, row_of)
    if flat.dtype.kind not in "biuf":
        raise refuse_dtype(entry, _named(flat))
    if entry.kind == "float":
        with np.errstate(over="ignore"):
            return flat.astype(np.float32)
    return _integers(entry, flat, row_of)


def in_seconds(flat: NDArray[Any]) -> NDArray[Any]:
    """Moments of NumPy, Python and pandas as seconds since 1970, rounded down; other values unchanged.

    Args:
        flat: `(N,)`, of any type.

    Returns:
        `(N,)`, int64 for datetime64, else objects.
    """
    if flat.dtype.kind == "M":
        missing = np.isnat(flat)
        return np.where(missing, MISSING_INTEGER, np.where(missing, 0, flat.astype("datetime64[s]").astype(np.int64)))
    if flat.dtype.kind == "O" and any(isinstance(item, datetime.date | np.datetime64) for item in flat):
        return objects([_second(item) for item in flat])
    return flat


def _second(item: Any) -> Any:
    if isinstance(item, np.datetime64):
        return int(in_seconds(np.array([item]))[0])
    return seconds_of(item.isoformat()) if isinstance(item, datetime.date) and not _is_missing(item) else item


def _texts(entry: Input, flat: NDArray[Any], row_of: Callable[[int], int]) -> NDArray[Any]:
    if flat.dtype.kind not in "OSUT":
        raise refuse_dtype(entry, _named(flat))
    items = flat.tolist()
    if set(map(type, items)) != {str}:
        items = [_text(entry, item, row_of(at)) for at, item in enumerate(items)]
    try:
        "".join(items).encode()
    except UnicodeEncodeError:
        at = next(at for at, item in enumerate(items) if not _is_unicode(item))
        raise refuse_dtype(entry, f"{items[at]!r} in row {row_of(at) + 1}, which is not valid Unicode") from None
    return objects(items)


def _text(entry: Input, item: Any, row: int) -> str:
    if isinstance(item, str):
        return str(item)
    if isinstance(item, bytes):
        try:
            return item.decode()
        except UnicodeDecodeError:
            raise refuse_dtype(entry, f"{item!r} in row {row + 1}, which is not valid UTF-8") from None
    if _is_missing(item):
        return ""
    raise refuse_dtype(entry, f"{item!r} in row {row + 1}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _numbers(entry: Input, flat: NDArray[Any], row_of: Callable[[int], int]) -> NDArray[Any]:
    """Objects as numbers, without losing a digit of whole ones."""
    items = flat.tolist()
    for at, item in enumerate(items):
        if not isinstance(item, int | float | np.number | np.bool_) and not _is_missing(item):
            raise refuse_dtype(entry, f"{item!r} in row {row_of(at) + 1}")
    missing = [_is_missing(item) for item in items]
    if entry.kind == "float":
        try:
            return np.array([np.nan if gone else item for item, gone in zip(items, missing, strict=True)], np.float64)
        except OverflowError:
            raise refuse_dtype(entry, "an integer too large for a float") from None
    for at, (item, gone) in enumerate(zip(items, missing, strict=True)):
        if gone:
            continue
        if isinstance(item, float | np.floating) and not float(item).is_integer():
            raise refuse_dtype(entry, f"{item} in row {row_of(at) + 1}, which is not a 64-bit integer")
        if not MISSING_INTEGER <= item < 2**63:
            raise refuse_dtype(entry, f"{item} in row {row_of(at) + 1}, which does not fit in 64 bits")
    return np.array([MISSING_INTEGER if gone else int(item) for item, gone in zip(items, missing, strict=True)])


def _integers(entry: Input, flat: NDArray[Any], row_of: Callable[[int], int]) -> NDArray[np.int64]:
    if flat.dtype.kind == "f":
        # A frame holds whole numbers as floats if any of them is missing.
        missing = np.isnan(flat)
        bad = ~missing & ((flat != np.trunc(flat)) | ~(np.abs(flat) < 2**63))
        values = np.where(missing | bad, 0, flat).astype(np.int64)
        values[missing] = MISSING_INTEGER
    else:
        bad = flat > np.uint64(2**63 - 1) if flat.dtype == np.uint64 else np.zeros(len(flat), bool)
        values = flat.astype(np.int64)
    if bad.any():
        at = int(bad.argmax())
        raise refuse_dtype(entry, f"{flat[at]} in row {row_of(at) + 1}, which is not a 64-bit integer")
    return values


def _named(flat: NDArray[Any]) -> str:
    return f"{flat.dtype.name} values, such as {flat[0]!s}"


def _as_long(weights: _Given, values: _Given, name: str, other: str) -> _Given:
    """Weights as wide as the values that they weigh; a row without any has the weight 1 throughout."""
    if len(weights.array) != len(values.array):
        return weights
    if weights.lengths is not None and values.lengths is not None:
        bad = (weights.lengths > 0) & (weights.lengths != values.lengths)
    elif weights.lengths is not None:
        bad = weights.lengths > values.array.shape[1]
    else:
        bad = np.full(len(weights.array), weights.array.shape[1] != values.array.shape[1])
    if bad.any():
        row = int(bad.argmax())
        found = [
            given.array.shape[1] if given.lengths is None else int(given.lengths[row]) for given in (weights, values)
        ]
        raise refuse_weights(name, other, f"{found[0]} weights for {found[1]} values in row {row + 1}")
    more = values.array.shape[1] - weights.array.shape[1]
    return _Given(np.pad(weights.array, ((0, 0), (0, more)), constant_values=np.nan)) if more > 0 else weights
