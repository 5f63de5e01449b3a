"""Builds a new model for a configuration: the transform, the ranker and the initial logits."""

from __future__ import annotations

import keras
import numpy as np

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.config import Config
from tfwd.data.reading import Reading
from tfwd.features.layout import build_layout
from tfwd.features.space import FeatureSpace
from tfwd.features.transform import build_transform
from tfwd.model.ranker import Heads, build_ranker, start_embeddings
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import Schema


def build_model(
    config: Config,
    statistics: FeatureStatistics,
    schema: Schema,
    tower: keras.layers.Layer | None = None,
) -> WideDeep:
    """Returns a new, uncompiled model for a configuration.

    Args:
        config: the features, the heads and the seed.
        statistics: the statistics of the training rows.
        schema: the raw inputs; its classes must be known.
        tower: a layer of your own in place of the feed-forward tower.
    """
    space = FeatureSpace(config.features, statistics)
    layout = build_layout(space, config.model.heads, schema.outputs)
    transform = build_transform(space, schema, layout)
    ranker = build_ranker(layout, config.model, schema.outputs, config.train.seed, tower)
    if "deep" in config.model.heads:
        start_embeddings(ranker, layout, config)
    base, scale = base_logits(statistics, schema)
    Heads.of(ranker).logit.set_base(base, scale)
    return WideDeep(transform, ranker, schema, layout, Reading.of(config), name="wide_deep")


def base_logits(statistics: FeatureStatistics, schema: Schema) -> tuple[list[float], float]:
    """Returns the logits of a model without features, and the unit that the heads work in."""
    label = statistics.label
    # A class without training rows gets the share of half a row, to avoid the logarithm of 0.
    least = 0.5 / max(statistics.rows, 1)
    if schema.task == "binary":
        share = min(max(label.mean, least), 1 - least)
        return [float(np.log(share) - np.log1p(-share))], 1.0
    if schema.task == "multiclass":
        shares = np.maximum(np.array(label.shares), least)
        return [float(value) for value in np.log(shares / shares.sum())], 1.0
    if schema.counts:
        return [float(np.log(label.mean))], 1.0
    return [label.mean], label.stddev if label.stddev > 0 else 1.0
