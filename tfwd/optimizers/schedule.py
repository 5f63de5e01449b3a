"""Learning rates that change with the step."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfwd")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0 over `warmup` steps, then a decay over `steps` steps, then constant.

    After the warm-up, with t from 0 to 1 over the decay: `cosine` is `start (end + (1 - end) (1 + cos(pi t)) / 2)`
    (Loshchilov & Hutter 2017, equation 5, one cycle), `linear` is `start (1 - (1 - end) t)`, and `exponential` is
    `start end^t`.

    Args:
        schedule: `cosine`, `linear` or `exponential`.
        start: the rate after the warm-up.
        end: the share of `start` that remains at the end; above 0 for `exponential`.
        warmup: the steps of the warm-up.
        steps: the steps of the decay.
    """

    def __init__(self, schedule: str, start: float, end: float, warmup: int, steps: int) -> None:
        super().__init__()
        if schedule not in ("cosine", "linear", "exponential"):
            raise ValueError(f"schedule is cosine, linear or exponential. Received: {schedule!r}")
        if schedule == "exponential" and end <= 0:
            raise ValueError("an exponential schedule never reaches 0: give an end above 0")
        self.schedule, self.start, self.end = schedule, start, end
        self.warmup, self.steps = warmup, max(steps, 1)

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the rate at a step, a float32 scalar."""
        now = tf.cast(step, tf.float32)
        share = tf.clip_by_value((now - self.warmup) / self.steps, 0.0, 1.0)
        if self.schedule == "cosine":
            factor = self.end + (1.0 - self.end) * 0.5 * (1.0 + tf.cos(math.pi * share))
        elif self.schedule == "linear":
            factor = 1.0 - (1.0 - self.end) * share
        else:
            factor = tf.pow(tf.constant(self.end, tf.float32), share)
        rise = tf.minimum((now + 1.0) / self.warmup, 1.0) if self.warmup else 1.0
        return self.start * factor * rise

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "schedule": self.schedule,
            "start": self.start,
            "end": self.end,
            "warmup": self.warmup,
            "steps": self.steps,
        }
