"""The loss of each task."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfwd.schema import Schema


@keras.saving.register_keras_serializable("tfwd")
class ScaledSquaredError(keras.losses.Loss):
    """Squared error in units of the label's standard deviation: `((y - prediction) / scale)^2`.

    With it, learning rates mean the same whatever unit the label is in.

    Args:
        scale: the label's standard deviation.
    """

    def __init__(self, scale: float = 1.0, name: str = "scaled_squared_error", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.scale = float(scale)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """`(B,)` or `(B, 1)`, float32 `(B, 1)` -> `(B,)`."""
        # Labels `(B,)` less predictions `(B, 1)` would be a `(B, B)` matrix.
        error = (tf.reshape(tf.cast(y_true, tf.float32), tf.shape(y_pred)) - y_pred) / self.scale
        return tf.reduce_mean(tf.square(error), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}


def task_loss(schema: Schema, scale: float = 1.0) -> keras.losses.Loss:
    """The logistic loss of a binary task, the softmax loss of a multi-class one, the squared error of a regression."""
    if schema.task == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    if schema.task == "multiclass":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return ScaledSquaredError(scale)


def task_metrics(schema: Schema) -> list[keras.metrics.Metric]:
    """What is watched while training; the exact metrics come from `tfwd.evaluation`."""
    if schema.task == "binary":
        return [
            keras.metrics.AUC(name="auc"),
            keras.metrics.BinaryAccuracy(name="accuracy"),
        ]
    if schema.task == "multiclass":
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    return [keras.metrics.RootMeanSquaredError(name="rmse"), keras.metrics.MeanAbsoluteError(name="mae")]
