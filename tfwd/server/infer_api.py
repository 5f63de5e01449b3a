"""Requests of the Open Inference Protocol v2, over JSON and with its extension for binary tensors.

The protocol: github.com/kserve/open-inference-protocol; the extension: Triton's "Binary Tensor Data Extension".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from tfwd.server import json_codec, predict_api, values
from tfwd.server.predict_api import Asked
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Limits
from tfwd.server.signature import Signature, Spec, Tensors

DATATYPES = {"string": "BYTES", "int64": "INT64", "int32": "INT32", "float32": "FP32"}
_FIXED = {"INT64": "<i8", "INT32": "<i4", "FP32": "<f4"}


class Question(NamedTuple):
    """A request, read and checked.

    Attributes:
        asked: the inputs.
        outputs: the outputs to return, with whether each is returned in binary.
        identity: the caller's `id`, which is returned.
    """

    asked: Asked
    outputs: dict[str, bool]
    identity: str | None


def signature_of(body: Any) -> str:
    """Returns the signature that a request asks for, in its parameter `signature_name`.

    Raises:
        RequestError: the request is not an object.
    """
    if type(body) is not dict:
        raise RequestError(f"The request must be a JSON object. Received: {values.shown(body)}")
    name = _parameters(body).get("signature_name", "serving_default")
    if type(name) is not str:
        raise RequestError(f"parameters.signature_name must be a string. Received: {values.shown(name)}")
    return name


def split(content: bytes, header: str | None) -> tuple[bytes, memoryview]:
    """Returns the JSON of a body and the binary tensors after it.

    Args:
        content: the body.
        header: the header Inference-Header-Content-Length, if it was sent.

    Raises:
        RequestError: the header is not a length within the body.
    """
    if header is None:
        return content, memoryview(b"")
    # More digits than any length has, Python may refuse to convert.
    length = int(header) if len(header) < 20 and header.isascii() and header.isdecimal() else None
    if length is None or length > len(content):
        raise RequestError(
            f"Inference-Header-Content-Length must be a number of bytes, at most the {len(content)} of the body. "
            f"Received: {header:.40}"
        )
    return content[:length], memoryview(content)[length:]


def read(body: Mapping[str, Any], binary: memoryview, signature: Signature, limits: Limits) -> Question:
    """Reads a request for a signature.

    Raises:
        RequestError: an input is missing, is given twice, or has another type or shape.
    """
    identity = body.get("id")
    if identity is not None and type(identity) is not str:
        raise RequestError(f"id must be a string. Received: {values.shown(identity)}")
    given = body.get("inputs")
    if type(given) is not list or not given:
        raise RequestError('"inputs" must be a list with a tensor per input.')
    arrays: Tensors = {}
    used = 0
    for tensor in given:
        spec, name = _known(tensor, signature)
        if name in arrays:
            raise RequestError(f"The input {name!r} is given twice.")
        size = _parameters(tensor).get("binary_data_size")
        part = None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(binary) - used:
                raise RequestError(f"Input {name!r}: binary_data_size {values.shown(size)} is not within the body.")
            part = binary[used : used + size]
            used += size
        arrays[name] = _array(tensor, spec, part, limits)
    if used != len(binary):
        raise RequestError(f"{len(binary) - used} bytes after the JSON belong to no input.")
    return Question(predict_api.of_arrays(arrays, signature, by_row=False), _outputs(body, signature), identity)


def _parameters(section: Mapping[str, Any]) -> dict[str, Any]:
    found = section.get("parameters", {})
    if type(found) is not dict:
        raise RequestError(f"parameters must be an object. Received: {values.shown(found)}")
    return found


def _known(tensor: Any, signature: Signature) -> tuple[Spec, str]:
    name = tensor.get("name") if type(tensor) is dict else None
    if type(name) is not str:
        raise RequestError("Each input must be an object with a name, a shape, a datatype and data.")
    spec = signature.input(name)
    if spec is None:
        known = values.names(entry.name for entry in signature.inputs)
        raise RequestError(f"{name[:100]!r} is not an input. The model takes: {known}")
    return spec, name


def _array(tensor: Mapping[str, Any], spec: Spec, binary: memoryview | None, limits: Limits) -> NDArray[Any]:
    wanted, datatype = DATATYPES[spec.dtype], tensor.get("datatype")
    if datatype != wanted:
        raise RequestError(f"Input {spec.name!r}: expected the datatype {wanted}, received {values.shown(datatype)}.")
    shape, asked = tensor.get("shape"), len(spec.shape)
    if type(shape) is not list or any(type(size) is not int or size < 0 for size in shape):
        raise RequestError(f"Input {spec.name!r}: shape must be a list of sizes. Received: {values.shown(shape)}")
    if asked == 1 and len(shape) == 2 and shape[1] == 1:
        shape = shape[:1]  # clients of batching servers send a column
    if len(shape) != asked:
        raise RequestError(f"Input {spec.name!r}: expected {asked} dimensions, received the shape {tensor['shape']}.")
    if spec.of_rows and shape[0] > limits.rows:
        raise values.too_many(shape[0], limits.rows)
    if asked == 2:
        values.refuse_length(spec, shape[1], limits.list_values)
    count = int(np.prod(shape, dtype=np.int64))
    if binary is not None:
        return _from_binary(spec, binary, count).reshape(shape)
    data = tensor.get("data")
    if type(data) is not list:
        raise RequestError(f"Input {spec.name!r}: data must be a list. Received: {values.shown(data)}")
    flat = _flattened(data, count + 1)
    if len(flat) != count:
        raise RequestError(
            f"Input {spec.name!r}: the shape {tensor['shape']} has {count} values, data has {len(flat)}."
        )
    row = Spec(spec.name, spec.dtype, (None,))
    width = shape[1] if asked == 2 else None
    made = values.array(row, values.flat(row, flat, width=width)) if flat else np.zeros(0, spec.type)
    return made.reshape(shape)


def _flattened(data: list[Any], most: int) -> list[Any]:
    """Returns the values of nested lists in order; no more than needed to tell that there are too many."""
    if list not in set(map(type, data)):
        return data
    found: list[Any] = []
    waiting = [iter(data)]
    while waiting and len(found) < most:
        one = next(waiting[-1], waiting)
        if one is waiting:
            waiting.pop()
        elif type(one) is list:
            waiting.append(iter(one))
        else:
            found.append(one)
    return found


def _from_binary(spec: Spec, content: memoryview, count: int) -> NDArray[Any]:
    datatype = DATATYPES[spec.dtype]
    if datatype != "BYTES":
        dtype = np.dtype(_FIXED[datatype])
        if len(content) != count * dtype.itemsize:
            raise RequestError(
                f"Input {spec.name!r}: {count} values of {datatype} take {count * dtype.itemsize} bytes, received "
                f"{len(content)}."
            )
        return np.frombuffer(content, dtype).astype(spec.type)
    texts, at = [], 0
    while at < len(content):
        if at + 4 > len(content) or (size := struct.unpack_from("<I", content, at)[0]) > len(content) - at - 4:
            raise RequestError(f"Input {spec.name!r}: a string ends beyond the tensor, at byte {at}.")
        try:
            texts.append(bytes(content[at + 4 : at + 4 + size]).decode("utf-8"))
        except UnicodeDecodeError:
            raise RequestError(f"Input {spec.name!r}: the string at byte {at} is not UTF-8.") from None
        at += 4 + size
    if len(texts) != count:
        raise RequestError(f"Input {spec.name!r}: its shape has {count} values, the tensor has {len(texts)}.")
    made = np.empty(count, object)
    made[:] = texts
    return made


def _outputs(body: Mapping[str, Any], signature: Signature) -> dict[str, bool]:
    """Returns the outputs to return, with whether each is returned in binary."""
    every = _parameters(body).get("binary_data_output", False) is True
    given = body.get("outputs")
    if given is None:
        return {spec.name: every for spec in signature.outputs}
    if type(given) is not list:
        raise RequestError(f'"outputs" must be a list. Received: {values.shown(given)}')
    known = {spec.name for spec in signature.outputs}
    found = {}
    for output in given:
        name = output.get("name") if type(output) is dict else None
        if type(name) is not str or name not in known:
            raise RequestError(f"{values.shown(name)} is not an output. The model gives: {values.names(known)}")
        found[name] = _parameters(output).get("binary_data", every) is True
    return found or {spec.name: every for spec in signature.outputs}


def write(name: str, version: int, question: Question, outputs: Mapping[str, NDArray[Any]]) -> tuple[bytes, int | None]:
    """Writes the answer.

    Returns:
        The body, and the length of its JSON if binary tensors follow.
    """
    heads, parts = [], []
    for key, binary in question.outputs.items():
        array = outputs[key]
        dtype = "string" if array.dtype.kind in "OUS" else array.dtype.name
        head = {"name": key, "datatype": DATATYPES[dtype], "shape": list(array.shape)}
        if binary:
            content = _to_binary(array)
            parts.append(content)
            heads.append(orjson.dumps({**head, "parameters": {"binary_data_size": len(content)}}))
        else:
            data = json_codec.tensor("", np.ravel(array))
            heads.append(orjson.dumps(head)[:-1] + b',"data":' + data + b"}")
    said = {"model_name": name, "model_version": str(version)}
    if question.identity is not None:
        said["id"] = question.identity
    text = orjson.dumps(said)[:-1] + b',"outputs":[' + b",".join(heads) + b"]}"
    return text + b"".join(parts), len(text) if parts else None


def _to_binary(array: NDArray[Any]) -> bytes:
    if array.dtype.kind in "OUS":
        texts = [one if isinstance(one, bytes) else str(one).encode() for one in np.ravel(array).tolist()]
        return b"".join([struct.pack("<I", len(text)) + text for text in texts])
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def metadata(name: str, versions: list[int], signature: Signature, platform: str) -> dict[str, Any]:
    """Returns what `/v2/models/NAME` says of a model."""

    def tensors(specs: tuple[Spec, ...]) -> list[dict[str, Any]]:
        return [
            {
                "name": spec.name,
                "datatype": DATATYPES[spec.dtype],
                "shape": [-1 if size is None else size for size in spec.shape],
            }
            for spec in specs
        ]

    return {
        "name": name,
        "versions": [str(number) for number in versions],
        "platform": platform,
        "inputs": tensors(signature.inputs),
        "outputs": tensors(signature.outputs),
    }
