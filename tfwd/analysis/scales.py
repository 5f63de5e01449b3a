"""The shift, the spread and the unit with which float32 can compute each normalization."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tfwd.analysis.statistics import NumericStatistics
from tfwd.config.features.numeric import Numeric
from tfwd.errors import DataError

TINY = float(np.finfo(np.float32).tiny)
# The largest input of the heads: its square, which optimizers sum up, is within the range of float32.
LARGEST_INPUT = 1e18
# Values beyond `_LARGE` are computed in a unit of 2^-EXPONENT: the difference of two of them, and the inverse of their
# spread, would be outside the range of float32.
_LARGE, _EXPONENT = 2.0**120, 32
# The limit of values that are not clipped, and its logarithm.
_FARTHEST, _LONGEST_LOG = 2.0**126, 126 * math.log(2.0)


class Scale(NamedTuple):
    """The shift and spread of a normalization `(f(x) - shift) / spread`; `f` is a logarithm or the identity."""

    shift: float
    spread: float


def fill_value(feature: Numeric, statistics: NumericStatistics) -> float:
    """Returns the value that replaces a missing one before it is normalized."""
    return feature.fill if isinstance(feature.fill, float) else float(getattr(statistics, feature.fill))


def scale_of(form: str, statistics: NumericStatistics) -> Scale:
    """Returns the shift and spread of a normalization, learned from the training rows.

    Args:
        form: `none`, `zscore`, `minmax`, `log`, `quantile` or `missing`.
        statistics: of the column.
    """
    if form == "zscore":
        return Scale(statistics.mean, statistics.stddev)
    if form == "minmax":
        return Scale(statistics.minimum, statistics.maximum - statistics.minimum)
    if form == "log":
        return Scale(statistics.log_mean, statistics.log_stddev)
    # (i - 1) / (n - 1) with i from 1: the number of boundaries passed, over the number of boundaries.
    return Scale(0.0, float(len(statistics.quantiles)) if form == "quantile" else 1.0)


def bounds_of(form: str, feature: Numeric, statistics: NumericStatistics) -> tuple[float, float]:
    """Returns the smallest and the largest value that a normalization takes; values outside become the nearer one.

    They are the extremes of the training rows, or without `clip` the values at which the normalization reaches
    `LARGEST_INPUT` or float32 could not subtract.
    """
    low, high = statistics.minimum, statistics.maximum
    if feature.clip or form in ("quantile", "missing"):
        return low, high
    shift, spread = scale_of(form, statistics)
    reach = LARGEST_INPUT * spread
    if form == "log":
        # Below the smallest value there is no logarithm.
        return low, max(high, min(_FARTHEST, low + math.expm1(min(shift + reach, _LONGEST_LOG))))
    return min(low, max(-_FARTHEST, shift - reach)), max(high, min(_FARTHEST, shift + reach))


def exponent_of(form: str, feature: Numeric, statistics: NumericStatistics) -> int:
    """Returns the k of the unit 2^-k in which a column is computed; 0 for all but columns near the largest float32."""
    if form not in ("zscore", "minmax", "log"):
        return 0
    largest = max(map(abs, (statistics.minimum, statistics.maximum, fill_value(feature, statistics))))
    return _EXPONENT if largest > _LARGE else 0


def refuse_unbounded(feature: Numeric, statistics: NumericStatistics) -> None:
    """Refuses a number that would reach the heads larger than they can compute with.

    Raises:
        DataError: names the feature, the form and the value.
    """
    fill = fill_value(feature, statistics)
    for form in feature.normalizations:
        if form == "quantile":
            continue
        shift, spread = scale_of(form, statistics)
        ends = {"its fill": fill, "its smallest value": statistics.minimum, "its largest value": statistics.maximum}
        for what, value in ends.items():
            if form == "log":
                value = math.log1p(max(value - statistics.minimum, 0.0))
            scaled = (value - shift) / spread if spread >= TINY else 0.0
            if abs(scaled) > LARGEST_INPUT:
                cure = (
                    "Give it a fill in the range of the column"
                    if what == "its fill"
                    else "Normalize it (zscore, log, quantile), or leave such rows out with data.filter"
                )
                raise DataError(
                    f"The feature {feature.name!r} of column {feature.shown_column!r}: normalization {form!r} makes of "
                    f"{what}, {ends[what]:.6g}, {scaled:.6g}. The heads take numbers to {LARGEST_INPUT:.0e} in "
                    f"absolute value, whose squares are in the reach of float32. {cure}."
                )
