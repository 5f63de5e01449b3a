"""Range, mean, spread, quantiles and bucket boundaries of numbers, equal between runs to the last bit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir

from tfwd.analysis.exact_sum import exponent, scaled_sum, unscaled
from tfwd.analysis.quantiles import values_at
from tfwd.analysis.scales import refuse_unbounded
from tfwd.analysis.statistics import NumericStatistics
from tfwd.analysis.workspace import Workspace
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.numeric import Numeric
from tfwd.errors import DataError


def numerics(workspace: Workspace, features: Iterable[Numeric | Bucketized]) -> dict[str, NumericStatistics]:
    """The statistics of every numeric and bucketized feature, by name.

    All columns are read together three times for their ranges, means and spreads, then one by one for their quantiles.

    Raises:
        DataError: a column has no finite value, or has values larger than the heads can compute with, or no value is
            frequent enough to be a boundary.
    """
    numbers = [number for feature in features for number in _numbers(workspace, feature)]
    columns = {number.column: number.shown for number in numbers}
    if not columns:
        return {}
    summaries = _summaries(workspace, columns)
    ranks: dict[str, set[int]] = {column: {_rank(1, 2, summaries[column]["count"])} for column in columns}
    for number in numbers:
        ranks[number.column].update(_quantile_ranks(number.feature, summaries[number.column]["count"]))
    found = {column: values_at(workspace, column, summaries[column], ranks[column]) for column in columns}
    statistics = {}
    for key, feature, column, _ in numbers:
        summary, at = summaries[column], found[column]
        inner = tuple(sorted({at[rank] for rank in _quantile_ranks(feature, summary["count"])}))
        boundaries: tuple[float, ...] = ()
        if isinstance(feature, Bucketized):
            boundaries = inner
            if feature.boundaries is not None:
                boundaries = feature.boundaries
            elif feature.exact:
                boundaries = _distinct(workspace, feature)
        statistics[key] = NumericStatistics(
            **summary,
            missing=workspace.rows - summary["count"],
            median=at[_rank(1, 2, summary["count"])],
            quantiles=inner if isinstance(feature, Numeric) else (),
            boundaries=boundaries,
        )
        if isinstance(feature, Numeric):
            refuse_unbounded(feature, statistics[key])
    return statistics


class _Number(NamedTuple):
    """A number of a feature: the key of its statistics, the table's column, and its name in messages."""

    key: str
    feature: Numeric | Bucketized
    column: str
    shown: str


def _numbers(workspace: Workspace, feature: Numeric | Bucketized) -> list[_Number]:
    shown = f"The column {feature.shown_column!r}"
    if feature.column not in feature.columns:
        # Computed from other columns, any of which may be why there is no number.
        shown = f"The number {feature.name!r} of {' and '.join(map(repr, feature.columns))}"
    if isinstance(feature, Bucketized) or feature.shape is None:
        return [_Number(feature.name, feature, workspace.column(feature), shown)]
    return [
        _Number(key, feature, workspace.column(feature, place), f"{shown}, number {place},")
        for place, key in enumerate(feature.statistics_keys)
    ]


def _rank(numerator: int, denominator: int, count: int) -> int:
    """The place, from 1, of a quantile among `count` sorted values: its share of the count, rounded up."""
    return max(-(-numerator * count // denominator), 1)


def _quantile_ranks(feature: Numeric | Bucketized, count: int) -> list[int]:
    wanted = feature.quantiles
    if isinstance(feature, Numeric) and "quantile" not in feature.normalizations:
        wanted = None
    return [_rank(place, wanted, count) for place in range(1, wanted)] if wanted else []


def _distinct(workspace: Workspace, feature: Bucketized) -> tuple[float, ...]:
    values = workspace.table.select(value=workspace.table[workspace.column(feature)])
    counts = values.filter(values.value.notnull()).group_by("value").aggregate(n=lambda table: table.count())
    kept = counts.filter(counts.n >= feature.min_count)
    if feature.max_size is not None:
        kept = kept.order_by([ibis.desc("n"), ibis.asc("value")]).limit(feature.max_size)
    answer = workspace.arrow(kept)["value"].to_pylist()
    if not answer:
        raise DataError(
            f"The feature {feature.name!r} has no boundaries: no value of {feature.column!r} occurs "
            f"min_count = {feature.min_count} times. Lower min_count, or use quantiles."
        )
    return tuple(sorted(answer))


def _summaries(workspace: Workspace, columns: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The count, minimum, maximum, mean, stddev, log_mean and log_stddev of each column of the table.

    Args:
        workspace: the table with the columns.
        columns: each column's name in messages.
    """
    table = workspace.table
    asked: dict[str, ir.Scalar] = {}
    for name in columns:
        asked |= {f"{name}_n": table[name].count(), f"{name}_lo": table[name].min(), f"{name}_hi": table[name].max()}
    first = workspace.record(table.aggregate(**asked))
    ranges: dict[str, tuple[int, float, float]] = {}
    for name, shown in columns.items():
        count, low, high = (first[f"{name}_{key}"] for key in ("n", "lo", "hi"))
        if count == 0:
            raise DataError(f"{shown} has no finite number in any of the {workspace.rows} training rows.")
        ranges[name] = (count, low, high)
    values: dict[str, ir.FloatingColumn] = {}
    largest: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, (count, low, high) in ranges.items():
        value, log = table[name].cast("float64"), f"{name}_log"
        values |= {name: value, log: (_double(1.0) + (value - _double(low))).ln()}
        largest |= {name: max(abs(low), abs(high)), log: math.log1p(high - low) * 1.001}
        counts |= {name: count, log: count}
    means = _means(workspace, values, largest, counts)
    # Logarithms are at least 0, so none is further from their mean than the largest is from 0.
    furthest = largest | {n: max(high - means[n], means[n] - low) for n, (_, low, high) in ranges.items()}
    stddevs = _stddevs(workspace, values, means, furthest, counts)
    return {
        name: {
            "count": counts[name],
            "minimum": ranges[name][1],
            "maximum": ranges[name][2],
            "mean": means[name],
            "stddev": stddevs[name],
            "log_mean": means[f"{name}_log"],
            "log_stddev": stddevs[f"{name}_log"],
        }
        for name in columns
    }


def _double(value: float) -> ir.FloatingScalar:
    return ibis.literal(float(value), type="float64")


def _means(
    workspace: Workspace,
    values: dict[str, ir.FloatingColumn],
    largest: dict[str, float],
    counts: dict[str, int],
) -> dict[str, float]:
    powers = {name: exponent(largest[name]) for name in values}
    sums = {name: scaled_sum(value, powers[name]) for name, value in values.items()}
    answer = workspace.record(workspace.table.aggregate(**sums))
    return {name: float(unscaled(answer[name], powers[name]) / counts[name]) for name in values}


def _stddevs(
    workspace: Workspace,
    values: dict[str, ir.FloatingColumn],
    means: dict[str, float],
    furthest: dict[str, float],
    counts: dict[str, int],
) -> dict[str, float]:
    squares = {}
    for name, value in values.items():
        deviation = value - _double(means[name])
        squares[name] = deviation * deviation
    # Slightly more than the square of the largest deviation, since the mean is rounded.
    largest = {name: (furthest[name] * 1.001) ** 2 for name in values}
    variances = _means(workspace, squares, largest, counts)
    return {name: math.sqrt(variance) for name, variance in variances.items()}
