"""Keras' Ftrl and Adam with repeated rows summed first: exact, with a pass over the table per step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfwd.optimizers.checks import check_options


class DenseUpdates:
    """Mixin, left of a Keras optimizer: makes sparse gradients dense before Keras sees them.

    Keras 3.15 applies a sparse gradient row by row: an id that occurs three times in a batch adds
    three squares to an accumulator, not the square of the sum. A dense gradient has the sum.
    """

    def __init__(self, **options: Any) -> None:
        check_options(type(self).__name__, options, divides=isinstance(self, keras.optimizers.Ftrl))
        super().__init__(**options)

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """See `keras.optimizers.Optimizer.apply`."""
        variables = trainable_variables
        if variables is None:
            variables = self._trainable_variables  # type: ignore[attr-defined]
        dense = [
            tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0])
            if isinstance(gradient, tf.IndexedSlices)
            else gradient
            for gradient, variable in zip(grads, variables, strict=True)
        ]
        super().apply(dense, trainable_variables)  # type: ignore[misc]


@keras.saving.register_keras_serializable("tfwd")
class DenseFtrl(DenseUpdates, keras.optimizers.Ftrl):
    """`keras.optimizers.Ftrl` in which repeated ids count once; defaults as in `SparseFtrl`.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        initial_accumulator_value: the initial value of the sum of squared gradients, at least 0.
        **options: any other argument of `keras.optimizers.Ftrl`.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.1,
        initial_accumulator_value: float = 1e-5,
        **options: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            **options,
        )


@keras.saving.register_keras_serializable("tfwd")
class DenseAdam(DenseUpdates, keras.optimizers.Adam):
    """`keras.optimizers.Adam` in which repeated ids count once.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        **options: any other argument of `keras.optimizers.Adam`.
    """

    def __init__(
        self, learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001, **options: Any
    ) -> None:
        super().__init__(learning_rate=learning_rate, **options)
