"""Several training steps in one compiled call, inside `keras.Model.fit`.

Keras 3.15 has `steps_per_execution` too, but carries the metrics through a `tf.while_loop` of optionals at every step,
and fails under `tf.distribute`. Here a call runs up to that many steps and reads the metrics once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.model.finite import refuse_step


def steps_function(model: keras.Model) -> Callable[[Iterator[Any]], dict[str, tf.Tensor]]:
    """Returns the function that `fit` calls with its iterator until it raises StopIteration, and `train_on_batch` once.

    Args:
        model: a compiled `tfwd.WideDeep`; its `train_step` is run under its distribution strategy,
            `steps_per_execution` times per call or until the data ends.

    Raises:
        RunError: raised by that function if a step has left a weight that is not finite.
    """
    strategy = model.distribute_strategy
    count = len(model.trainable_variables)

    def unsound(batch: Any) -> tf.Tensor:
        """Trains on a batch; returns for each trained variable whether it is no longer finite."""
        found = strategy.run(lambda data: model.step(data)[1], args=(batch,))
        # Only the replicas in this process; a reduction over all would wait for the others at every step.
        return tf.logical_not(tf.reduce_all(tf.stack(strategy.experimental_local_results(found)), axis=0))

    # AutoGraph would take longer to rewrite the whole step than to trace it; Keras doesn't use it either.
    @tf.function(reduce_retracing=True, autograph=False)
    def run(iterator: Any, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the steps done, and per trained variable the step, from 1, that first left it not finite, or 0."""

        def step(done: tf.Tensor, more: tf.Tensor, broken: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            batch = iterator.get_next_as_optional()

            def train() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                now = tf.logical_and(unsound(batch.get_value()), tf.equal(broken, 0))
                return done + 1, tf.constant(True), tf.where(now, done + 1, broken)

            return tf.cond(batch.has_value(), train, lambda: (done, tf.constant(False), broken))

        def goes_on(done: tf.Tensor, more: tf.Tensor, broken: tf.Tensor) -> tf.Tensor:
            return tf.logical_and(more, done < steps)

        done, _, broken = tf.while_loop(goes_on, step, (tf.constant(0), tf.constant(True), tf.zeros(count, tf.int32)))
        return done, broken

    results = tf.function(model.get_metrics_result, autograph=False)

    single = tf.function(lambda batch: (tf.constant(1), tf.cast(unsound(batch), tf.int32)), autograph=False)

    def function(iterator: Any) -> dict[str, tf.Tensor]:
        if isinstance(iterator, Generator):
            # From `train_on_batch`, with its single batch.
            done, broken = single(next(iterator))
        else:
            done, broken = run(iterator, tf.constant(model.steps_per_execution))
        if done == 0:
            raise StopIteration
        logs: dict[str, tf.Tensor] = results()
        first = broken.numpy()
        if first.any():
            at = first[first > 0].min()
            variables = [model.trainable_variables[index] for index in np.flatnonzero(first == at)]
            refuse_step(model, variables, int(model.optimizer.iterations) - int(done) + int(at), float(logs["loss"]))
        return logs

    return function
