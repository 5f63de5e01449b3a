"""The latest values of a list, in a matrix of a fixed width."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

# The local id where there is no value.
ABSENT = -1


@keras.saving.register_keras_serializable("tfwd")
class LatestValues(keras.layers.Layer):
    """Keeps the last `length` ids of every row, and the values that belong to them.

    Up to `length` columns are kept unchanged, with padding at the end. Of more columns the last values are kept, the
    latest first.

    Args:
        length: how many values are kept.
        pad: the id of padding.

    Call:
        a list of `(B, K)`: int64 ids, then any other dtypes -> a list of `(B, length)`: the ids, `ABSENT` where there
        is no value, then the others. Weights (floats) whose K differs from the ids' are an error in every runtime.
    """

    def __init__(self, length: int, pad: int, **options: Any) -> None:
        super().__init__(**options)
        self.length, self.pad = length, pad

    def call(self, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        """Maps a list of `(B, K)` to a list of `(B, length)`; see the class."""
        ids = inputs[0]
        others = [_of_one_shape(column, ids) if column.dtype.is_floating else column for column in inputs[1:]]
        columns = [tf.where(tf.equal(ids, self.pad), tf.constant(ABSENT, tf.int64), ids), *others]
        given = ids.shape[1]
        if given is not None:
            kept = columns if given == self.length else self._padded(columns) if given < self.length else None
            return kept if kept is not None else self._latest(columns)
        few = tf.shape(ids)[1] <= self.length
        found = tf.cond(few, lambda: self._padded(columns), lambda: self._latest(columns))
        return [tf.ensure_shape(column, (ids.shape[0], self.length)) for column in found]

    def _padded(self, columns: list[tf.Tensor]) -> list[tf.Tensor]:
        rows = tf.shape(columns[0])[0]
        missing = tf.stack([rows, self.length - tf.shape(columns[0])[1]])
        # Not tf.pad: the ONNX converter pads uint64 as float32, which keeps only 24 bits of a fingerprint.
        padding = [tf.fill(missing, tf.constant(ABSENT, tf.int64))]
        padding += [tf.fill(missing, tf.zeros((), column.dtype)) for column in columns[1:]]
        return [tf.concat(pair, axis=1) for pair in zip(columns, padding, strict=True)]

    def _latest(self, columns: list[tf.Tensor]) -> list[tf.Tensor]:
        ids = columns[0]
        place = tf.range(1, tf.shape(ids)[1] + 1)[tf.newaxis]
        # Padding has the place 0 and comes after all values.
        _, places = tf.math.top_k(tf.where(ids >= 0, place, tf.zeros_like(place)), self.length)
        return [tf.gather(column, places, batch_dims=1) for column in columns]

    def compute_output_spec(self, inputs: Any) -> list[keras.KerasTensor]:
        """Returns `(B, length)` each."""
        return [keras.KerasTensor((column.shape[0], self.length), column.dtype) for column in inputs]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "length": self.length, "pad": self.pad}


def _of_one_shape(weights: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Returns the weights; fails unless they are as many as the ids, which ONNX Runtime would not check otherwise."""
    # One more column, because ONNX reads a 0 in the shape of a reshape as "unchanged".
    more = tf.pad(weights, [[0, 0], [0, 1]])
    return tf.ensure_shape(tf.reshape(more, tf.shape(ids) + tf.constant([0, 1]))[:, :-1], ids.shape)
