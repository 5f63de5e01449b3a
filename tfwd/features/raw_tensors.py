"""Turns the raw batches that Keras hands to the model into tensors by name, which the transform takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.data.raw import choose, raw_arrays, refuse_dtype, refuse_lengths, refuse_shape, refuse_weights
from tfwd.schema import DTYPES, MISSING, Input, Schema

Tensors = dict[str, tf.Tensor]

_SPARSE = (tf.SparseTensor, tf.RaggedTensor)
_TENSORS = (tf.Tensor, tf.Variable, keras.KerasTensor, *_SPARSE)


def raw_tensors(schema: Schema, inputs: Any) -> Tensors:
    """Returns a batch by name as the transform takes it: functional models match a dict by the order of sorted keys.

    Tensors are checked by their shapes and dtypes alone, which works inside a graph; arrays are also checked by their
    values, as in `tfwd.data.raw.raw_arrays`.

    Args:
        schema: the inputs.
        inputs: tensors or arrays by name; other keys are ignored. An input of one value per row is `(B,)` or `(B, 1)`,
            one of lists `(B, K)`, `(B,)`, a RaggedTensor or a SparseTensor, one of vectors `(B, n)`.

    Returns:
        By name, in the schema's order: string, int64 or float32, `(B,)` or `(B, K)`.

    Raises:
        DataError: an input is missing, or has the wrong shape, type or length.
    """
    chosen = choose(schema, inputs)
    if not any(isinstance(value, _TENSORS) for value in chosen.values()):
        return tensors(raw_arrays(schema, chosen))
    values = {entry.name: _as_given(entry, chosen[entry.name]) for entry in schema.inputs}
    made = {entry.name: _tensor(entry, values[entry.name]) for entry in schema.inputs}
    for entry in schema.inputs:
        if entry.weighs is not None:
            other = next(one for one in schema.inputs if one.column == entry.weighs)
            made[entry.name] = _as_long(entry, other, values, made)
    refuse_lengths({name: tensor.shape[0] for name, tensor in made.items() if tensor.shape[0] is not None} or {"": 0})
    return made


def tensors(raw: Mapping[str, np.ndarray]) -> Tensors:
    """Returns arrays by name, as `tfwd.data.raw.raw_arrays` makes them, as tensors."""
    return {name: _constant(values) for name, values in raw.items()}


def _constant(values: np.ndarray) -> tf.Tensor:
    return tf.constant(values.tolist(), tf.string, values.shape) if values.dtype == object else tf.constant(values)


def _as_given(entry: Input, value: Any) -> Any:
    if isinstance(value, _TENSORS):
        return value
    # Checked alone here; its length and weights are checked together with the other inputs later.
    alone = dataclasses.replace(entry, weighs=None)
    found: np.ndarray = raw_arrays(Schema((alone,), "regression", ""), {entry.name: value})[entry.name]
    return _constant(found)


def _tensor(entry: Input, value: Any) -> tf.Tensor:
    dtype = tf.as_dtype(value.dtype)
    wanted = DTYPES[entry.kind]
    fits = {
        "string": dtype == tf.string,
        "integer": dtype.is_bool or (dtype.is_integer and dtype != tf.uint64),
        "float": dtype.is_bool or dtype.is_integer or dtype.is_floating,
    }[entry.kind]
    if not fits:
        hint = ". Cast it to int64, where no value has a fraction" if dtype.is_floating else ""
        raise refuse_dtype(entry, f"a tensor of {dtype.name}{hint}")
    if isinstance(value, _SPARSE):
        if not entry.length or entry.fixed or value.shape.rank != 2:
            raise refuse_shape(entry, f"a {type(value).__name__} of shape {value.shape}")
        value = _dense(entry, value, None)
    elif isinstance(value, keras.KerasTensor):
        return value
    return tf.cast(_shaped(entry, value), wanted)


def _shaped(entry: Input, value: tf.Tensor) -> tf.Tensor:
    rank = value.shape.rank
    if entry.fixed and rank is None:
        return tf.ensure_shape(value, [None, entry.length])
    if entry.fixed:
        if rank == 1 and entry.length == 1:
            return tf.expand_dims(value, 1)
        if rank == 2 and value.shape[1] in (entry.length, None):
            return tf.ensure_shape(value, [None, entry.length])
        raise refuse_shape(entry, f"shape {tuple(value.shape)}")
    if rank is None:
        return tf.ensure_shape(value, [None, None]) if entry.length else tf.reshape(value, [tf.shape(value)[0]])
    if rank == 1:
        return tf.expand_dims(value, 1) if entry.length else value
    if rank == 2 and entry.length:
        return value
    if rank == 2 and value.shape[1] in (1, None):
        # It has one column, or TensorFlow refuses to squeeze it.
        return tf.squeeze(value, 1)
    raise refuse_shape(entry, f"shape {tuple(value.shape)}")


def _dense(entry: Input, value: Any, width: Any) -> tf.Tensor:
    missing = tf.cast(tf.constant(MISSING[entry.kind]), value.dtype)
    if isinstance(value, tf.SparseTensor):
        return tf.sparse.to_dense(value, missing)
    found = value.to_tensor(missing)
    if width is None:
        return found
    return tf.pad(found, [[0, 0], [0, tf.maximum(width - tf.shape(found)[1], 0)]], constant_values=missing)


def _as_long(entry: Input, other: Input, given: dict[str, Any], made: Tensors) -> tf.Tensor:
    """Makes weights as wide as the values that they weigh; in a row without weights, each is 1."""
    weights, values = given[entry.name], given[other.name]
    if isinstance(weights, tf.RaggedTensor):
        width = tf.shape(made[other.name])[1]
        lengths = tf.cast(weights.row_lengths(), tf.int32)
        fits = lengths <= width
        if isinstance(values, tf.RaggedTensor):
            fits = (lengths == tf.cast(values.row_lengths(), tf.int32)) | (lengths == 0)
        refusal = refuse_weights(entry.name, other.name, "a row with more or fewer")
        if tf.executing_eagerly() and not bool(tf.reduce_all(fits)):
            raise refusal
        message = str(refusal)
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(fits), [message])]):
            return tf.cast(_dense(entry, weights, width), tf.float32)
    found = made[entry.name].shape[1], made[other.name].shape[1]
    if None not in found and found[0] != found[1]:
        raise refuse_weights(entry.name, other.name, f"{found[0]} weights for {found[1]} values per row")
    return made[entry.name]
