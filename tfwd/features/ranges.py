"""The range of each number in the training rows, by raw input: what a server compares its requests with."""

from __future__ import annotations

from collections.abc import Sequence

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.features.base import Feature
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.numeric import Numeric
from tfwd.schema import Schema


def input_ranges(
    features: Sequence[Feature], statistics: FeatureStatistics, schema: Schema
) -> dict[str, tuple[float, float]]:
    """Returns the smallest and the largest finite training value of each input that is a number; of a vector, of all.

    Args:
        features: the declared features.
        statistics: what was learned about them.
        schema: the raw inputs. Categories, moments and weights have no range.
    """
    names = {entry.column: entry.name for entry in schema.inputs}
    found: dict[str, tuple[float, float]] = {}
    for feature in features:
        if isinstance(feature, Numeric | Bucketized):
            learned = [statistics.numerics[key] for key in feature.statistics_keys]
            low, high = min(part.minimum for part in learned), max(part.maximum for part in learned)
            found[names[feature.column]] = (low, high)
    return found
