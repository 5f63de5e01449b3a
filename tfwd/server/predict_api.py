"""Requests to `:predict`, in TensorFlow Serving's row and columnar forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfwd.server import json_codec, values
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Limits
from tfwd.server.signature import Signature, Tensors


class Asked(NamedTuple):
    """A request, read and checked.

    Attributes:
        columns: the inputs: a checked list with a value per row, or an array if the signature does not merge requests.
        rows: the number of rows; 0 if the signature does not merge requests.
        by_row: whether it asked in rows, and is answered in rows.
    """

    columns: dict[str, Any]
    rows: int
    by_row: bool


def signature_name(body: Any) -> str:
    """Returns the signature that a request asks for.

    Raises:
        RequestError: the request is not an object, or the name is not a string.
    """
    if type(body) is not dict:
        raise RequestError(f"The request must be a JSON object. Received: {values.shown(body)}")
    name = body.get("signature_name", "")
    if type(name) is not str:
        raise RequestError(f"signature_name must be a string. Received: {values.shown(name)}")
    return name or "serving_default"


def read(body: Mapping[str, Any], signature: Signature, limits: Limits) -> Asked:
    """Reads a request for a signature.

    Raises:
        RequestError: it is in neither form, or an input is missing or has another type or rank.
    """
    if "instances" in body:
        if "inputs" in body:
            raise RequestError('The request must have either "instances" or "inputs", and not both.')
        return _rows(body["instances"], signature, limits)
    if "inputs" in body:
        return _columns(body["inputs"], signature, limits)
    raise RequestError('The request has neither "instances" (rows) nor "inputs" (columns).')


def _rows(instances: Any, signature: Signature, limits: Limits) -> Asked:
    if type(instances) is not list or not instances:
        raise RequestError('"instances" must be a list with at least one row.')
    if len(instances) > limits.rows:
        raise values.too_many(len(instances), limits.rows)
    specs = signature.inputs
    alone = next((spec.name for spec in specs if not spec.of_rows), None)
    if alone is not None:
        raise RequestError(
            f'The signature {signature.name!r} takes {alone!r} once per request: give "inputs", and not "instances".'
        )
    if len(specs) == 1 and type(instances[0]) is not dict:
        return Asked({specs[0].name: values.column(specs[0], instances, limits.list_values)}, len(instances), True)
    expected = len(specs)
    for row, instance in enumerate(instances):
        if type(instance) is not dict or len(instance) != expected:
            raise _other_keys(row, instance, signature)
    columns = {}
    for spec in specs:
        name = spec.name
        try:
            given = [instance[name] for instance in instances]
        except KeyError:
            row = next(row for row, instance in enumerate(instances) if name not in instance)
            raise _other_keys(row, instances[row], signature) from None
        columns[name] = values.column(spec, given, limits.list_values)
    values.refuse_uneven_weights(specs, columns)
    return Asked(columns, len(instances), True)


def _other_keys(row: int, instance: Any, signature: Signature) -> RequestError:
    if type(instance) is not dict:
        return RequestError(
            f"Instance {row} must be an object with a value per input. Received: {values.shown(instance)}"
        )
    wanted = {spec.name for spec in signature.inputs}
    missing, extra = wanted - instance.keys(), instance.keys() - wanted
    parts = [f"{values.names(missing)} is missing"] if missing else []
    parts += [f"{values.names(extra)} is not an input"] if extra else []
    return RequestError(
        f"Instance {row}: {'; '.join(parts)}. The keys of a row must be exactly the inputs of the signature."
    )


def _columns(inputs: Any, signature: Signature, limits: Limits) -> Asked:
    specs = signature.inputs
    if type(inputs) is not dict or (len(specs) == 1 and inputs.keys() == {"b64"}):
        if len(specs) != 1:
            raise RequestError(
                f'"inputs" must be an object with a list per input, as the signature {signature.name!r} takes '
                f"{len(specs)} inputs. Received: {values.shown(inputs)}"
            )
        inputs = {specs[0].name: inputs}
    arrays = {
        spec.name: values.nested(spec, inputs[spec.name], limits.list_values, limits.rows)
        for spec in specs
        if spec.name in inputs
    }
    return of_arrays(arrays, signature, by_row=False)


def of_arrays(arrays: Tensors, signature: Signature, by_row: bool) -> Asked:
    """Returns inputs that were given as arrays as a request.

    Raises:
        RequestError: an input is missing, inputs of rows differ in their number or there are none, or lists of weights
            are not as long as what they weigh.
    """
    missing = [
        spec.name for spec in signature.inputs if spec.name not in arrays and spec.name not in signature.defaults
    ]
    if missing:
        raise RequestError(f"The request lacks the inputs {values.names(missing)} of the signature {signature.name!r}.")
    arrays = {**signature.defaults, **arrays}
    values.refuse_uneven_weights(signature.inputs, arrays)
    if not signature.merges:
        return Asked(dict(arrays), 0, by_row)
    counts = {name: len(array) for name, array in arrays.items()}
    rows = next(iter(counts.values()))
    other = next((name for name, count in counts.items() if count != rows), None)
    if other is not None:
        first = next(iter(counts))
        raise RequestError(
            f"The inputs of one request must have one number of rows. Received: {rows} of {first!r} and "
            f"{counts[other]} of {other!r}"
        )
    if not rows:
        raise RequestError("The request has no rows.")
    return Asked({name: array.tolist() for name, array in arrays.items()}, rows, by_row)


def write(outputs: Mapping[str, NDArray[Any]], by_row: bool) -> bytes:
    """Writes the answer to a request, in its own form.

    Raises:
        RequestError: it asked in rows, and the outputs are not of rows.
    """
    if by_row:
        lengths = {len(values) if np.ndim(values) else None for values in outputs.values()}
        if len(lengths) != 1 or None in lengths:
            raise RequestError('The outputs of this signature are not of rows: give "inputs", and not "instances".')
        return b'{"predictions":' + json_codec.rows(outputs) + b"}"
    if len(outputs) == 1:
        ((name, values),) = outputs.items()
        return b'{"outputs":' + json_codec.tensor(name, values) + b"}"
    parts = [json_codec.dumps(name) + b":" + json_codec.tensor(name, values) for name, values in outputs.items()]
    return b'{"outputs":{' + b",".join(parts) + b"}}"
