"""Weights with names that a person knows: `education=Doctorate x occupation=Sales`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.features import Bucketized, Categorical, Column, Cross, root
from tfwd.features.layout import feature_rows

if TYPE_CHECKING:
    import pandas as pd

    from tfwd.model.wide_deep import WideDeep


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
        nonzero: leaves out the weights that L1 or a lack of examples kept at zero. Names are made for the others
            only, so that a table of many bins costs what is in it.

    Returns:
        A frame with `feature`, `name` and `weight`; for a multi-class model a `weight_<class>` a class. A bin of a
        hashed cross names up to three of the combinations that fall into it.

    Raises:
        ValueError: the model has no wide head.
    """
    import pandas as pd

    if "wide" not in {layer.name for layer in model.ranker.layers}:
        raise ValueError("The model has no wide head.")
    head = model.ranker.get_layer("wide")
    owners, names, values = _others(model, head)
    if model.layout.wide is not None:
        weights = head.table.table.numpy()
        by_name = {feature.name: feature for feature in features}
        for entry in reversed(model.layout.wide.ranges):
            block = weights[entry.start : entry.start + entry.rows]
            ids = np.flatnonzero(np.abs(block).max(axis=1)) if nonzero else np.arange(entry.rows)
            names = row_names(by_name[entry.feature], ids, statistics, by_name, model) + names
            owners = [entry.feature] * len(ids) + owners
            values = np.concatenate([block[ids], values])
    frame = pd.DataFrame({"feature": owners, "name": names})
    if values.shape[1] == 1:
        frame["weight"] = values[:, 0]
    else:
        for index, label in enumerate(model.schema.classes):
            frame[f"weight_{label}"] = values[:, index]
    strength = np.abs(values).max(axis=1)
    order = np.argsort(-strength, kind="stable")
    return frame.iloc[order[strength[order] > 0] if nonzero else order].reset_index(drop=True)


def _others(model: WideDeep, head: Any) -> tuple[list[str], list[str], NDArray[np.float32]]:
    """Owners, names and weights of what stands in no table: numbers, and the bias of a head that is alone."""
    names = [model.layout.numeric[column] for column in model.layout.wide_numeric] + ["bias"] * head.use_bias
    blocks = [np.zeros((0, head.outputs), np.float32)]
    if head.numeric:
        blocks.append(head.kernel.numpy())
    if head.use_bias:
        blocks.append(head.bias.numpy()[None])
    return list(names), names, np.concatenate(blocks)


def row_names(
    feature: Column,
    ids: NDArray[np.integer],
    statistics: FeatureStatistics,
    by_name: dict[str, Column],
    model: WideDeep,
) -> list[str]:
    """The names of some local ids of a feature."""
    if isinstance(feature, Cross):
        return _cross_names(feature, ids, statistics, by_name, model)
    # What shares a vocabulary has the values of its owner, in its own column.
    value = _value(root(feature, by_name) if isinstance(feature, Categorical) else feature, statistics)
    # A bucketized feature says its column: `age in [30, 40)` needs no `age_buckets`.
    shown = feature.column if isinstance(feature, Bucketized | Categorical) else feature.name
    return [f"{shown}{value(int(i))}" for i in ids]


def _value(feature: Column, statistics: FeatureStatistics) -> Callable[[int], str]:
    """What a local id stands for; nothing is listed where the ids are a count of bins."""
    if isinstance(feature, Categorical) and feature.hash_bins is not None:
        bins = feature.hash_bins
        return lambda i: " missing" if i == bins else f" in bin {i}"
    if isinstance(feature, Categorical) and feature.identity is not None:
        special = {feature.identity: "=[OOV]", feature.identity + 1: " missing"}
        return lambda i: special.get(i, f"={i}")
    return _values(feature, statistics).__getitem__


def _values(feature: Column, statistics: FeatureStatistics) -> list[str]:
    if isinstance(feature, Categorical):
        return ["=[OOV]", " missing", *(f"={value}" for value in statistics.vocabularies[feature.name].values)]
    assert isinstance(feature, Bucketized)
    edges = [shortest(edge) for edge in statistics.numerics[feature.name].boundaries]
    if not edges:
        return [" is any number", " missing", *["=[OOV]"] * feature.oov]
    between = [
        f"={low}" if feature.exact and feature.oov else f" in [{low}, {high})"
        for low, high in itertools.pairwise(edges)
    ]
    top = f"={edges[-1]}" if feature.exact and feature.oov else f" >= {edges[-1]}"
    return [f" < {edges[0]}", *between, top, " missing", *["=[OOV]"] * feature.oov]


def shortest(number: float) -> str:
    """The shortest decimal that is this float32 and no other, so that two boundaries never look alike."""
    value = np.float32(number)
    if value != 0 and not 1e-4 <= abs(value) < 1e16:
        return np.format_float_scientific(value, trim="-")
    return np.format_float_positional(value, trim="-")


def _cross_names(
    cross: Cross,
    bins: NDArray[np.integer],
    statistics: FeatureStatistics,
    by_name: dict[str, Column],
    model: WideDeep,
) -> list[str]:
    keys = [by_name[key] for key in cross.keys]
    sizes = [feature_rows(key, statistics, by_name) for key in keys]
    hashed = any(isinstance(key, Categorical) and root(key, by_name).hash_bins is not None for key in keys)
    if hashed or math.prod(sizes) > MAX_COMBINATIONS:
        return [f"{' x '.join(cross.keys)} in bin {index}" for index in bins]
    combinations = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1)
    layer = model.transform.get_layer("features.crosses")
    found = layer.single(_position(cross, by_name), tf.constant(combinations, tf.int64)).numpy()
    parts = [row_names(key, np.arange(size), statistics, by_name, model) for key, size in zip(keys, sizes, strict=True)]
    order = np.argsort(found, kind="stable")
    starts, stops = (np.searchsorted(found[order], bins, side) for side in ("left", "right"))
    return [
        _members([_combined(parts, combinations[row]) for row in order[start : min(start + SHOWN, stop)]], stop - start)
        or f"{cross.name} in bin {index}"
        for index, start, stop in zip(bins, starts, stops, strict=True)
    ]


def _combined(parts: list[list[str]], combination: NDArray[np.integer]) -> str:
    return " x ".join(part[i] for part, i in zip(parts, combination, strict=True))


def _members(names: list[str], count: int) -> str:
    return " | ".join([*names, f"{count - SHOWN} more"] if count > SHOWN else names)


def _position(cross: Cross, by_name: dict[str, Column]) -> int:
    return [name for name, feature in by_name.items() if isinstance(feature, Cross)].index(cross.name)
