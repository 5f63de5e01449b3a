"""RMSprop whose steps cost only what the batch touches."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfwd.errors import ConfigError
from tfwd.optimizers.sparse import RowSparseL2, gather_rows, set_rows, subtract_rows


@keras.saving.register_keras_serializable("tfwd")
class SparseRmsprop(RowSparseL2, keras.optimizers.RMSprop):
    """RMSprop on the touched rows of a table; `keras.optimizers.RMSprop` on dense gradients.

    Hinton 2012, "Neural Networks for Machine Learning", lecture 6e.

    It is not dense RMSprop: a row's averages decay only in steps that touch the row, as in TensorFlow's own sparse
    RMSprop. If every step touches every row, the two are equal. There is no momentum, which would keep moving every
    row of the table after a batch has touched it.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        rho: the decay of the average of squared gradients, in [0, 1).
        epsilon: added to that average under the root, as in Keras.
        centered: whether to subtract the square of the average gradient from that average.
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
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        rho: float = 0.9,
        epsilon: float = 1e-7,
        centered: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        l2_regularization_strength: float = 0.0,
        name: str | None = None,
        **options: Any,
    ) -> None:
        if options.get("momentum"):
            raise ConfigError(
                "SparseRmsprop has no momentum: it would move every row of a table at every step. Leave it out, or "
                f"take 'lazy_adam' for a momentum per touched row. Received: momentum={options['momentum']!r}"
            )
        super().__init__(
            learning_rate=learning_rate,
            rho=rho,
            epsilon=epsilon,
            centered=centered,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            l2_regularization_strength=l2_regularization_strength,
            name=name,
            **options,
        )

    def update_rows(self, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """See `RowSparseUpdates.update_rows`."""
        position = self._get_variable_index(variable)
        rows, values = gradient.indices, gradient.values
        spread = self._averaged(self._velocities[position], rows, tf.square(values))
        if self.centered:
            spread -= tf.square(self._averaged(self._average_gradients[position], rows, values))
        subtract_rows(variable, rows, learning_rate * values / tf.sqrt(spread + self.epsilon))

    def _averaged(self, slot: Any, rows: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        average = self.rho * gather_rows(slot, rows) + (1.0 - self.rho) * values
        set_rows(slot, rows, average)
        return average
