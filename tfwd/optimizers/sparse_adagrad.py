"""Adagrad whose steps cost only what the batch touches."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfwd.optimizers.sparse import RowSparseL2, gather_rows, set_rows, subtract_rows


@keras.saving.register_keras_serializable("tfwd")
class SparseAdagrad(RowSparseL2, keras.optimizers.Adagrad):
    """Adagrad on the touched rows of a table; equal to dense Adagrad.

    Duchi et al. 2011, "Adaptive Subgradient Methods", figure 1, diagonal form. A row
    without a gradient doesn't move under Adagrad, so leaving it out changes nothing.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        initial_accumulator_value: the initial value of the sum of squared gradients, at least 0.
        epsilon: added to that sum under the root, as in Keras.
        clipnorm: the largest L2 norm of a variable's gradient, after repeated rows are summed.
        clipvalue: the largest absolute value in a gradient, after repeated rows are summed.
        l2_regularization_strength: L2 added to the loss; acts on touched rows only, after the clipping.
        name: the name of the optimizer.
        **options: other options of Keras' optimizers.

    Raises:
        ConfigError: an option would make the update dense.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.05,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        l2_regularization_strength: float = 0.0,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            l2_regularization_strength=l2_regularization_strength,
            name=name,
            **options,
        )

    def update_rows(self, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """See `RowSparseUpdates.update_rows`."""
        accumulator = self._accumulators[self._get_variable_index(variable)]
        rows, values = gradient.indices, gradient.values
        accumulated = gather_rows(accumulator, rows) + tf.square(values)
        set_rows(accumulator, rows, accumulated)
        subtract_rows(variable, rows, learning_rate * values / tf.sqrt(accumulated + self.epsilon))
