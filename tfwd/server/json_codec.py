"""JSON as TensorFlow Serving reads and writes it: NaN and Infinity as bare tokens, numbers beyond 64 bits as floats.

orjson reads everything but NaN and Infinity, which it refuses and writes as null. It is used where it is right, and the
standard library and a writer of our own for the rest.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tfwd.server.request_error import RequestError

# Runs of digits of integers that may not fit in 64 bits, and of those that no float holds, once all digits are 0.
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG, _LONGER = b"0" * 19, b"0" * 309
_ENDLESS = re.compile(r"(?<![0-9.eE])(?<![eE][+-])[1-9][0-9]{308,}+(?![.eE])")
# Half of a surrogate pair, or the first of one.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(body: bytes, most: int) -> Any:
    """Reads a body.

    Args:
        body: the body.
        most: the most lists and objects in it: they take many times the memory and the time of their text.

    Raises:
        RequestError: it is not JSON in UTF-8, is nested too deeply, has too many lists and objects, or holds text that
            UTF-8 cannot express.
    """
    if len(body) > most and (found := body.count(b"[") + body.count(b"{")) > most:
        raise RequestError(
            f"The body has {found:,} lists and objects, more than the server's limit of {most:,} (50 for each row of "
            "--max-rows). Send fewer rows at a time."
        )
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # NaN and Infinity, or really an error: the slow way tells
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"JSON Parse error: the body is not UTF-8 at byte {error.start}.") from None
    digits = body.translate(_ZEROS)
    try:
        # Only where it is needed, as a call for each number takes longer than all the rest.
        if _LONG in digits:
            value = json.loads(_without_endless(text) if _LONGER in digits else text, parse_int=orjson.loads)
        else:
            value = json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except RecursionError:
        raise RequestError("JSON Parse error: lists and objects are nested too deeply.") from None
    if _SURROGATE.search(text) is not None:
        _refuse_surrogates(value)
    return value


def _without_endless(text: str) -> str:
    """Returns JSON in which integers that no float holds are written as infinite floats.

    orjson refuses them, and Python takes quadratic time for thousands of digits.
    """
    parts, at, inside = [], 0, False
    for found in _ENDLESS.finditer(text):
        before = text[at : found.start()]
        quotes = before.replace("\\\\", "").replace('\\"', "").count('"')
        inside ^= quotes % 2 == 1
        parts += [before, found[0] if inside else "1e999"]
        at = found.end()
    return "".join([*parts, text[at:]])


def _refuse_surrogates(value: Any) -> None:
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        if "surrogates" not in str(error):
            raise RequestError("JSON Parse error: lists and objects are nested too deeply.") from None
        raise RequestError("JSON Parse error: a string holds half of a surrogate pair, which is no text.") from None


def dumps(value: Any) -> bytes:
    """Writes a value of dicts, lists, texts and numbers, without arrays."""
    if _is_finite(value):
        return orjson.dumps(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _is_finite(value: Any) -> bool:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, float) and not math.isfinite(node):
            return False
        if isinstance(node, int) and not -(2**63) <= node < 2**64:
            return False
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
    return True


def numbers(values: NDArray[Any]) -> bytes:
    """Writes an array, of any rank, as nested lists: float32 in the shortest form that reads back the same."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return _with_tokens(values)
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)


def _with_tokens(values: NDArray[Any]) -> bytes:
    if values.ndim == 0:
        return _token(values)
    return b"[" + b",".join(_with_tokens(part) for part in values) + b"]"


def _token(value: Any) -> bytes:
    number = float(value)
    if math.isnan(number):
        return b"NaN"
    if math.isinf(number):
        return b"Infinity" if number > 0 else b"-Infinity"
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def texts(values: NDArray[Any], in_base64: bool = False) -> bytes:
    """Writes an array of strings as nested lists; in base64, as `{"b64": ...}`."""
    found = values.tolist()
    return orjson.dumps(_nested(found, _base64 if in_base64 else _text))


def _nested(value: Any, form: Callable[[Any], Any]) -> Any:
    return [_nested(one, form) for one in value] if isinstance(value, list) else form(value)


def _text(value: str | bytes) -> str:
    # TensorFlow's strings are bytes, which need not be text.
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _base64(value: str | bytes) -> dict[str, str]:
    content = value if isinstance(value, bytes) else value.encode()
    return {"b64": base64.b64encode(content).decode()}


def tensor(name: str, values: NDArray[Any]) -> bytes:
    """Writes an output of a signature; texts are in base64 if its name ends in `_bytes`."""
    if values.dtype.kind in "OUS":
        return texts(values, name.endswith("_bytes"))
    return numbers(values)


def rows(outputs: Mapping[str, NDArray[Any]]) -> bytes:
    """Writes outputs row by row: a list of values for one output, of objects for several."""
    parts = {name: tensor(name, values) for name, values in outputs.items()}
    if len(parts) == 1:
        return next(iter(parts.values()))
    if all(values.ndim == 1 and values.dtype.kind in "fiu" for values in outputs.values()):
        # Numbers hold no comma, so that a list of them is split where it was joined.
        columns = [part[1:-1].split(b",") if len(part) > 2 else [] for part in parts.values()]
        written = [b""] * len(columns[0])
        for index, (name, column) in enumerate(zip(parts, columns, strict=True)):
            before = (b"," if index else b"{") + orjson.dumps(name) + b":"
            written = [row + before + value for row, value in zip(written, column, strict=True)]
        return b"[" + b",".join([row + b"}" for row in written]) + b"]"
    keys = [orjson.dumps(name) + b":" for name in outputs]
    length = len(next(iter(outputs.values())))
    written = []
    for row in range(length):
        values = [key + tensor(name, np.asarray(outputs[name][row])) for key, name in zip(keys, outputs, strict=True)]
        written.append(b"{" + b",".join(values) + b"}")
    return b"[" + b",".join(written) + b"]"
