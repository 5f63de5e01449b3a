"""Adam whose steps cost only what the batch touches: the optimizer of embedding tables."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfwd.optimizers.sparse import RowSparseL2, gather_rows, set_rows, subtract_rows


@keras.saving.register_keras_serializable("tfwd")
class LazyAdam(RowSparseL2, keras.optimizers.Adam):
    """Adam on the touched rows of a table; `keras.optimizers.Adam` on dense gradients.

    Kingma & Ba 2014, "Adam: A Method for Stochastic Optimization", algorithm 1.

    It is not dense Adam: a row's moments decay only in steps that touch the row, and the row
    doesn't move in the others. The bias correction counts all steps, so a row first touched late
    takes a smaller first step than in the first step of dense Adam. In return it saves three
    passes over the whole table in every step.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        beta_1: the decay of the first moment, in [0, 1).
        beta_2: the decay of the second moment, in [0, 1).
        epsilon: added to the root of the second moment: "epsilon hat", just before section 2.1 of
            the paper.
        amsgrad: whether to divide by the largest second moment so far (Reddi et al. 2018, algorithm 2).
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
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        l2_regularization_strength: float = 0.0,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
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
        step = tf.cast(self.iterations + 1, variable.dtype)
        correction = tf.sqrt(1.0 - tf.pow(self.beta_2, step)) / (1.0 - tf.pow(self.beta_1, step))

        first = gather_rows(self._momentums[position], rows)
        first += (values - first) * (1.0 - self.beta_1)
        set_rows(self._momentums[position], rows, first)

        second = gather_rows(self._velocities[position], rows)
        second += (tf.square(values) - second) * (1.0 - self.beta_2)
        set_rows(self._velocities[position], rows, second)

        if self.amsgrad:
            second = tf.maximum(gather_rows(self._velocity_hats[position], rows), second)
            set_rows(self._velocity_hats[position], rows, second)

        change = learning_rate * correction * first / (tf.sqrt(second) + self.epsilon)
        subtract_rows(variable, rows, change)
