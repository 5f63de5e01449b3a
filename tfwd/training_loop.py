"""Several training steps in one compiled call, inside `keras.Model.fit`.

Keras 3.15 has `steps_per_execution` too, but carries the metrics through a `tf.while_loop` of optionals at every step,
and fails under `tf.distribute`. Here a call runs up to so many steps and reads the metrics once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf


def steps_function(model: keras.Model) -> Callable[[Iterator[Any]], dict[str, tf.Tensor]]:
    """The function that `fit` calls with its iterator, until it raises StopIteration.

    Args:
        model: compiled; its `train_step` is run under its distribution strategy, `steps_per_execution` times a call or
            until the data ends.
    """
    strategy = model.distribute_strategy

    @tf.function(reduce_retracing=True)
    def run(iterator: Any, steps: tf.Tensor) -> tf.Tensor:
        done = tf.constant(0)
        for _ in tf.range(steps):
            batch = iterator.get_next_as_optional()
            if not batch.has_value():
                break
            strategy.run(model.train_step, args=(batch.get_value(),))
            done += 1
        return done

    results = tf.function(model.get_metrics_result)

    def function(iterator: Any) -> dict[str, tf.Tensor]:
        if run(iterator, tf.constant(model.steps_per_execution)) == 0:
            raise StopIteration
        logs: dict[str, tf.Tensor] = results()
        return logs

    return function
