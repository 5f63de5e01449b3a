"""The known rule behind the synthetic clicks: how rows are drawn and how likely a click truly is.

The log-odds of a click are a bias plus three independent parts: a weight for every category, a
weight for every *pair* of categories of c1 x c2, c3 x c4, ..., and a slope for every number.
All weights are hashes of what they belong to, so a rule of any size needs no memory. A model that
crosses the right columns can learn the second part; one that does not, cannot.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from tfwd.errors import ConfigError

# Rows are drawn in blocks of this size, so that a row depends only on the seed and its number.
BLOCK_ROWS = 65_536

# Standard deviations of the log-odds that the parts contribute, before power laws weigh them.
CATEGORY_DEVIATION = 1.0
CROSS_DEVIATION = 1.5
NUMERIC_DEVIATION = 0.7

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule, complete: equal rules draw equal rows and give equal probabilities.

    Args:
        cardinalities: how many categories each categorical column has, two columns or more.
        numeric: how many numeric columns there are.
        seed: seeds the rows and the weights, not negative.
        exponent: the exponent of the power law: the k-th category is about k^-exponent as frequent
            as the first; 0 makes all equally frequent.
        positive_rate: the expected share of clicks.

    Raises:
        ConfigError: an argument is out of range.
    """

    cardinalities: tuple[int, ...] = (1_000,) * 8
    numeric: int = 5
    seed: int = 0
    exponent: float = 1.1
    positive_rate: float = 0.07

    def __post_init__(self) -> None:
        expect(len(self.cardinalities) >= 2, "two categorical columns or more", self.cardinalities)
        expect(min(self.cardinalities) >= 1, "cardinalities of 1 or more", self.cardinalities)
        expect(self.numeric >= 0, "numeric of 0 or more", self.numeric)
        expect(self.seed >= 0, "a seed of 0 or more", self.seed)
        expect(self.exponent >= 0, "an exponent of 0 or more", self.exponent)
        expect(
            0 < self.positive_rate < 1,
            "a positive_rate between 0 and 1, without either",
            self.positive_rate,
        )

    @property
    def crosses(self) -> tuple[tuple[int, int], ...]:
        """The pairs of columns whose combination matters, counted from 0: (0, 1), (2, 3), ..."""
        return tuple((i, i + 1) for i in range(0, len(self.cardinalities) - 1, 2))

    @functools.cached_property
    def bias(self) -> float:
        """The log-odds that make the mean probability of the first block `positive_rate`."""
        ids, numbers, _ = self.draw(0)
        logits = self._effects(ids, numbers, crosses=True)
        low, high = -100.0, 100.0
        for _ in range(60):
            middle = (low + high) / 2
            if _sigmoid(logits + middle).mean() < self.positive_rate:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    def draw(self, block: int) -> tuple[Ids, Floats, Doubles]:
        """Draws the rows `block * BLOCK_ROWS` to `(block + 1) * BLOCK_ROWS - 1`.

        Args:
            block: the number of the block, from 0.

        Returns:
            Categories as int64 (B, columns), the most frequent one being 0; numbers as float32
            (B, numeric), in turn normal and log-normal; and a uniform float64 (B,) in [0, 1): a
            row is clicked where it lies below the row's probability.
        """
        random = np.random.default_rng([self.seed, block])
        uniform = random.random((BLOCK_ROWS, len(self.cardinalities)))
        ids = np.stack(
            [_power_law(uniform[:, i], n, self.exponent) for i, n in enumerate(self.cardinalities)],
            axis=1,
        )
        numbers = random.standard_normal((BLOCK_ROWS, self.numeric)).astype(np.float32)
        numbers[:, 1::2] = np.exp(numbers[:, 1::2])
        return ids, numbers, random.random(BLOCK_ROWS)

    def probability(self, ids: Ids, numbers: Floats, *, crosses: bool = True) -> Doubles:
        """Returns the true probability of a click.

        Args:
            ids: categories, int64 (B, columns).
            numbers: float32 (B, numeric).
            crosses: False leaves the weights of pairs out, as a model without crosses would.

        Returns:
            float64 (B,). With crosses, no score has a higher expected AUC or a lower log loss.
        """
        return _sigmoid(self._effects(ids, numbers, crosses=crosses) + self.bias)

    def _effects(self, ids: Ids, numbers: Floats, *, crosses: bool) -> Doubles:
        columns = ids.shape[1]
        total = np.zeros(len(ids))
        scale = CATEGORY_DEVIATION / np.sqrt(columns)
        for i in range(columns):
            total += scale * _weights(self.seed, i, ids[:, i])
        if crosses:
            scale = CROSS_DEVIATION / np.sqrt(len(self.crosses))
            for left, right in self.crosses:
                # Terms below `columns` are the categories themselves.
                term = columns * (left + 1) + right
                total += scale * _weights(self.seed, term, ids[:, left], ids[:, right])
        if self.numeric:
            slopes = _weights(self.seed, -1, np.arange(self.numeric))
            normal = numbers.astype(np.float64)
            normal[:, 1::2] = np.log(normal[:, 1::2])
            total += normal @ (NUMERIC_DEVIATION / np.sqrt(self.numeric) * slopes)
        return total


def expect(condition: bool, expected: str, received: object) -> None:
    """Refuses an argument of a rule.

    Raises:
        ConfigError: the condition is false; names what was expected and what was received.
    """
    if not condition:
        raise ConfigError(f"Synthetic clicks: expected {expected}. Received: {received!r}.")


def _power_law(uniform: Doubles, n: int, exponent: float) -> Ids:
    """Returns ids in [0, n): x of density x^-exponent on [1, n + 1), by inversion, rounded down, minus 1."""
    power = 1.0 - exponent
    if abs(power) < 1e-9:
        x = (n + 1.0) ** uniform
    else:
        x = (1.0 + uniform * ((n + 1.0) ** power - 1.0)) ** (1.0 / power)
    return np.clip(x.astype(np.int64) - 1, 0, n - 1)


def _weights(seed: int, term: int, *keys: npt.NDArray[np.int64]) -> Doubles:
    """Returns uniform weights of mean 0 and variance 1, one for each combination of seed, term, keys."""
    state = _mix(np.array([seed % 2**64], np.uint64))
    state = _mix(state ^ np.array([term % 2**64], np.uint64))
    for key in keys:
        state = _mix(state ^ key.astype(np.uint64))
    unit = (state >> np.uint64(11)).astype(np.float64) / 2.0**53
    weights: Doubles = (unit - 0.5) * np.sqrt(12.0)
    return weights


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Computes SplitMix64 (Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _sigmoid(x: Doubles) -> Doubles:
    return 1.0 / (1.0 + np.exp(-x))
