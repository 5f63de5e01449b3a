"""Tensors and examples of gRPC requests, looked at before they are unpacked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2

from tfwd.server import values
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Limits
from tfwd.server.signature import TENSORFLOW_TYPES, Signature, Spec, Tensors

# The field of a TensorProto that holds the values of each type.
_FIELDS = {"string": "string_val", "int64": "int64_val", "int32": "int_val", "float32": "float_val"}
# What a reference to a string takes.
_REFERENCE = 8


def arrays(inputs: Any, signature: Signature, limits: Limits) -> Tensors:
    """Returns the inputs of a signature from a map of `TensorProto`; others are not looked at.

    A tensor may have fewer values than its shape: the last one stands for the rest, as in TensorFlow. A short message
    can so ask for much, and all of it together must be within the limit of a body.

    Raises:
        RequestError: one has another type or shape, or is too large.
    """
    found: Tensors = {}
    room = limits.body
    for spec in signature.inputs:
        if spec.name not in inputs:
            continue
        tensor = inputs[spec.name]
        shape = _shape(tensor, spec, limits)
        given = _given(tensor, spec, math.prod(shape))
        missing = math.prod(shape) - len(given)
        if missing:
            room -= missing * (spec.type.itemsize if spec.dtype != "string" else _REFERENCE + len(given[-1].encode()))
        if room < 0:
            raise RequestError(
                f"Input {spec.name!r}: with the values that its shape {list(shape)} asks for and the tensor leaves "
                f"out, the request is larger than the server's limit of {limits.body:,} bytes (--max-body-mb).",
                413,
            )
        if missing:
            given = np.pad(given, (0, missing), "edge")
        found[spec.name] = given.reshape(shape)
    return found


def _shape(tensor: Any, spec: Spec, limits: Limits) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    known = not tensor.tensor_shape.unknown_rank and all(size >= 0 for size in shape)
    if (
        tensor.dtype != types_pb2.DataType.Value(TENSORFLOW_TYPES[spec.dtype])
        or len(shape) != len(spec.shape)
        or not known
    ):
        types = types_pb2.DataType
        kind = types.Name(tensor.dtype) if tensor.dtype in types.values() else f"type {tensor.dtype}"
        shown = str(list(shape[:8])) if known else "that is not known"
        raise RequestError(
            f"Input {spec.name!r}: expected {TENSORFLOW_TYPES[spec.dtype]} of {len(spec.shape)} dimensions, received "
            f"{kind} of the shape {shown}."
        )
    if spec.of_rows and shape[0] > limits.rows:
        raise values.too_many(shape[0], limits.rows)
    if len(shape) == 2:
        values.refuse_length(spec, shape[1], limits.list_values)
    return shape


def _given(tensor: Any, spec: Spec, count: int) -> NDArray[Any]:
    """Returns the values that a tensor has, at most as many as its shape."""
    if tensor.tensor_content and spec.dtype != "string":
        dtype = spec.type.newbyteorder("<")
        if len(tensor.tensor_content) != count * dtype.itemsize:
            raise RequestError(
                f"Input {spec.name!r}: {count} values of {TENSORFLOW_TYPES[spec.dtype]} take {count * dtype.itemsize} "
                f"bytes, tensor_content has {len(tensor.tensor_content)}."
            )
        return np.frombuffer(tensor.tensor_content, dtype).astype(spec.type)
    given = getattr(tensor, _FIELDS[spec.dtype])
    if len(given) > count or (count and not given):
        raise RequestError(
            f"Input {spec.name!r}: its shape has {count} values, {_FIELDS[spec.dtype]} has {len(given)}."
        )
    if spec.dtype != "string":
        return np.array(given, spec.type)
    made = np.empty(len(given), object)
    made[:] = _texts(f"Input {spec.name!r}", given)
    return made


def _texts(where: str, given: Iterable[bytes]) -> list[str]:
    try:
        return [one.decode("utf-8") for one in given]
    except UnicodeDecodeError:
        raise RequestError(f"{where}: a string is not UTF-8.") from None


def examples(given: Any, signature: Signature, limits: Limits) -> dict[str, Any]:
    """Returns the examples of an `Input` as the REST API takes them, with the features that the signature reads.

    Raises:
        RequestError: there are none or too many, or a string is not UTF-8.
    """
    kind = given.WhichOneof("kind")
    if kind is None:
        raise RequestError("The request has no examples.")
    listed = getattr(given, kind)
    if len(listed.examples) > limits.rows:
        raise values.too_many(len(listed.examples), limits.rows)
    names = [spec.name for spec in signature.inputs]
    context = _features(listed.context, names) if kind == "example_list_with_context" else {}
    return {"examples": [_features(example, names) for example in listed.examples], "context": context}


def _features(example: Any, names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    features = example.features.feature
    for name in names:
        kind = features[name].WhichOneof("kind") if name in features else None
        if kind is not None:
            listed = getattr(features[name], kind).value
            found[name] = _texts(f"Feature {name!r}", listed) if kind == "bytes_list" else list(listed)
    return found
