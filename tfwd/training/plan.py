"""How many steps a training has, given its configuration and the number of rows."""

from __future__ import annotations

import math

from tfwd.config.training import TrainConfig


def planned_steps(options: TrainConfig, steps_per_epoch: int, fit_rows: int) -> int:
    """Returns the steps that the configuration asks for in a phase: schedules end there.

    A refit has more rows than the first fit, and proportionally more steps.

    Args:
        options: the training options.
        steps_per_epoch: the steps per epoch of the phase.
        fit_rows: the number of rows of the first fit, which `max_steps` refers to.
    """
    steps = options.epochs * steps_per_epoch
    if options.max_steps is None:
        return steps
    own = math.ceil(fit_rows / options.batch_size)
    return min(steps, math.ceil(options.max_steps * steps_per_epoch / own))


def refit_steps(best_step: int, batch_size: int, fit_rows: int, all_rows: int) -> int:
    """Returns the steps of the refit: as many passes over all rows as the first fit made up to its best step.

    Args:
        best_step: the best step of the first fit.
        batch_size: rows per step.
        fit_rows, all_rows: how many rows the first fit had, and the refit has.
    """
    passes = best_step / math.ceil(fit_rows / batch_size)
    return max(1, round(passes * math.ceil(all_rows / batch_size)))


def next_evaluation(step: int, period: int, total: int) -> tuple[int, int]:
    """Returns the number, from 0, of the next evaluation after a step, and the step that it follows."""
    index = step // period
    return index, min((index + 1) * period, total)
