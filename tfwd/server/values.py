"""JSON values to arrays: what each type of tensor takes, and nothing else."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.server.request_error import RequestError
from tfwd.server.signature import TENSORFLOW_TYPES, Spec, uneven_weights

_INT64 = range(-(2**63), 2**63)
_WANTED = {
    "string": "a string",
    "int64": "an integer of 64 bits",
    "int32": "an integer of 32 bits",
    "float32": "a number",
}
_ONLY_TEXT, _ONLY_INTEGERS, _ONLY_NUMBERS = {str}, {int}, ({float}, {int}, {int, float})


def flat(spec: Spec, values: list[Any], first_row: int = 0, width: int | None = None) -> list[Any]:
    """Returns checked values of a tensor: texts, integers or numbers.

    Args:
        spec: the tensor.
        values: JSON values, one per row, or those of whole lists one after the other.
        first_row: the row of the first value, for messages.
        width: how many of them each row has, if they are those of lists.

    Raises:
        RequestError: a value has another type, or does not fit.
    """
    kinds = set(map(type, values))
    if spec.dtype == "string":
        if kinds == _ONLY_TEXT:
            return values
        return [
            value if type(value) is str else _decoded(spec, value, _place(index, first_row, width))
            for index, value in enumerate(values)
        ]
    if spec.dtype == "float32":
        if kinds in _ONLY_NUMBERS:
            return values
        _refuse(spec, values, (int, float), first_row, width)
    if kinds != _ONLY_INTEGERS:
        _refuse(spec, values, (int,), first_row, width)
    if spec.dtype == "int32":
        limits = range(-(2**31), 2**31)
        outside = next((value for value in values if value not in limits), None)
    else:
        outside = (
            None if min(values) >= -(2**63) and max(values) < 2**63 else next(v for v in values if v not in _INT64)
        )
    if outside is not None:
        place = _place(values.index(outside), first_row, width)
        raise RequestError(f"Input {spec.name!r}, {place}: expected {_WANTED[spec.dtype]}, received {outside!s:.60}.")
    return values


def _place(index: int, first_row: int, width: int | None) -> str:
    """Returns where a value is, for messages."""
    if width is None:
        return f"instance {first_row + index}"
    return f"instance {first_row + index // width}, value {index % width}"


def _refuse(spec: Spec, values: Sequence[Any], kinds: tuple[type, ...], first_row: int, width: int | None) -> None:
    for index, value in enumerate(values):
        if type(value) not in kinds:
            raise RequestError(
                f"Input {spec.name!r}, {_place(index, first_row, width)}: expected {_WANTED[spec.dtype]} "
                f"({TENSORFLOW_TYPES[spec.dtype]}), received {shown(value)}."
            )


def _decoded(spec: Spec, value: Any, place: str) -> str:
    if _is_base64(value) and isinstance(value["b64"], str):
        found = text_of(value)
        if found is None:
            why = "is not the base64 of UTF-8 text"
            raise RequestError(f"Input {spec.name!r}, {place}: {shown(value['b64'])} {why}.")
        return found
    raise RequestError(f"Input {spec.name!r}, {place}: expected a string (DT_STRING), received {shown(value)}.")


def text_of(value: Any) -> str | None:
    """Returns the text of `{"b64": its base64}`, None if a value is something else, or not of UTF-8 text."""
    if not _is_base64(value) or type(value["b64"]) is not str:
        return None
    try:
        return base64.b64decode(value["b64"], validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def column(spec: Spec, values: list[Any], longest: int) -> list[Any]:
    """Returns the checked values of one input for all rows: a list of values, or of equally long lists.

    Args:
        spec: the input, of one or two dimensions.
        values: a JSON value per row.
        longest: the most values that a list may have.

    Raises:
        RequestError: a value has another type or rank, or lists differ in length.
    """
    if len(spec.shape) == 1:
        return flat(spec, values)
    if set(map(type, values)) != {list}:
        row, value = next((row, value) for row, value in enumerate(values) if type(value) is not list)
        raise RequestError(f"Input {spec.name!r}, instance {row}: expected a list, received {shown(value)}.")
    length = len(values[0])
    if any(len(value) != length for value in values):
        row = next(row for row, value in enumerate(values) if len(value) != length)
        raise RequestError(
            f"Input {spec.name!r}: lists in one request need one length. Instance 0 has {length} values, instance "
            f"{row} has {len(values[row])}. Pad the shorter ones with the missing value."
        )
    refuse_length(spec, length, longest)
    return [flat(spec, value, row, length) if value else value for row, value in enumerate(values)]


def refuse_uneven_weights(specs: Sequence[Spec], columns: Mapping[str, Any]) -> None:
    """Refuses lists of weights that are not as long as the lists that they weigh.

    Args:
        specs: the inputs.
        columns: what was given, as `column` makes it, or as arrays.
    """
    pairs = [(spec.name, spec.weighs) for spec in specs if spec.weighs is not None]
    if not pairs:
        return
    widths = {name: len(columns[name][0]) for pair in pairs for name in pair if len(columns[name])}
    fault = uneven_weights(specs, widths)
    if fault is not None:
        raise RequestError(f"{fault}.")


def refuse_length(spec: Spec, length: int, longest: int) -> None:
    """Refuses a list that is too long, or of another length than a vector has."""
    fixed = spec.shape[1] if len(spec.shape) == 2 else None
    if fixed is not None and length != fixed:
        raise RequestError(f"Input {spec.name!r}: expected lists of {fixed} values, received {length}.")
    if length > longest:
        raise RequestError(
            f"Input {spec.name!r}: a list has {length} values, more than the server's limit of {longest}."
        )


def array(spec: Spec, values: list[Any]) -> NDArray[Any]:
    """Returns checked values, as `column` makes them, as an array; shorter lists are filled up."""
    if len(spec.shape) == 2:
        lengths = {len(value) for value in values}
        if len(lengths) > 1:
            most = max(lengths)
            values = [value + [spec.missing] * (most - len(value)) for value in values]
        made = np.empty((len(values), max(lengths, default=0)), spec.type)
        if made.size:
            made[:] = _numbers(values, spec)
        return made
    if spec.dtype == "string":
        made = np.empty(len(values), object)
        made[:] = values
        return made
    return _numbers(values, spec)


def _numbers(values: list[Any], spec: Spec) -> NDArray[Any]:
    # A number beyond float32 is infinite; NumPy would warn of it, which `Server` turns off.
    return np.array(values, spec.type)


def nested(spec: Spec, value: Any, longest: int, most_rows: int) -> NDArray[Any]:
    """Returns a tensor that is given whole, in the columnar form.

    Raises:
        RequestError: it has another rank or type, or is too large.
    """
    if not spec.shape:
        if isinstance(value, list | dict) and not _is_base64(value):
            raise RequestError(f"Input {spec.name!r}: expected a single value, received {shown(value)}.")
        return np.array(flat(spec, [value])[0], spec.type)
    if type(value) is not list:
        raise RequestError(
            f"Input {spec.name!r}: expected a list with a value per row (its shape is {_shape(spec)}), received "
            f"{shown(value)}."
        )
    if len(value) > most_rows:
        raise too_many(len(value), most_rows)
    if not value:
        return np.zeros([0] * len(spec.shape), spec.type)
    if len(spec.shape) == 1 and set(map(type, value)) == {list}:
        raise RequestError(f"Input {spec.name!r}: expected the shape {_shape(spec)}, received a list of lists.")
    return array(spec, column(spec, value, longest))


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"}


def too_many(count: int, most: int) -> RequestError:
    """What is said of a request with too many rows."""
    return RequestError(f"The request has {count} rows, more than the server's limit of {most} (--max-rows).")


def _shape(spec: Spec) -> str:
    return "(" + ", ".join("-1" if size is None else str(size) for size in spec.shape) + ")"


def shown(value: Any) -> str:
    """Returns a JSON value for a message, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def names(found: Iterable[str], most: int = 10) -> str:
    """Returns names for a message, in order and shortened."""
    listed = sorted(found)
    return ", ".join(map(repr, listed[:most])) + (", ..." if len(listed) > most else "")


def nothing(spec: Spec, rows: int) -> NDArray[Any]:
    """Returns rows of an input without any value."""
    shape = (rows, *(1 if size is None else size for size in spec.shape[1:]))
    return np.full(shape, spec.missing, spec.type)
