"""The loss of each task."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfwd.schema import Schema


@keras.saving.register_keras_serializable("tfwd")
class ScaledSquaredError(keras.losses.Loss):
    """Squared error in units of the label's standard deviation: `((y - prediction) / scale)^2`.

    So learning rates do not depend on the unit of the label.

    Args:
        scale: the label's standard deviation.
    """

    def __init__(self, scale: float = 1.0, name: str = "scaled_squared_error", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.scale = float(scale)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Maps labels `(B,)` or `(B, 1)` and predictions float32 `(B, 1)` to `(B,)`."""
        # Labels `(B,)` minus predictions `(B, 1)` would be a `(B, B)` matrix.
        error = (tf.reshape(tf.cast(y_true, tf.float32), tf.shape(y_pred)) - y_pred) / self.scale
        return tf.reduce_mean(tf.square(error), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}


# The largest exponent: larger ones overflow float32, and every input must have a finite answer.
_LARGEST_LOGIT = 80.0


def expected_count(logits: tf.Tensor) -> tf.Tensor:
    """Returns exp(logit), the expected count; a logit beyond 80 counts as 80. float32, any shape."""
    return tf.exp(tf.clip_by_value(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT))


@keras.saving.register_keras_serializable("tfwd")
class PoissonDeviance(keras.losses.Loss):
    """Half the deviance of counts from their expected value exp(z): `exp(z) - y - y (z - log y)`, 0 where they agree.

    Its gradient equals that of the negative log-likelihood of a Poisson distribution (`tf.nn.log_poisson_loss`), from
    which it differs by a term that depends only on the label.
    """

    from_logits = True

    def __init__(self, name: str = "poisson_deviance", **options: Any) -> None:
        super().__init__(name=name, **options)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Maps counts `(B,)` or `(B, 1)` and logits float32 `(B, 1)` to `(B,)`."""
        counts = tf.reshape(tf.cast(y_true, tf.float32), tf.shape(y_pred))
        loss = tf.exp(y_pred) - counts - counts * y_pred + tf.math.xlogy(counts, counts)
        return tf.reduce_mean(loss, axis=-1)


def task_loss(schema: Schema, scale: float = 1.0) -> keras.losses.Loss:
    """Returns the logistic loss for a binary task, the softmax loss for multi-class, the squared error for regression.

    For counts it is the Poisson deviance.
    """
    if schema.task == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    if schema.task == "multiclass":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return PoissonDeviance() if schema.counts else ScaledSquaredError(scale)


def task_metrics(schema: Schema) -> list[keras.metrics.Metric]:
    """Returns the metrics shown in training; the exact ones come from `tfwd.inference.evaluation`."""
    if schema.task == "binary":
        return [
            keras.metrics.AUC(name="auc"),
            keras.metrics.BinaryAccuracy(name="accuracy"),
        ]
    if schema.task == "multiclass":
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    return [keras.metrics.RootMeanSquaredError(name="rmse"), keras.metrics.MeanAbsoluteError(name="mae")]
