"""The optimizer of the heads as a configuration says."""

from __future__ import annotations

import keras

from tfwd.config import Config, OptimizerConfig, ScheduleConfig
from tfwd.optimizers.joint import JointOptimizer
from tfwd.optimizers.registry import get
from tfwd.optimizers.schedule import WarmupDecay


def joint_optimizer(config: Config, steps: int) -> JointOptimizer:
    """The optimizer of the heads as a configuration says.

    Args:
        config: names the heads and the optimizers.
        steps: of the whole training, for schedules with `steps: auto`.

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


def rate(chosen: float | ScheduleConfig, steps: int) -> float | WarmupDecay:
    """A learning rate as the optimizers take it.

    Args:
        chosen: a number or a schedule.
        steps: of the whole training.
    """
    if not isinstance(chosen, ScheduleConfig):
        return chosen
    decay = steps - chosen.warmup if chosen.steps == "auto" else chosen.steps
    return WarmupDecay(chosen.schedule, chosen.start, chosen.end, chosen.warmup, decay)
