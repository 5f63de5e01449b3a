"""The rows and users that kits show: those of a version's own warm-up requests."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow_serving.apis import prediction_log_pb2

from tfwd.errors import ExportError
from tfwd.schema import MISSING, Schema, is_missing

WARMUP = ("assets.extra", "tf_serving_warmup_requests")
Arrays = dict[str, NDArray[Any]]


def asked(version: Path, signature: str) -> Iterator[Arrays]:
    """Yields the inputs of a signature in the requests of the warm-up file.

    Raises:
        ExportError: the file does not exist, or is damaged.
    """
    file = version.joinpath(*WARMUP)
    try:
        found = file.stat()
        requests = _requests(file, found.st_mtime_ns, found.st_size)
    except (OSError, tf.errors.OpError, DecodeError, TypeError, ValueError) as error:
        raise ExportError(f"{file} is damaged: {_plain_fault(error)}. Export the model again.") from None
    for name, inputs in requests:
        if name == signature:
            yield inputs


# A kit looks at the same requests a dozen times, for each model.
@functools.lru_cache(maxsize=8)
def _requests(file: Path, *_stamp: int) -> list[tuple[str, Arrays]]:
    """Returns the signature and the inputs of each predict request in a warm-up file.

    Args:
        file: the file.
        _stamp: what changes when it is written again.
    """
    found = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        if log.WhichOneof("log_type") == "predict_log":
            request = log.predict_log.request
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            found.append((request.model_spec.signature_name, inputs))
    return found


def examples(version: Path, schema: Schema, count: int = 1) -> list[dict[str, Any]]:
    """Returns different rows of the warm-up file, at most `count`, those with the fewest missing values first.

    A missing number has no word in JSON that every language reads.
    """
    single = [each for each in asked(version, "serving_default") if len(next(iter(each.values()))) == 1]
    found: list[dict[str, Any]] = []
    for inputs in single:
        row = first_row(inputs, schema)
        if repr(row) not in map(repr, found):
            found.append(row)
    if not found:
        raise ExportError(f"{version.joinpath(*WARMUP)} is damaged: it holds no request. Export the model again.")
    return sorted(found, key=_missing)[:count]


def user(version: Path, schema: Schema) -> dict[str, Any] | None:
    """Returns the inputs of one request for a list, or None if the model makes no lists."""
    found = list(asked(version, "recommend"))
    if not found:
        return None
    users = [first_row(inputs, schema) for inputs in found]
    own = min(users, key=_missing)
    options = {key: plain(value) for key, value in found[0].items() if key not in own}
    return {key: [value] for key, value in own.items()} | options


def largest(version: Path) -> int:
    """Returns how many rows the largest batch of the warm-up file has."""
    return max((len(next(iter(inputs.values()))) for inputs in asked(version, "serving_default")), default=1)


def first_row(inputs: Arrays, schema: Schema) -> dict[str, Any]:
    """Returns the first row of a request as JSON values; lists lose their padding, but keep at least one value."""
    by_column = {entry.column: entry.name for entry in schema.inputs}
    row = {}
    for entry in schema.inputs:
        if entry.name in inputs:
            value = plain(inputs[entry.name][0])
            if entry.length and not entry.fixed:
                # Weights are at the positions of their values.
                own = value if entry.weighs is None else plain(inputs[by_column[entry.weighs]][0])
                last = max((place for place, one in enumerate(own) if not is_missing(one)), default=0)
                value = value[: last + 1]
            row[entry.name] = value
    return row


def rectangular(rows: list[dict[str, Any]], schema: Schema) -> list[dict[str, Any]]:
    """Returns rows whose lists have one length per input, filled up at the end with the missing value.

    A request holds arrays, in which all rows have as many values.
    """
    kinds = {entry.name: entry.kind for entry in schema.inputs}
    longest = {name: max(len(row[name]) for row in rows) for name in rows[0] if isinstance(rows[0][name], list)}
    return [
        {
            name: [*value, *[MISSING[kinds[name]]] * (longest[name] - len(value))] if name in longest else value
            for name, value in row.items()
        }
        for row in rows
    ]


def plain(value: Any) -> Any:
    """Returns a NumPy value or array as Python values."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


def _plain_fault(error: Exception) -> str:
    """Returns what is wrong, without what TensorFlow says about the operation that noticed."""
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:[^\]]*\].*", "", text.splitlines()[0])


def _missing(row: dict[str, Any]) -> int:
    """Returns how many values of a row are missing."""
    return sum(is_missing(one) for value in row.values() for one in (value if isinstance(value, list) else [value]))
