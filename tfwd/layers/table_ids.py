"""Turns ids of features into rows of tables."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfwd.layers.join_columns import choose_columns


@keras.saving.register_keras_serializable("tfwd")
class TableIds(keras.layers.Layer):
    """Shifts the ids of chosen features to their rows in one table.

    Args:
        columns: for each column of the result, the column of the input that it is made from.
        starts: for each column of the result, the first row of its feature in the table.
        bags: how many of the last columns may lack a value; its negative id becomes the padding row 0.

    Call:
        int32 or int64 `(B, N)` -> int32 `(B, len(columns))`.
    """

    def __init__(self, columns: list[int], starts: list[int], bags: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.columns, self.starts, self.bags = list(columns), list(starts), bags

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps int32 or int64 `(B, N)` to int32 `(B, len(columns))`."""
        ids = choose_columns(tf.cast(inputs, tf.int32), self.columns)
        rows = ids + tf.constant(self.starts, tf.int32)
        if not self.bags:
            return rows
        single = len(self.columns) - self.bags
        bags = tf.where(ids[:, single:] < 0, tf.zeros_like(rows[:, single:]), rows[:, single:])
        return tf.concat([rows[:, :single], bags], axis=1) if single else bags

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns int32 `(B, len(columns))`."""
        return keras.KerasTensor((inputs.shape[0], len(self.columns)), "int32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "columns": self.columns, "starts": self.starts, "bags": self.bags}
