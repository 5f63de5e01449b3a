"""The weights of the values of bags."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfwd.layers.join_columns import choose_columns

# A larger weight would swamp the others in float32, and the square of a smaller one would vanish.
LARGEST, SMALLEST = 1e6, 1e-6
UNWEIGHTED = -1


@keras.saving.register_keras_serializable("tfwd")
class BagWeights(keras.layers.Layer):
    """The weights of the columns of a table's bags: at most a million, 0 below a millionth, 1 if not finite.

    Args:
        columns: for each column of the result, the column of the input, or `UNWEIGHTED`.

    Call:
        float32 `(B, W)` -> float32 `(B, len(columns))`.
    """

    def __init__(self, columns: list[int], **options: Any) -> None:
        super().__init__(**options)
        self.columns = list(columns)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps float32 `(B, W)` to float32 `(B, len(columns))`."""
        one = tf.ones_like(inputs)
        counted = tf.where(inputs >= SMALLEST, tf.minimum(inputs, LARGEST), tf.zeros_like(inputs))
        # NaN and infinities are not below the largest float.
        weights = tf.where(tf.abs(inputs) <= inputs.dtype.max, counted, one)
        weights = tf.concat([one[:, :1], weights], axis=1)
        return choose_columns(weights, [column + 1 for column in self.columns])

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns float32 `(B, len(columns))`."""
        return keras.KerasTensor((inputs.shape[0], len(self.columns)), "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "columns": self.columns}
