"""Several training steps in one compiled call, inside `keras.Model.fit`.

Keras 3.15 has `steps_per_execution` too, but carries the metrics through a `tf.while_loop` of optionals at every step,
and fails under `tf.distribute`. Here a call runs up to so many steps and reads the metrics once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import keras
import tensorflow as tf


def steps_function(model: keras.Model) -> Callable[[Iterator[Any]], dict[str, tf.Tensor]]:
    """The function that `fit` calls with its iterator until it raises StopIteration, and `train_on_batch` once.

    Args:
        model: compiled; its `train_step` is run under its distribution strategy, `steps_per_execution` times a call or
            until the data ends.
    """
    strategy = model.distribute_strategy

    # Rewriting the whole step for AutoGraph would take longer than tracing it; Keras doesn't either.
    @tf.function(reduce_retracing=True, autograph=False)
    def run(iterator: Any, steps: tf.Tensor) -> tf.Tensor:
        def step(done: tf.Tensor, more: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = iterator.get_next_as_optional()

            def train() -> tuple[tf.Tensor, tf.Tensor]:
                strategy.run(model.train_step, args=(batch.get_value(),))
                return done + 1, tf.constant(True)

            return tf.cond(batch.has_value(), train, lambda: (done, tf.constant(False)))

        def goes_on(done: tf.Tensor, more: tf.Tensor) -> tf.Tensor:
            return tf.logical_and(more, done < steps)

        return tf.while_loop(goes_on, step, (tf.constant(0), tf.constant(True)))[0]

    results = tf.function(model.get_metrics_result, autograph=False)

    single = tf.function(lambda batch: strategy.run(model.train_step, args=(batch,)), autograph=False)

    def function(iterator: Any) -> dict[str, tf.Tensor]:
        if isinstance(iterator, Generator):
            # Of `train_on_batch`, with its one batch.
            single(next(iterator))
        elif run(iterator, tf.constant(model.steps_per_execution)) == 0:
            raise StopIteration
        logs: dict[str, tf.Tensor] = results()
        return logs

    return function
