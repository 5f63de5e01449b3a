"""Weights with human-readable names, such as `education=Doctorate x occupation=Sales`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.features.base import Feature
from tfwd.config.features.cross import Cross
from tfwd.features.space import FeatureSpace
from tfwd.layers.cross_features import crosses_of

if TYPE_CHECKING:
    import pandas as pd

    from tfwd.model.wide_deep import WideDeep


# Up to this many combinations of a hashed cross are hashed to name its bins; otherwise a bin is named by its number.
MAX_COMBINATIONS = 2_000_000
SHOWN = 3


def wide_weights(
    model: WideDeep, features: tuple[Feature, ...], statistics: FeatureStatistics, nonzero: bool = True
) -> pd.DataFrame:
    """Returns the weights of the wide head, the largest in absolute value first.

    Args:
        model: a trained model.
        features: the declared features.
        statistics: of the training rows.
        nonzero: leaves out the weights that L1 or a lack of examples kept at zero. Names are made only for the others,
            so the cost does not grow with the empty bins of a table.

    Returns:
        A frame with `feature`, `name` and `weight`; for a multi-class model, one `weight_<class>` per class. A bin of
        a hashed cross names up to three of the combinations that fall into it.

    Raises:
        ValueError: the model has no wide head.
    """
    import pandas as pd

    head = model.heads.wide
    if head is None:
        raise ValueError("The model has no wide head.")
    owners, names, values = _others(model, head)
    if model.layout.wide is not None:
        assert head.table is not None
        weights = head.table.table.numpy()
        space = FeatureSpace(features, statistics)
        for entry in reversed(model.layout.wide.ranges):
            block = weights[entry.start : entry.start + entry.rows]
            ids = np.flatnonzero(np.abs(block).max(axis=1)) if nonzero else np.arange(entry.rows)
            names = row_names(entry.feature, ids, space, model) + names
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
    """Returns owners, names and weights of what is in no table: numbers, and the bias of a wide head alone."""
    names = [model.layout.numeric[column] for column in model.layout.wide_numeric] + ["bias"] * head.use_bias
    blocks = [np.zeros((0, head.outputs), np.float32)]
    if head.numeric:
        blocks.append(head.kernel.numpy())
    if head.use_bias:
        blocks.append(head.bias.numpy()[None])
    return list(names), names, np.concatenate(blocks)


def row_names(name: str, ids: NDArray[np.integer], space: FeatureSpace, model: WideDeep) -> list[str]:
    """Returns the names of some local ids of a feature."""
    feature = space[name]
    if isinstance(feature, Cross):
        return _cross_names(feature, ids, space, model)
    named = row_namer(name, space)
    return [named(int(i)) for i in ids]


def row_namer(name: str, space: FeatureSpace) -> Callable[[int], str]:
    """The name of a local id of a feature that is not a cross."""
    # A feature that shares a vocabulary has the values of its owner, but its own column. A bucketized feature is named
    # by its column: `age in [30, 40)` needs no `age_buckets`.
    shown, value = getattr(space[name], "column", name), space.value_names(name)
    return lambda i: f"{shown}{value(i)}"


def _cross_names(cross: Cross, bins: NDArray[np.integer], space: FeatureSpace, model: WideDeep) -> list[str]:
    sizes = [space.rows(key) for key in cross.keys]
    if any(map(space.is_hashed, cross.keys)) or math.prod(sizes) > MAX_COMBINATIONS:
        return [f"{' x '.join(cross.keys)} in bin {index}" for index in bins]
    combinations = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1)
    layer = crosses_of(model.transform)
    assert layer is not None
    crosses = [feature.name for feature in space.features if isinstance(feature, Cross)]
    found = layer.single(crosses.index(cross.name), tf.constant(combinations, tf.int64)).numpy()
    parts = [row_names(key, np.arange(size), space, model) for key, size in zip(cross.keys, sizes, strict=True)]
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
