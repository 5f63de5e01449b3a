"""The trainable matrix shared by features."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfwd")
class SharedTable(keras.layers.Layer):
    """Looks ids up in one `(rows, dim)` matrix whose row 0 is padding and zero.

    Unlike `keras.layers.Embedding` it gathers from the variable, never from its whole value, so that the cost of a step
    depends only on the batch: no graph reads the full table.

    Args:
        rows: the number of rows, the padding row included.
        dim: the number of columns.
        stddev: the standard deviation of the truncated normal initial values; 0 starts at zero.
        seed: the seed of the initial values.

    Call:
        int32 of any shape, such as `(B, N)` -> float32 with one more dimension at the end, `(B, N, dim)`.
    """

    def __init__(self, rows: int, dim: int, stddev: float = 0.0, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.rows, self.dim, self.stddev, self.seed = rows, dim, stddev, seed

    def build(self, input_shape: Any) -> None:
        """Makes the matrix."""
        # Under a half-precision policy Keras would cast the whole table at every step.
        self.table = self.add_weight(
            name="table", shape=(self.rows, self.dim), dtype="float32", initializer=self._initial, autocast=False
        )

    def _initial(self, shape: Any, dtype: Any = None) -> tf.Tensor:
        if not self.stddev:
            return tf.zeros(shape, tf.float32)
        values = keras.initializers.TruncatedNormal(stddev=self.stddev, seed=self.seed)(shape, "float32")
        return tf.concat([tf.zeros((1, self.dim)), values[1:]], axis=0)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps int32 `(...)` to float32 `(..., dim)`."""
        table = self.table.value
        context = tf.distribute.get_replica_context()
        if isinstance(table, tf.distribute.DistributedValues) and context:
            # tf.gather would read the whole mirrored variable; from a replica's own copy it reads only rows.
            copies = context.strategy.experimental_local_results(table)
            # Replicas are numbered over all workers, each of which has the same number.
            table = copies[int(tf.get_static_value(context.replica_id_in_sync_group)) % len(copies)]
        return tf.gather(table, inputs)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns float32 `(B, N, dim)`."""
        return keras.KerasTensor((*inputs.shape, self.dim), "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"rows": self.rows, "dim": self.dim, "stddev": self.stddev, "seed": self.seed}
        return {**super().get_config(), **config}
