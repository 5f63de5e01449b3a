"""How a column of numbers is filled, clipped and scaled, from its declaration and what was learned about it."""

from __future__ import annotations

import math

from tfwd.analysis.scales import TINY, bounds_of, fill_value, scale_of
from tfwd.analysis.statistics import NumericStatistics
from tfwd.config.features.numeric import Numeric
from tfwd.layers.numeric_scaling import Scales


def scales_of(form: str, exponent: int, feature: Numeric, statistics: NumericStatistics) -> Scales:
    """Returns the constants with which `NumericScaling` computes a column; a constant column becomes 0.

    Args:
        form: `none`, `zscore`, `minmax`, `log`, `quantile` or `missing`.
        exponent: the k of the unit 2^-k in which the column is computed.
        feature: the declared feature.
        statistics: the column's statistics over the training rows.
    """
    shift, spread = scale_of(form, statistics)
    if form == "log":
        # log(u (1 + x - min)) = log(1 + x - min) + log(u).
        shift -= exponent * math.log(2.0)
    else:
        shift, spread = math.ldexp(shift, -exponent), math.ldexp(spread, -exponent)
    low, high = bounds_of(form, feature, statistics)
    return Scales(
        fill=fill_value(feature, statistics),
        low=low,
        high=high,
        shift=shift,
        # The inverse of a denormal spread is infinite in float32: such a column counts as constant.
        scale=1.0 / spread if spread >= TINY else 0.0,
        boundaries=statistics.quantiles if form == "quantile" and statistics.quantiles else (0.0,),
    )
