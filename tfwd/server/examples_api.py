"""Requests to `:classify` and `:regress`: rows as TensorFlow Serving's JSON form of `tf.Example`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.schema import FINGERPRINT_SUFFIX, Schema
from tfwd.server import json_codec, values
from tfwd.server.predict_api import Asked
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Limits
from tfwd.server.signature import Method, Signature, Spec, uneven_weights

_LISTS = {str: "bytes_list", int: "int64_list", float: "float_list"}
_WANTED = {"string": (str, "bytes_list"), "int64": (int, "int64_list"), "float32": (float, "float_list")}


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

    A feature that is left out is missing; weights that are left out are, for each value that they weigh. Where the
    model takes the fingerprints of an input, so do examples, as integers.

    Raises:
        RequestError: a feature has another type or length, or the form is another.
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
    _refuse_strings(examples, context, schema, signature)
    columns: dict[str, Any] = {}
    for spec in signature.inputs:
        column = []
        for row, example in enumerate(examples):
            given = example[spec.name] if spec.name in example else context.get(spec.name)
            found = _feature(spec, given, row) if spec.name in example or spec.name in context else []
            if spec.of_lists and len(found) > limits.list_values:
                values.refuse_length(spec, len(found), limits.list_values)
            column.append(_placed(spec, found, row))
        columns[spec.name] = column
    _make_even(columns, signature)
    return Asked(columns, len(examples), True)


def _refuse_strings(examples: list[Any], context: Any, schema: Schema, signature: Signature) -> None:
    """Refuses the values of inputs of which the model takes fingerprints: unknown features are ignored otherwise."""
    taken = {spec.name for spec in signature.inputs}
    for name in [entry.name for entry in schema.inputs if entry.name not in taken]:
        for row, example in enumerate(examples):
            if name in example or name in context:
                raise RequestError(
                    f"Example {row}, feature {name!r}: the model takes its 64-bit fingerprint, an integer, as the "
                    f"feature {name + FINGERPRINT_SUFFIX!r}."
                )


def _feature(spec: Spec, given: Any, row: int) -> list[Any]:
    """Returns the values of a feature, which all have one type."""
    found = given if type(given) is list else [given]
    found = [_text(spec, one, row) if type(one) is dict else one for one in found]
    kinds = set(map(type, found))
    wanted, name = _WANTED[spec.dtype]
    if not kinds <= {wanted}:
        kind = next(iter(kinds - {wanted}))
        if kind not in _LISTS:
            raise RequestError(
                f"Example {row}, feature {spec.name!r}: a value is a string, an integer or a number with a fraction. "
                f"Received: {values.shown(next(one for one in found if type(one) is kind))}"
            )
        hint = " Write floats with a decimal point, as 39.0." if wanted is float else ""
        raise RequestError(
            f"Example {row}, feature {spec.name!r}: data types don't match. Expected {name}, received "
            f"{_LISTS[kind]}.{hint}"
        )
    if wanted is int and any(not -(2**63) <= one < 2**63 for one in found):
        raise RequestError(f"Example {row}, feature {spec.name!r}: an integer does not fit in 64 bits.")
    return found


def _text(spec: Spec, value: dict[str, Any], row: int) -> str:
    found = values.text_of(value)
    if found is None:
        raise RequestError(f'Example {row}, feature {spec.name!r}: expected {{"b64": base64 of UTF-8 text}}.')
    return found


def _placed(spec: Spec, found: list[Any], row: int) -> Any:
    if spec.of_lists:
        return found
    is_vector = len(spec.shape) == 2
    wanted = (spec.shape[1] or 0) if is_vector else 1
    found = found or [spec.missing] * wanted
    if len(found) != wanted:
        raise RequestError(f"Example {row}, feature {spec.name!r}: expected {wanted} values, received {len(found)}.")
    return found if is_vector else found[0]


def _make_even(columns: dict[str, Any], signature: Signature) -> None:
    """Fills up the lists of each input to one length, and weights to that of what they weigh."""
    lists = {spec.name: spec for spec in signature.inputs if spec.of_lists}
    for name, spec in lists.items():
        if spec.weighs is not None:
            for row, (weights, weighed) in enumerate(zip(columns[name], columns[spec.weighs], strict=True)):
                fault = uneven_weights([spec], {name: len(weights), spec.weighs: len(weighed)}) if weights else None
                if fault is not None:
                    raise RequestError(f"Example {row}: {fault}.")
    most = {name: max(1, *map(len, columns[name])) for name in lists}
    for name, spec in lists.items():
        width = most[spec.weighs or name]
        columns[name] = [found + [spec.missing] * (width - len(found)) for found in columns[name]]


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
