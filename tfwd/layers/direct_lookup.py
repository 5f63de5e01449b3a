"""Turns categories into ids without a vocabulary: hashed strings and small integers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.layers.fingerprint import fingerprint64
from tfwd.schema import EMPTY_FINGERPRINT, MISSING_INTEGER


class _Lookup(keras.layers.Layer):
    """Base class: any shape -> int64 of the same shape."""

    def __init__(self, size: int, **options: Any) -> None:
        super().__init__(**options)
        self.size = size

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns int64 of the shape of the input."""
        return keras.KerasTensor(inputs.shape, "int64")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("tfwd")
class Fingerprint(keras.layers.Layer):
    """Fingerprint64 (FarmHash) of categories; integers are formatted in decimal first, missing ones as "".

    No ONNX operation computes it: a model with this layer is exported to ONNX with the fingerprint as its input.

    Call:
        string or int64, any shape -> uint64, the same shape.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps string or int64 to uint64, shape kept."""
        words = inputs
        if inputs.dtype != tf.string:
            words = tf.where(tf.equal(inputs, MISSING_INTEGER), "", tf.strings.as_string(inputs))
        return tf.ensure_shape(fingerprint64(words), inputs.shape)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns uint64 of the shape of the input."""
        return keras.KerasTensor(inputs.shape, "uint64")


@keras.saving.register_keras_serializable("tfwd")
class HashedLookup(_Lookup):
    """Turns fingerprints into bins: fingerprint mod `size`; missing, the fingerprint of "", has the id `size`.

    Equal to `tf.strings.to_hash_bucket_fast` on the original strings.

    Args:
        size: the number of bins.

    Call:
        uint64, any shape -> int64, the same shape.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps uint64 to int64, shape kept."""
        bins = tf.cast(tf.math.floormod(inputs, tf.constant(self.size, tf.uint64)), tf.int64)
        missing = tf.equal(inputs, tf.constant(EMPTY_FINGERPRINT, tf.uint64))
        return tf.where(missing, tf.constant(self.size, tf.int64), bins)


@keras.saving.register_keras_serializable("tfwd")
class IdentityLookup(_Lookup):
    """Integers 0 to `size - 1` are their own ids; others are OOV (`size`), missing is `size + 1`.

    Args:
        size: the number of categories.

    Call:
        int64, any shape -> int64, the same shape.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps int64 to int64, shape kept."""
        known = tf.logical_and(inputs >= 0, inputs < self.size)
        ids = tf.where(known, inputs, tf.constant(self.size, tf.int64))
        return tf.where(tf.equal(inputs, MISSING_INTEGER), tf.constant(self.size + 1, tf.int64), ids)


def fingerprints(values: np.ndarray) -> np.ndarray:
    """Returns what a client passes for a hashed input: Fingerprint64 (FarmHash) of the UTF-8 bytes, as int64 `(B,)`.

    Integers are formatted in decimal first; a missing value is the empty string. In Python, with the package
    pyfarmhash: `numpy.array([farmhash.fingerprint64(text) for text in texts], "uint64").view("int64")`.

    Args:
        values: strings (object array) or int64.
    """
    tensor = tf.constant(values.tolist() if values.dtype == object else values)
    return np.asarray(Fingerprint()(tensor).numpy().view(np.int64))
