"""Dropout whose masks are a function of a seed and the step, so that a resumed run draws the same ones."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfwd")
class SeededDropout(keras.layers.Layer):
    """Inverted dropout (Srivastava et al. 2014) with mask = f(seed, step).

    `keras.layers.Dropout` keeps its generator's state outside of what `model.save` writes; the step here is a weight,
    saved with the others.

    Args:
        rate: the share of units that is set to 0; the others are divided by `1 - rate`.
        seed: the seed of the masks.

    Call:
        float, any shape -> the same dtype and shape.
    """

    def __init__(self, rate: float, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.rate, self.seed = rate, seed

    def build(self, input_shape: Any) -> None:
        """Makes the step counter."""
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            # All replicas count the same steps; without this TensorFlow refuses the assignment.
            aggregation="only_first_replica",
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the inputs; in training, with dropped units."""
        if not training or not self.rate:
            return inputs
        step = self.step.value
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        seed = tf.stack([tf.cast(self.seed, tf.int64) + tf.cast(replica, tf.int64) * 2**32, tf.identity(step)])
        kept = tf.random.stateless_uniform(tf.shape(inputs), seed) >= self.rate
        self.step.assign_add(1)
        return tf.where(kept, inputs / (1.0 - self.rate), tf.zeros_like(inputs))

    def compute_output_spec(self, inputs: Any, training: bool = False) -> keras.KerasTensor:
        """Returns the shape and dtype of the input."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the step is a weight."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
