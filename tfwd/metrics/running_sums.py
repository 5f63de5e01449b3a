"""Weighted means and variances of values that come in batches, as exact as over all values at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Sums:
    """Weighted means of several quantities.

    A batch is summed pairwise; the sums of the batches are added with the correction of Neumaier (1974), so that the
    number of batches does not affect the result.

    Args:
        quantities: the number of quantities.
    """

    def __init__(self, quantities: int) -> None:
        self._total, self._lost = np.zeros(quantities + 1), np.zeros(quantities + 1)

    def add(self, values: Sequence[Array], weights: Array | None) -> None:
        """Adds a batch.

        Args:
            values: for each quantity `(B,)`, numbers or booleans.
            weights: `(B,)` or None.
        """
        batch = np.array([_sum(np.ones(len(values[0])), weights), *(_sum(value, weights) for value in values)])
        total = self._total + batch
        larger = np.abs(self._total) >= np.abs(batch)
        self._lost += np.where(larger, (self._total - total) + batch, (batch - total) + self._total)
        self._total = total

    def means(self) -> list[float]:
        """Returns the mean of each quantity; NaN where there is no weight."""
        weight, *sums = (self._total + self._lost).tolist()
        return [value / weight if weight > 0 else float("nan") for value in sums]


class MeanAndVariance:
    """Weighted mean and variance of one quantity, updated batch by batch (Chan, Golub and LeVeque 1979)."""

    def __init__(self) -> None:
        self._weight, self._mean, self._squares = 0.0, 0.0, 0.0

    def add(self, values: Array, weights: Array | None) -> None:
        """Adds a batch: `(B,)` float64, and `(B,)` or None."""
        weight = _sum(np.ones(len(values)), weights)
        if weight <= 0:
            return
        mean = _sum(values, weights) / weight
        squares = _sum((values - mean) ** 2, weights)
        distance, total = mean - self._mean, self._weight + weight
        self._mean += distance * weight / total
        self._squares += squares + distance**2 * self._weight * weight / total
        self._weight = total

    @property
    def mean(self) -> float:
        """NaN where there is no weight."""
        return self._mean if self._weight > 0 else float("nan")

    @property
    def variance(self) -> float:
        """NaN where there is no weight."""
        return self._squares / self._weight if self._weight > 0 else float("nan")


def _sum(values: Array, weights: Array | None) -> float:
    values = values.astype(np.float64)
    return float((values if weights is None else values * weights).sum())
