"""Untrained models of the users and items of `ranking_cases`, and their lists, for the tests of lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import ranking_cases as cases
import tensorflow as tf

from tfwd.analysis.analyze import analyze
from tfwd.config.config import Config
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.features.raw_tensors import tensors
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.catalogue import read_catalogue
from tfwd.recommend.top_k import ListMaker
from tfwd.schema import Schema
from tfwd.training.splits import open_splits

NUMBERED: list[dict[str, Any]] = [
    {"type": "categorical", "column": "movie_id", "embedding": 4},
    {"type": "categorical", "column": "city", "embedding": 4},
]
HARD: list[dict[str, Any]] = [
    {
        "type": "categorical",
        "column": "movie_id",
        "hash_bins": 50,
        "embedding": 4,
        "name": "hashed",
        "embedding_trainable": False,
    },
    {"type": "categorical", "column": "liked", "max_length": 5, "hash_bins": 40, "name": "hashed_liked"},
    {"type": "categorical", "column": "liked", "max_length": 4, "embedding": 4, "combiner": "sqrtn"},
    {
        "type": "categorical",
        "column": "genres",
        "max_length": 3,
        "delimiter": "|",
        "one_hot": True,
        "wide_combiner": "mean",
    },
    {"type": "categorical", "column": "city", "weights": "age", "embedding": 4},
    {"type": "categorical", "column": "user_id", "one_hot": True},
    {"type": "numeric", "column": "year", "wide": True, "normalization": ["zscore", "quantile"]},
    {"type": "bucketized", "column": "year", "quantiles": 4},
    {"type": "cross", "keys": ["hashed_liked", "hashed"], "bins": 512, "embedding": 4, "wide_combiner": "mean"},
    {
        "type": "cross",
        "keys": ["genres", "liked"],
        "bins": 999,
        "embedding": 4,
        "combiner": "mean",
        "wide_combiner": "sqrtn",
    },
    {
        "type": "cross",
        "keys": ["liked", "genres", "city"],
        "bins": 700,
        "embedding": 4,
        "combiner": "sqrtn",
        "embedding_trainable": False,
    },
    {"type": "cross", "keys": ["city", "year_buckets"], "bins": "exact", "one_hot": True, "embedding": 4},
    {"type": "cross", "keys": ["genres", "city"], "bins": "exact", "one_hot": True},
    {"type": "cross", "keys": ["year_buckets", "genres"], "bins": 64, "wide_combiner": "mean"},
    {"type": "cross", "keys": ["liked", "genres"], "bins": "exact", "wide_combiner": "mean"},
]
"""Hashed keys, weights, every combiner, crosses over both sides in each head and as one-hot."""
DATES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "movie_id", "embedding": 4},
    {"type": "datetime", "column": "year", "parts": ["minute"], "age_in_days": "2024-06-30", "embedding": 4},
    {"type": "datetime", "column": "age", "parts": ["minute", "weekday"], "cyclic": ["hour"], "one_hot": True},
    {"type": "categorical", "column": "city"},
    {"type": "categorical", "column": "genres", "max_length": 3, "delimiter": "|"},
    {"type": "cross", "keys": ["year_minute", "age_minute", "city"], "bins": 300, "embedding": 4},
    {"type": "cross", "keys": ["year_minute", "age_minute"], "bins": "exact"},
]
"""Moments of either side, as the numbers of years and ages are seconds too."""


def built(
    features: list[dict[str, Any]] = cases.FEATURES,
    tower: keras.layers.Layer | None = None,
    regression: bool = False,
    numbered: bool = False,
    **model: Any,
) -> tuple[WideDeep, Config]:
    """An untrained model with other weights than zero; of items that are `numbered`, it reads nothing but the ids."""
    values = cases.values()
    values |= {"features": features, "model": {"hidden_units": [12, 6], **model}}
    values |= {"task": "regression"} if regression else {}
    values |= {"ranking": {"user": "user_id", "item": "movie_id"}} if numbered else {}
    config = Config.of(values)
    parts = open_splits(config, train=with_numbers(cases.events()) if numbered else cases.events())
    statistics = analyze(parts.fit, config)
    schema = parts.with_classes(statistics.label.classes).schema
    made = build_model(config, statistics, schema, tower)
    generator = np.random.default_rng(0)
    for variable in made.trainable_variables:
        values = generator.normal(0, 0.3, variable.shape).astype(np.float32)
        if variable.path.endswith("table"):
            values[0] = 0
        variable.assign(values)
    return made, config


def with_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Events or items, whose items are integers."""
    return table.assign(movie_id=table["movie_id"].str[1:].astype(int))


def maker(model: WideDeep, config: Config, items: pd.DataFrame | None = None) -> ListMaker:
    assert config.ranking is not None
    found = read_catalogue(Source.open(cases.items() if items is None else items), model.schema, config.ranking)
    return ListMaker(model, config.features, config.ranking, found)


def requests(lists: ListMaker, model: WideDeep, users: pd.DataFrame) -> dict[str, tf.Tensor]:
    schema = dataclasses.replace(model.schema, inputs=lists.scorer.user_inputs)
    return tensors(next(Rows(Source.open(users), schema, labelled=False).batches(1000)).inputs)


def user_schema(model: WideDeep, names: Sequence[str]) -> Schema:
    """The schema of some inputs of a model."""
    named = {entry.name: entry for entry in model.schema.inputs}
    return dataclasses.replace(model.schema, inputs=tuple(named[name] for name in names))


def strange_users() -> pd.DataFrame:
    """Some of the users, and some that nobody has seen, with nothing liked, too much, and gaps."""
    odd = cases.users().head(5)
    odd["user_id"] = ["new", None, "", "7", "8"]
    odd["city"] = ["Nowhere", None, "Elsewhere", "", "Drama Town"]
    odd["age"] = [None, 1000, -5, 30, 50]
    odd["liked"] = [[], None, ["never seen"] * 3, [f"m{n}" for n in range(40)], ["m1", None, "", "m2"]]
    return pd.concat([cases.users().head(2), odd], ignore_index=True)
