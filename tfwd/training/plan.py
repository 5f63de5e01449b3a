"""How many steps a training has, of what its configuration asks for and how many rows there are."""

from __future__ import annotations

import math

from tfwd.config.training import TrainConfig


def planned_steps(options: TrainConfig, steps_per_epoch: int, fit_rows: int) -> int:
    """The steps that the configuration asks for, of the rows of either phase: schedules end there.

    A refit has more rows than the first fit, and as many more steps.

    Args:
        options: of the training.
        steps_per_epoch: of the phase.
        fit_rows: the rows of the first fit, of which `max_steps` speaks.
    """
    steps = options.epochs * steps_per_epoch
    if options.max_steps is None:
        return steps
    own = math.ceil(fit_rows / options.batch_size)
    return min(steps, math.ceil(options.max_steps * steps_per_epoch / own))


def refit_steps(best_step: int, batch_size: int, fit_rows: int, all_rows: int) -> int:
    """The steps of the refit: as many passes over all rows as validation chose over its own.

    Args:
        best_step: of the first fit.
        batch_size: rows per step.
        fit_rows, all_rows: how many rows the first fit had, and the refit has.
    """
    passes = best_step / math.ceil(fit_rows / batch_size)
    return max(1, round(passes * math.ceil(all_rows / batch_size)))


def next_evaluation(step: int, period: int, total: int) -> tuple[int, int]:
    """The number of the evaluation, from 0, that follows a step, and the step that it comes after."""
    index = step // period
    return index, min((index + 1) * period, total)
