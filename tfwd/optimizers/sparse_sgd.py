"""Stochastic gradient descent whose steps cost only what the batch touches."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfwd.errors import ConfigError
from tfwd.optimizers.sparse import RowSparseL2, subtract_rows


@keras.saving.register_keras_serializable("tfwd")
class SparseSgd(RowSparseL2, keras.optimizers.SGD):
    """Gradient descent on the touched rows of a table; equal to dense gradient descent.

    There is no momentum: its velocity would keep moving every row of the table after a batch has
    touched it.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        clipnorm: the largest L2 norm of a variable's gradient, after repeated rows are summed.
        clipvalue: the largest absolute value in a gradient, after repeated rows are summed.
        l2_regularization_strength: L2 added to the loss; acts on touched rows only, after the clipping.
        name: the name of the optimizer.
        **options: other options of Keras' optimizers.

    Raises:
        ConfigError: momentum is asked for or an option would make the update dense.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.1,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        l2_regularization_strength: float = 0.0,
        name: str | None = None,
        **options: Any,
    ) -> None:
        for option in ("momentum", "nesterov"):
            if options.get(option):
                raise ConfigError(
                    f"SparseSgd has no {option}: it would move every row of a table at every step. "
                    f"Leave it out, or take 'lazy_adam' for a momentum per touched row. "
                    f"Received: {option}={options[option]!r}"
                )
        super().__init__(
            learning_rate=learning_rate,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            l2_regularization_strength=l2_regularization_strength,
            name=name,
            **options,
        )

    def update_rows(self, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """See `RowSparseUpdates.update_rows`."""
        subtract_rows(variable, gradient.indices, learning_rate * gradient.values)
