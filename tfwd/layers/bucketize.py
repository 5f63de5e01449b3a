"""Turns numbers into bucket indices, for many features at once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

# TensorFlow's kernels treat denormal floats as 0, other runtimes don't: the side of a boundary at 0 on which -1e-40
# falls would depend on the runtime.
_SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


def flush_denormals(values: tf.Tensor) -> tf.Tensor:
    """Replaces denormal values by 0, in every runtime; float32, any shape."""
    return tf.where(tf.abs(values) < _SMALLEST_NORMAL, tf.zeros_like(values), values)


def without_denormals(values: np.ndarray) -> np.ndarray:
    """Does what `flush_denormals` does, for the constants that values are compared with; float32, any shape."""
    return np.where(np.abs(values) < _SMALLEST_NORMAL, np.float32(0), values)


def bucketize(values: tf.Tensor, boundaries: tf.Tensor, starts: np.ndarray, counts: np.ndarray) -> tf.Tensor:
    """Returns the number of boundaries b with not (x < b), column by column, by binary search.

    Equal to `keras.layers.Discretization`: bucket i holds boundaries[i-1] <= x < boundaries[i], and NaN is in the
    top bucket. A search costs log2(n) gathers, where counting would cost n comparisons, and every operation of it
    exists in ONNX.

    Args:
        values: float32 `(B, F)`.
        boundaries: float32 `(P,)`, P at least 1: the ascending boundaries of all columns, one after the other.
        starts: int32 `(F,)`: where each column's boundaries begin.
        counts: int32 `(F,)`: how many each column has, 0 for a column that is a single bucket.

    Returns:
        int32 `(B, F)`, from 0 to `counts`.
    """
    # A column without boundaries reads one of another column, which the comparison with its count then ignores.
    last = np.maximum(counts - 1, 0)
    starts = np.minimum(starts, max(int(np.sum(counts)) - 1, 0))
    position = tf.zeros_like(values, tf.int32)
    for power in reversed(range(int(np.max(counts)).bit_length())):
        candidate = position + 2**power
        boundary = tf.gather(boundaries, tf.minimum(candidate - 1, last) + starts)
        passed = tf.logical_and(candidate <= counts, tf.logical_not(values < boundary))
        position = tf.where(passed, candidate, position)
    return position


@keras.saving.register_keras_serializable("tfwd")
class Bucketize(keras.layers.Layer):
    """Bucket ids of several numbers: the buckets, then missing, then (where asked for) OOV.

    May be used inside `tf.data` and in exported graphs.

    Args:
        sizes: the number of boundaries of each column.
        oov: for each column, whether a value that is not itself a boundary gets the OOV id.

    Call:
        float32 `(B, F)` -> int32 `(B, F)`. Denormal numbers count as 0, NaN is missing; infinities are in the outer
        buckets, or OOV.
    """

    def __init__(self, sizes: list[int], oov: list[bool], **options: Any) -> None:
        super().__init__(**options)
        self.sizes = list(sizes)
        self.oov = list(oov)
        self._counts = np.array(self.sizes, np.int32)
        self._starts = np.cumsum([0, *self.sizes[:-1]]).astype(np.int32)

    def build(self, input_shape: Any) -> None:
        """Makes the weight that holds all boundaries."""
        self.boundaries = self.add_weight(
            name="boundaries", shape=(max(sum(self.sizes), 1),), initializer="zeros", trainable=False
        )

    def set_boundaries(self, boundaries: list[list[float]]) -> None:
        """Sets the ascending boundaries of every column, as many as its size says."""
        if [len(column) for column in boundaries] != self.sizes:
            raise ValueError(f"Expected {self.sizes} boundaries. Received: {[len(b) for b in boundaries]}")
        if sum(self.sizes):
            joined = np.concatenate([np.asarray(b, np.float32) for b in boundaries])
            self.boundaries.assign(without_denormals(joined))

    def load_own_variables(self, store: Any) -> None:
        """Loads the weights like Keras, then removes denormal boundaries, which a file of version 0.3.0 may hold."""
        super().load_own_variables(store)
        self.boundaries.assign(without_denormals(self.boundaries.numpy()))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps float32 `(B, F)` to int32 `(B, F)`."""
        inputs = flush_denormals(inputs)
        position = bucketize(inputs, self.boundaries.value, self._starts, self._counts)
        ids = position
        if any(self.oov):
            starts = np.minimum(self._starts, max(sum(self.sizes) - 1, 0))
            nearest = tf.gather(self.boundaries.value, tf.maximum(position - 1, 0) + starts)
            unseen = tf.logical_or(position < 1, tf.not_equal(nearest, inputs))
            unseen = tf.logical_and(unseen, tf.constant(self.oov))
            ids = tf.where(unseen, tf.constant(self._counts + 2), ids)
        return tf.where(tf.math.is_nan(inputs), tf.constant(self._counts + 1), ids)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns int32 of the shape of the input."""
        return keras.KerasTensor(inputs.shape, "int32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the boundaries are a weight."""
        return {**super().get_config(), "sizes": self.sizes, "oov": self.oov}
