"""Weights with names that a person knows: `education=Doctorate x occupation=Sales`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.features.columns import Bucketized, Categorical, Column, Cross
from tfwd.features.layout import feature_rows

if TYPE_CHECKING:
    import pandas as pd

    from tfwd.model import WideDeep

# Combinations of a hashed cross that are hashed to name its bins; beyond, a bin is named by its number.
MAX_COMBINATIONS = 2_000_000
SHOWN = 3


def wide_weights(
    model: WideDeep, features: tuple[Column, ...], statistics: FeatureStatistics, nonzero: bool = True
) -> pd.DataFrame:
    """The weights of the wide head, the heaviest first.

    Args:
        model: trained.
        features: as they were declared.
        statistics: of the training rows.
        nonzero: leaves out the weights that L1 or a lack of examples kept at zero.

    Returns:
        A frame with `feature`, `name` and `weight`; for a multi-class model a `weight_<class>` a class.
    """
    import pandas as pd

    table = model.layout.wide
    head = model.ranker.get_layer("wide")
    by_name = {feature.name: feature for feature in features}
    names: list[str] = []
    owners: list[str] = []
    blocks: list[np.ndarray] = []
    if table is not None:
        weights = head.table.table.numpy()
        for entry in table.ranges:
            names += row_names(by_name[entry.feature], statistics, by_name, model)
            owners += [entry.feature] * entry.rows
        blocks.append(weights[1:])
    for position, column in enumerate(model.layout.wide_numeric):
        names.append(model.layout.numeric[column])
        owners.append(model.layout.numeric[column])
        blocks.append(head.kernel.numpy()[position : position + 1])
    values = np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)
    frame = pd.DataFrame({"feature": owners, "name": names})
    if values.shape[1] == 1:
        frame["weight"] = values[:, 0]
    else:
        for index, label in enumerate(model.schema.classes):
            frame[f"weight_{label}"] = values[:, index]
    strength = np.abs(values).max(axis=1)
    order = np.argsort(-strength, kind="stable")
    return frame.iloc[order[strength[order] > 0] if nonzero else order].reset_index(drop=True)


def row_names(
    feature: Column, statistics: FeatureStatistics, by_name: dict[str, Column], model: WideDeep
) -> list[str]:
    """The name of every local id of a feature with ids."""
    if isinstance(feature, Cross):
        return _cross_names(feature, statistics, by_name, model)
    return [f"{_shown(feature)}{name}" for name in _values(feature, statistics)]


def _shown(feature: Column) -> str:
    # A bucketized feature says its column: `age in [30, 40)` needs no `age_buckets`.
    return feature.column if isinstance(feature, Bucketized | Categorical) else feature.name


def _values(feature: Column, statistics: FeatureStatistics) -> list[str]:
    if isinstance(feature, Categorical):
        if feature.hash_bins is not None:
            return [*(f" in bin {index}" for index in range(feature.hash_bins)), " missing"]
        if feature.identity is not None:
            return [*(f"={index}" for index in range(feature.identity)), "=[OOV]", " missing"]
        return ["=[OOV]", " missing", *(f"={value}" for value in statistics.vocabularies[feature.name].values)]
    assert isinstance(feature, Bucketized)
    edges = [f"{edge:g}" for edge in statistics.numerics[feature.name].boundaries]
    between = [
        f"={low}" if feature.exact and feature.oov else f" in [{low}, {high})"
        for low, high in zip(edges, edges[1:], strict=False)
    ]
    top = f"={edges[-1]}" if feature.exact and feature.oov else f" >= {edges[-1]}"
    return [f" < {edges[0]}", *between, top, " missing", *["=[OOV]"] * feature.oov]


def _cross_names(
    cross: Cross, statistics: FeatureStatistics, by_name: dict[str, Column], model: WideDeep
) -> list[str]:
    rows = feature_rows(cross, statistics, by_name)
    keys = [by_name[key] for key in cross.keys]
    sizes = [feature_rows(key, statistics, by_name) for key in keys]
    hashed = any(isinstance(key, Categorical) and key.hash_bins is not None for key in keys)
    if hashed or math.prod(sizes) > MAX_COMBINATIONS:
        return [f"{' x '.join(cross.keys)} in bin {index}" for index in range(rows)]
    ids = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, len(keys))
    layer = model.transform.get_layer("features.crosses")
    bins = layer.single(_position(cross, by_name), tf.constant(ids, tf.int64)).numpy()
    parts = [row_names(key, statistics, by_name, model) for key in keys]
    found: list[list[str]] = [[] for _ in range(rows)]
    extra = np.zeros(rows, int)
    for combination, bin_ in zip(ids, bins, strict=True):
        if len(found[bin_]) < SHOWN:
            found[bin_].append(" x ".join(part[i] for part, i in zip(parts, combination, strict=True)))
        else:
            extra[bin_] += 1
    return [
        (" | ".join(names) + (f" | {more} more" if more else "")) or f"{cross.name} in bin {index}"
        for index, (names, more) in enumerate(zip(found, extra, strict=True))
    ]


def _position(cross: Cross, by_name: dict[str, Column]) -> int:
    return [name for name, feature in by_name.items() if isinstance(feature, Cross)].index(cross.name)
