"""Joins columns of one kind into one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def choose_columns(matrix: tf.Tensor, columns: Sequence[int]) -> tf.Tensor:
    """Returns columns of a `(B, N)` matrix, `(B, len(columns))`; the matrix itself if all are chosen in order."""
    if list(columns) == list(range(matrix.shape[1])):
        return matrix
    return tf.gather(matrix, tf.constant(list(columns)), axis=1)


@keras.saving.register_keras_serializable("tfwd")
class JoinColumns(keras.layers.Layer):
    """Casts columns and matrices to one dtype and puts them side by side.

    It replaces `keras.ops.stack`, which Keras names by itself: a model with an input called `stack` or `cast` could
    then not be built.

    Args:
        to: the dtype of the result.

    Call:
        a list of `(B,)` and `(B, K)` -> `(B, N)`, N the sum of the widths, in the order of the list.
    """

    def __init__(self, to: str, **options: Any) -> None:
        super().__init__(**options)
        self.to = to

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Maps a list of `(B,)` and `(B, K)` to `(B, N)`."""
        columns = [tf.cast(column, self.to) for column in inputs]
        return tf.concat(
            [column if column.shape.rank == 2 else tf.expand_dims(column, 1) for column in columns], axis=1
        )

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns `(B, N)`."""
        width = sum(column.shape[1] if len(column.shape) == 2 else 1 for column in inputs)
        return keras.KerasTensor((inputs[0].shape[0], width), self.to)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "to": self.to}
