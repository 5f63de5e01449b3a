"""Makes the optimizer of the heads that a configuration declares."""

from __future__ import annotations

import math

import keras

from tfwd.config.config import Config
from tfwd.config.optimizers import KerasScheduleConfig, OptimizerConfig, ScheduleConfig
from tfwd.errors import ConfigError, first_line
from tfwd.optimizers.joint import JointOptimizer
from tfwd.optimizers.registry import get
from tfwd.optimizers.schedule import WarmupDecay


def joint_optimizer(config: Config, steps: int) -> JointOptimizer:
    """Returns the optimizer of the heads that a configuration declares.

    Args:
        config: names the heads and the optimizers.
        steps: the steps of the whole training, for schedules with `steps: auto`.

    Raises:
        ConfigError: an optimizer has no such option.
    """

    def optimizer(head: str, chosen: OptimizerConfig) -> keras.optimizers.Optimizer | None:
        if head not in config.model.heads:
            return None
        return get(chosen.name, learning_rate=rate(chosen.learning_rate, steps), **chosen.options)

    return JointOptimizer(
        wide=optimizer("wide", config.train.wide_optimizer), deep=optimizer("deep", config.train.deep_optimizer)
    )


def rate(
    chosen: float | ScheduleConfig | KerasScheduleConfig, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns a learning rate in the form that the optimizers take.

    Args:
        chosen: a number or a schedule.
        steps: the steps of the whole training.

    Raises:
        ConfigError: Keras' schedule has no such arguments, or computes no number from them.
    """
    if isinstance(chosen, KerasScheduleConfig):
        return _of_keras(chosen)
    if not isinstance(chosen, ScheduleConfig):
        return chosen
    decay = steps - chosen.warmup if chosen.steps == "auto" else chosen.steps
    return WarmupDecay(chosen.schedule, chosen.start, chosen.end, chosen.warmup, decay)


def _of_keras(chosen: KerasScheduleConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    try:
        schedule = getattr(keras.optimizers.schedules, chosen.keras)(**chosen.options)
        first = float(schedule(0))
    except Exception as error:  # Keras and TensorFlow raise errors of any type on invalid arguments
        why = first_line(error)
        raise ConfigError(f"The schedule {chosen.keras} cannot be made from {chosen.options}: {why}") from None
    if not (math.isfinite(first) and first >= 0):
        raise ConfigError(f"The schedule {chosen.keras} of {chosen.options} begins with the rate {first}.")
    return schedule
