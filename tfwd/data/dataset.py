"""Rows passed into `tf.data` in the cheapest way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfwd.data.chunk import Chunk
from tfwd.data.labels import weights_of
from tfwd.errors import ConfigError, TfwdError
from tfwd.schema import DTYPES, Input, Schema

# The errors that readers of datasets have raised, for each open `original_errors`. TensorFlow runs a generator in its
# own thread, which does not see the context of the iterating thread.
_raised: dict[object, list[TfwdError]] = {}


def dataset(
    schema: Schema,
    labelled: bool,
    batch_size: int,
    chunks: Callable[[], Iterator[Chunk]],
    class_weights: dict[str, float] | None,
) -> tf.data.Dataset:
    """Returns chunks of rows as a dataset of batches: `(x, y)` or `(x, y, w)`, or `x` where not labelled.

    Args:
        schema: the schema of the rows.
        labelled: whether the chunks have labels.
        batch_size: rows per batch; the last may be smaller.
        chunks: called at every iteration of the dataset; yields chunks of whole batches, except for the last.
        class_weights: label value -> a factor of the row's weight.

    Raises:
        ConfigError: `class_weights` names no class.
    """
    factors = None
    if class_weights is not None:
        if schema.task == "regression":
            raise ConfigError("train.class_weights needs classes: a regression has none.")
        factors = weights_of(class_weights, schema.classes)

    def parts() -> Iterator[dict[str, np.ndarray]]:
        try:
            for chunk in chunks():
                yield _arrays(chunk, factors)
        except TfwdError as error:
            for cell in list(_raised.values()):
                cell.append(error)
            raise

    weighted = labelled and (factors is not None or schema.weight is not None)
    signature = _signature(schema, labelled, weighted)
    unpack = _unpacker(schema, labelled, weighted)
    # Prefetches one chunk, so that the next is decoded while this one is used.
    chunked = tf.data.Dataset.from_generator(parts, output_signature=signature).map(unpack).prefetch(1)
    return without_autotune(chunked.rebatch(batch_size))


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset with fixed buffers and threads.

    The thread that tunes them sleeps for up to several seconds at a time, and an iterator waits for it when it ends.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


@contextmanager
def original_errors() -> Iterator[None]:
    """Re-raises a tfwd error that TensorFlow wrapped while iterating a dataset of rows as the original object.

    If several were raised meanwhile, also by datasets of other threads, it is the one that TensorFlow names.
    """
    here = object()
    cell = _raised[here] = []
    try:
        yield
    except tf.errors.OpError as wrapped:
        found = next((error for error in reversed(cell) if _shown(error) in str(wrapped)), None)
        if found is None:
            raise
        raise found from found.__cause__
    finally:
        del _raised[here]


def _shown(error: TfwdError) -> str:
    """Returns an error as TensorFlow shows it: up to the first NUL, and without the message if it is not UTF-8."""
    try:
        text = str(error).encode().decode()
    except UnicodeEncodeError:
        text = ""
    return f"{type(error).__name__}: {text.partition(chr(0))[0]}"


class _Layout(NamedTuple):
    """The inputs of a schema, grouped by the form in which they cross into TensorFlow."""

    strings: list[str]
    integers: list[str]
    floats: list[str]
    lists: list[Input]

    @classmethod
    def of(cls, inputs: Iterable[Input]) -> _Layout:
        found = cls([], [], [], [])
        names = {"string": found.strings, "integer": found.integers, "float": found.floats}
        for entry in inputs:
            if entry.length:
                found.lists.append(entry)
            else:
                names[entry.kind].append(entry.name)
        return found


def _arrays(chunk: Chunk, factors: np.ndarray | None) -> dict[str, np.ndarray]:
    # Crossing into TensorFlow has a cost per Python string and per array. So each distinct string crosses once, as
    # bytes, in one dictionary of all columns, and numbers of one type cross as one matrix.
    arrays: dict[str, np.ndarray] = {}
    layout = _Layout.of(chunk.inputs)
    if chunk.dictionaries:
        offsets, offset = {}, 0
        for name, dictionary in chunk.dictionaries.items():
            offsets[name] = np.int32(offset)
            offset += len(dictionary)
        words = pa.concat_arrays([part.cast(pa.large_string()) for part in chunk.dictionaries.values()])
        arrays["words"] = words.cast(pa.large_binary()).to_numpy(zero_copy_only=False)
    if layout.strings:
        codes = np.empty((len(layout.strings), chunk.rows), np.int32)
        for index, name in enumerate(layout.strings):
            np.add(chunk.values[name], offsets[name], out=codes[index])
        arrays["codes"] = codes
    if layout.integers:
        arrays["integers"] = np.stack([chunk.values[name] for name in layout.integers])
    if layout.floats:
        arrays["floats"] = np.stack([chunk.values[name] for name in layout.floats])
    for index, entry in enumerate(layout.lists):
        values = chunk.values[entry.name]
        arrays[f"list_{index}"] = values + offsets[entry.name] if entry.kind == "string" else values
    if chunk.label is not None:
        arrays["label"] = chunk.label
        weight = chunk.weight
        if factors is not None:
            by_class = factors[chunk.label[:, 0].astype(np.int64)]
            weight = by_class if weight is None else weight * by_class
        if weight is not None:
            arrays["weight"] = weight
    return arrays


def _signature(schema: Schema, labelled: bool, weighted: bool) -> dict[str, tf.TensorSpec]:
    signature: dict[str, tf.TensorSpec] = {}
    layout = _Layout.of(schema.inputs)
    for names, key, dtype in (
        (layout.strings, "codes", tf.int32),
        (layout.integers, "integers", tf.int64),
        (layout.floats, "floats", tf.float32),
    ):
        if names:
            signature[key] = tf.TensorSpec([len(names), None], dtype)
    for index, entry in enumerate(layout.lists):
        dtype = tf.int32 if entry.kind == "string" else tf.as_dtype(DTYPES[entry.kind])
        signature[f"list_{index}"] = tf.TensorSpec([None, entry.length], dtype)
    if any(entry.kind == "string" for entry in schema.inputs):
        signature["words"] = tf.TensorSpec([None], tf.string)
    if labelled:
        signature["label"] = tf.TensorSpec([None, 1], tf.int32 if schema.task == "multiclass" else tf.float32)
    if weighted:
        signature["weight"] = tf.TensorSpec([None], tf.float32)
    return signature


def _unpacker(schema: Schema, labelled: bool, weighted: bool) -> Any:
    layout = _Layout.of(schema.inputs)

    @tf.autograph.experimental.do_not_convert
    def unpack(arrays: dict[str, tf.Tensor]) -> Any:
        columns: dict[str, tf.Tensor] = {}
        if layout.strings:
            words = tf.gather(arrays["words"], arrays["codes"])
            columns.update(zip(layout.strings, tf.unstack(words), strict=True))
        for names, key in ((layout.integers, "integers"), (layout.floats, "floats")):
            if names:
                columns.update(zip(names, tf.unstack(arrays[key]), strict=True))
        for index, entry in enumerate(layout.lists):
            values = arrays[f"list_{index}"]
            columns[entry.name] = tf.gather(arrays["words"], values) if entry.kind == "string" else values
        inputs = {entry.name: columns[entry.name] for entry in schema.inputs}
        if not labelled:
            return inputs
        return (inputs, arrays["label"], arrays["weight"]) if weighted else (inputs, arrays["label"])

    return unpack
