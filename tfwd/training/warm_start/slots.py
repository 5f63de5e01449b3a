"""Carries over the state of the optimizers along with their variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfwd.optimizers.joint import JointOptimizer, head_of
from tfwd.optimizers.registry import method_of, slots_of
from tfwd.training.warm_start.moves import Move
from tfwd.training.warm_start.report import Report

_SHAPING = (
    "learning_rate_power",
    "l1_regularization_strength",
    "l2_regularization_strength",
    "beta",
)


class Slots:
    """Carries the slots between the optimizers of two models.

    Slots are carried over if both models train the variable's head with the same method. FTRL computes a weight from
    its slots alone, so that a weight without them would be forgotten at its next step: where they are missing, or the
    rates have changed, `linear` is computed from the weight.

    Args:
        new, old: the optimizers of the models, built.
        report: records each head.
    """

    def __init__(self, new: JointOptimizer, old: JointOptimizer, report: Report) -> None:
        self.new, self.old, self.report = new, old, report
        for head in ("wide", "deep"):
            if getattr(new, head) is not None:
                self._head(head)

    def carry(self, move: Move) -> None:
        """Carries the slots of one variable, which has its new values."""
        head, old_head = head_of(move.new.path), head_of(move.old.path)
        to, given = getattr(self.new, head), getattr(self.old, old_head)
        carried = method_of(to) is method_of(given)
        if carried:
            for name in slots_of(to):
                new, old = _slot(to, name, move.new), _slot(given, name, move.old)
                if new is not None and old is not None:
                    new.assign(move.carried(new.numpy(), old.numpy()))
        if method_of(to) is keras.optimizers.Ftrl and not (carried and _shaping(to) == _shaping(given)):
            _rebuild(to, move)

    def _head(self, head: str) -> None:
        to, given = getattr(self.new, head), getattr(self.old, head)
        why = ""
        if given is None:
            why = "the older model has no such head"
        elif method_of(to) is not method_of(given):
            why = f"was {method_of(given).__name__}, is {method_of(to).__name__}"
        entry: dict[str, Any] = {"carried": "no" if why else "yes", "why": why, "steps": 0}
        self.report.optimizers[head] = entry
        if why:
            return
        if isinstance(to, keras.optimizers.Adam):
            # The moments are of so many steps; counted from 0, Adam would correct them as if they were of few.
            if isinstance(to._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
                entry["why"] = "its steps are counted from 0, for the schedule of the learning rate"
            else:
                to.iterations.assign(given.iterations)
                entry["steps"] = int(given.iterations.numpy())
        if isinstance(to, keras.optimizers.Ftrl) and _shaping(to) != _shaping(given):
            entry["why"] = "the rates have changed: its sums are computed anew from the weights"


def ftrl_linear(
    weights: NDArray[np.float32],
    accumulator: NDArray[np.float32],
    linear: NDArray[np.float32],
    *,
    learning_rate: float,
    learning_rate_power: float,
    l1: float,
    l2: float,
    beta: float,
) -> NDArray[np.float32]:
    """Returns the `linear` from which FTRL computes given weights.

    The inverse of the last line of `tfwd.optimizers.sparse_ftrl.ftrl_rows`: w = (clip(z, -l1, l1) - z) / (n^p / lr +
    2 l2 + beta / lr), z `linear` and n `accumulator`.

    Args:
        weights: `(...)`.
        accumulator: `(...)`.
        linear: `(...)`; where a weight is zero, the part of it that keeps the weight at zero stays.
        learning_rate, learning_rate_power, l1, l2, beta: as in `SparseFtrl`.

    Returns:
        float32 `(...)`.
    """
    w, n = weights.astype(np.float64), accumulator.astype(np.float64)
    quadratic = n**-learning_rate_power / learning_rate + 2.0 * l2 + beta / learning_rate
    found = np.where(w == 0.0, np.clip(linear, -l1, l1), -w * quadratic - np.sign(w) * l1)
    return found.astype(np.float32)


def _rebuild(optimizer: keras.optimizers.Ftrl, move: Move) -> None:
    index = optimizer._get_variable_index(move.new)
    accumulator, linear = optimizer._accumulators[index], optimizer._linears[index]
    found = ftrl_linear(
        move.new.numpy(),
        accumulator.numpy(),
        linear.numpy(),
        learning_rate=float(optimizer.learning_rate),
        learning_rate_power=optimizer.learning_rate_power,
        l1=optimizer.l1_regularization_strength,
        l2=optimizer.l2_regularization_strength,
        beta=optimizer.beta,
    )
    linear.assign(np.where(move.mask(), found, linear.numpy()))


def _slot(optimizer: keras.optimizers.Optimizer, name: str, variable: keras.Variable) -> keras.Variable | None:
    slots = getattr(optimizer, name, None)
    # An embedding that did not learn had none.
    known = any(variable is other for other in optimizer._trainable_variables)
    return slots[optimizer._get_variable_index(variable)] if slots and known else None


def _shaping(optimizer: keras.optimizers.Ftrl) -> list[float]:
    """Returns the options with which a weight is computed from its slots."""
    read: Callable[[str], float] = lambda name: float(getattr(optimizer, name))  # noqa: E731
    return [float(optimizer.learning_rate), *map(read, _SHAPING)]
