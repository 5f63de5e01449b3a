"""Requests to `:classify` and `:regress`: rows as TensorFlow Serving's JSON form of `tf.Example`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.schema import Input, Schema
from tfwd.server import json_codec, values
from tfwd.server.predict_api import Asked
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Limits
from tfwd.server.signature import Method, Signature

_LISTS = {str: "bytes_list", int: "int64_list", float: "float_list"}
_WANTED = {"string": (str, "bytes_list"), "integer": (int, "int64_list"), "float": (float, "float_list")}


def check_method(name: str, method: Method, known: Method | None) -> None:
    """Refuses a signature that serves another kind of request.

    Args:
        name: the signature.
        method: the kind of request.
        known: the kind that the signature serves; None if there is no such signature.
    """
    if known is None:
        raise RequestError(f'Serving signature name: "{name}" not found in signature def', 400)
    if known != method:
        wanted = {"classify": "classification", "regress": "regression", "predict": "prediction"}[method]
        raise RequestError(
            f"Expected {wanted} signature method_name to be tensorflow/serving/{method}. Was: "
            f'tensorflow/serving/{known}. Ask with "signature_name": "{method}".'
        )


def read(body: Mapping[str, Any], schema: Schema, signature: Signature, limits: Limits) -> Asked:
    """Reads examples as rows of a signature.

    Raises:
        RequestError: a feature has another type, or the form is another.
    """
    examples, context = body.get("examples"), body.get("context", {})
    if type(examples) is not list or not examples:
        raise RequestError('"examples" must be a list with at least one example.')
    if type(context) is not dict:
        raise RequestError(f'"context" must be an object of features. Received: {values.shown(context)}')
    if len(examples) > limits.rows:
        raise values.too_many(len(examples), limits.rows)
    for row, example in enumerate(examples):
        if type(example) is not dict:
            raise RequestError(f"Example {row} must be an object of features. Received: {values.shown(example)}")
    known = {entry.name: entry for entry in schema.inputs}
    columns: dict[str, Any] = {}
    for spec in signature.inputs:
        entry = known[spec.name]
        empty = values.nothing(spec, 1)[0]
        column = []
        for row, example in enumerate(examples):
            given = example[spec.name] if spec.name in example else context.get(spec.name)
            found = _feature(entry, given, row) if spec.name in example or spec.name in context else []
            if entry.length and not entry.fixed and len(found) > limits.list_values:
                values.refuse_length(spec, len(found), limits.list_values)
            column.append(_placed(entry, found, empty, row))
        columns[spec.name] = _even(column, spec.padding) if entry.length and not entry.fixed else column
    return Asked(columns, len(examples), True)


def _feature(entry: Input, given: Any, row: int) -> list[Any]:
    """Returns the values of a feature, which all have one type."""
    found = given if type(given) is list else [given]
    found = [_text(entry, one, row) if type(one) is dict else one for one in found]
    kinds = set(map(type, found))
    wanted, name = _WANTED[entry.kind]
    if not kinds <= {wanted}:
        kind = next(iter(kinds - {wanted}))
        if kind not in _LISTS:
            raise RequestError(
                f"Example {row}, feature {entry.name!r}: a value is a string, an integer or a number with a fraction. "
                f"Received: {values.shown(next(one for one in found if type(one) is kind))}"
            )
        hint = " Write floats with a decimal point, as 39.0." if wanted is float else ""
        raise RequestError(
            f"Example {row}, feature {entry.name!r}: data types don't match. Expected {name}, received "
            f"{_LISTS[kind]}.{hint}"
        )
    if wanted is int and any(not -(2**63) <= one < 2**63 for one in found):
        raise RequestError(f"Example {row}, feature {entry.name!r}: an integer does not fit in 64 bits.")
    return found


def _text(entry: Input, value: dict[str, Any], row: int) -> str:
    if value.keys() == {"b64"} and type(value["b64"]) is str:
        try:
            return base64.b64decode(value["b64"], validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            pass
    raise RequestError(f'Example {row}, feature {entry.name!r}: expected {{"b64": base64 of UTF-8 text}}.')


def _placed(entry: Input, found: list[Any], empty: Any, row: int) -> Any:
    if entry.length and not entry.fixed:
        return found
    wanted = entry.length or 1
    if not found:
        return empty.tolist() if entry.length else empty
    if len(found) != wanted:
        raise RequestError(f"Example {row}, feature {entry.name!r}: expected {wanted} values, received {len(found)}.")
    return found if entry.length else found[0]


def _even(column: list[list[Any]], padding: Any) -> list[list[Any]]:
    most = max(1, *map(len, column))
    return [found + [padding] * (most - len(found)) for found in column]


def scores(schema: Schema, outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Returns the score of each class, `(N, classes)`."""
    found = outputs[schema.answer]
    return np.stack([1 - found, found], axis=1) if schema.task == "binary" else found


def classified(schema: Schema, outputs: Mapping[str, NDArray[Any]]) -> bytes:
    """Writes classes with their scores: `{"results": [[["<=50K", 0.79], [">50K", 0.21]]]}`."""
    labels = [json_codec.dumps(name) for name in schema.classes]
    rows = []
    for row in scores(schema, outputs):
        found = json_codec.numbers(row)[1:-1].split(b",")
        pairs = b",".join([b"[" + label + b"," + score + b"]" for label, score in zip(labels, found, strict=True)])
        rows.append(b"[" + pairs + b"]")
    return b'{"results":[' + b",".join(rows) + b"]}"


def regressed(schema: Schema, outputs: Mapping[str, NDArray[Any]]) -> bytes:
    """Writes one number per row: `{"results": [0.21]}`."""
    return b'{"results":' + json_codec.numbers(outputs[schema.answer]) + b"}"


def methods(schema: Schema) -> dict[str, Method]:
    """Returns the signatures that a model of this task has, with the kind of request that each serves."""
    found: dict[str, Method] = {"serving_default": "predict"}
    if schema.task != "regression":
        found["classify"] = "classify"
    if schema.task != "multiclass":
        found["regress"] = "regress"
    return found
