"""The sum of the heads around the base rate."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("tfwd")
class LogitSum(keras.layers.Layer):
    """`base + scale * (wide + deep)`: the heads' logits, added to what is known without any feature.

    `base` is logit(base rate) of the training rows (binary), the log shares of the classes (multi-class) or the mean
    label (regression). It is fixed, not a trained bias, since FTRL would forget an initial value at its first update.
    `scale` is 1, or the label's standard deviation (regression), so that the heads learn numbers near 1.

    Args:
        outputs: the number of logits.

    Call:
        a list of float32 `(B, outputs)`, one per head -> float32 `(B, outputs)`.
    """

    def __init__(self, outputs: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.outputs = outputs

    def build(self, input_shape: Any) -> None:
        """Makes the two fixed weights."""
        self.base = self.add_weight(name="base", shape=(self.outputs,), initializer="zeros", trainable=False)
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones", trainable=False)

    def set_base(self, base: list[float], scale: float = 1.0) -> None:
        """Sets the initial logits and their unit."""
        self.base.assign(np.asarray(base, np.float32))
        self.scale.assign(scale)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns float32 `(B, outputs)`."""
        return self.base.value + self.scale.value * tf.add_n(inputs)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns float32 `(B, outputs)`."""
        return keras.KerasTensor(inputs[0].shape, "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "outputs": self.outputs}
