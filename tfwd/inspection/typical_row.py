"""A row of the most frequent categories and the median numbers, made from the statistics alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.datetime import DatetimeNumber, DatetimePart
from tfwd.config.features.numeric import Numeric
from tfwd.dates import seconds_of
from tfwd.features.space import FeatureSpace
from tfwd.schema import MISSING, Input, Schema

_DAY = 86_400
# The parts that make a moment, each with the value that it has if no feature reads it.
_PARTS = {"year": 2000, "month": 7, "day": 1, "hour": 12, "minute": 0}


def typical_row(schema: Schema, space: FeatureSpace) -> dict[str, Any]:
    """Returns the raw inputs of one row, as `tfwd.data.raw.raw_arrays` takes them.

    An input of which nothing was learned, such as one that is hashed, is missing. A list has one value.

    Args:
        schema: the raw inputs.
        space: the features and their statistics.
    """
    row: dict[str, Any] = {}
    moments: dict[str, int | None] = {}
    for entry in schema.inputs:
        value = moment_of(entry.column, space, moments) if entry.moment is not None else _value(entry, space)
        missing = MISSING[entry.kind]
        if entry.fixed:
            row[entry.name] = [value if value is not None else [missing] * entry.length]
        elif entry.length:
            row[entry.name] = [[] if value is None else [value]]
        else:
            row[entry.name] = [missing if value is None else value]
    return row


def _value(entry: Input, space: FeatureSpace) -> Any:
    for feature in space.features:
        if isinstance(feature, Categorical) and feature.columns[0] == entry.column:
            found = most_frequent(feature, space)
            if found is not None:
                return int(found) if entry.kind == "integer" else found
        elif isinstance(feature, Numeric | Bucketized) and feature.columns[0] == entry.column:
            parts = feature.statistics_keys if isinstance(feature, Numeric) else (feature.name,)
            learned = [space.statistics.numerics.get(part) for part in parts]
            medians = [np.nan if one is None or one.missing > one.count else one.median for one in learned]
            return medians if entry.fixed else medians[0]
    return None


def most_frequent(feature: Categorical, space: FeatureSpace) -> str | None:
    """Returns the value of a vocabulary that most training rows have, or None if more have none."""
    learned = space.statistics.vocabularies.get(space.root(feature.name).name)
    if learned is None or not learned.values:
        return None
    best = int(np.argmax(learned.counts)) if learned.counts else 0
    return None if learned.missing > max(learned.counts, default=0) else learned.values[best]


def moment_of(column: str, space: FeatureSpace, known: dict[str, int | None]) -> int | None:
    """Returns the seconds since 1970 of a typical moment of a column.

    Args:
        column: the data column.
        space: the features and their statistics.
        known: those of other columns; this one is added.
    """
    if column in known:
        return known[column]
    known[column] = None  # ages that are counted to each other
    ages = [f for f in space.features if isinstance(f, DatetimeNumber) and f.of == "age" and f.source == column]
    for age in ages:
        learned = space.statistics.numerics.get(age.name)
        reference = age.reference
        if age.reference_column is not None:
            reference = moment_of(age.reference_column, space, known)
        if learned is not None and reference is not None:
            known[column] = reference - round(learned.median * _DAY)
            return known[column]
    parts = dict(_PARTS)
    for feature in space.features:
        if isinstance(feature, DatetimePart) and feature.source == column and feature.part in parts:
            parts[feature.part] = int(most_frequent(feature, space) or parts[feature.part])
    # The 31st of a shorter month would be no day.
    day = min(parts["day"], 28)
    text = f"{parts['year']:04}-{parts['month']:02}-{day:02}T{parts['hour']:02}:{parts['minute']:02}"
    known[column] = seconds_of(text)
    return known[column]
