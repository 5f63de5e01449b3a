"""A recommender's features, rows for it with lists of any length, and its ids by plain Python."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path
from typing import Any

import keras
import made_once
import numpy as np
import pytest
import tensorflow as tf

from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, NumericStatistics, VocabularyStatistics
from tfwd.config.config import Config
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.features.layout import build_layout
from tfwd.features.space import FeatureSpace
from tfwd.layers.fingerprint import OOV_TOKEN
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import MISSING_INTEGER, Input, Schema

MOVIES = ("Heat", "Toy Story", "Città", "電車男", "a b", "0", "line\nbreak")
GENRES = ("Crime", "Children's", "Comedy")
LONGEST = 200
EDGES = (18.0, 40.0)

CONFIG = Config.of(
    {
        "data": {"label": "liked_it"},
        "features": [
            {"type": "categorical", "column": "movie", "embedding": 8},
            {"type": "categorical", "column": "liked", "max_length": LONGEST, "embedding": "movie"},
            {"type": "categorical", "column": "liked", "name": "last", "max_length": 2, "embedding": "movie"},
            {
                "type": "categorical",
                "column": "genres",
                "max_length": 3,
                "weights": "shares",
                "embedding": 4,
                "combiner": "sqrtn",
                "wide_combiner": "mean",
                "one_hot": True,
            },
            {
                "type": "categorical",
                "column": "store",
                "identity": 4,
                "max_length": 3,
                "embedding": 4,
                "embedding_trainable": False,
                "wide_combiner": "sqrtn",
            },
            {"type": "categorical", "column": "city", "vocabulary": ["Rome"], "weights": "trust", "embedding": 8},
            {
                "type": "bucketized",
                "column": "age",
                "boundaries": EDGES,
                "embedding": 8,
                "embedding_trainable": False,
            },
            {
                "type": "cross",
                "keys": ["liked", "movie"],
                "bins": 97,
                "embedding": 8,
                "embedding_trainable": False,
            },
            {"type": "cross", "keys": ["last", "genres", "age_buckets"], "bins": 51, "one_hot": True},
            {"type": "cross", "keys": ["genres", "movie"], "bins": "exact", "wide_combiner": "mean"},
            {"type": "cross", "keys": ["store", "last"], "bins": 13},
            {"type": "cross", "keys": ["movie", "age_buckets"], "bins": 31},
        ],
        "model": {"hidden_units": [8]},
    }
)
BY_NAME: dict[str, Any] = {feature.name: feature for feature in CONFIG.features}
STATISTICS = FeatureStatistics(
    rows=10,
    label=LabelStatistics(0.5, 1.0, ("0", "1"), (0.5, 0.5)),
    vocabularies={
        "movie": VocabularyStatistics(MOVIES, (1,) * len(MOVIES)),
        "genres": VocabularyStatistics(GENRES, (1,) * len(GENRES)),
        "city": VocabularyStatistics(("Rome",), (1,)),
    },
    numerics={"age_buckets": NumericStatistics(10, 0, 0.0, 90.0, 30.0, 10.0, 30.0, boundaries=EDGES)},
)
SCHEMA = Schema(
    (
        Input("movie", "movie", "string"),
        Input("liked", "liked", "string", LONGEST),
        Input("genres", "genres", "string", 3),
        Input("shares", "shares", "float", 3, weighs="genres"),
        Input("store", "store", "integer", 3),
        Input("city", "city", "string"),
        Input("trust", "trust", "float"),
        Input("age", "age", "float"),
    ),
    "binary",
    "liked_it",
    ("0", "1"),
)
LAYOUT = build_layout(FeatureSpace(CONFIG.features, STATISTICS), ("wide", "deep"), 1)

Row = dict[str, Any]


def model(crosses: bool = True) -> WideDeep:
    """With random weights in every table but the padding row, which is zero."""
    kept = tuple(feature for feature in CONFIG.features if crosses or not isinstance(feature, Cross))
    made = build_model(CONFIG.model_copy(update={"features": kept}), STATISTICS, SCHEMA)
    made.compile()
    random = np.random.default_rng(5)
    for variable in made.ranker.trainable_variables:
        values = random.normal(size=variable.shape, scale=0.3).astype(np.float32)
        if "table" in variable.path:
            values[0] = 0
        variable.assign(values)
    return made


def rows(count: int, seed: int = 0, longest: int = LONGEST + 20) -> list[Row]:
    """Rows with lists of 0 to `longest` values, unseen ones and gaps among them."""
    random = np.random.default_rng(seed)

    def some(values: tuple[Any, ...], most: int) -> list[Any]:
        length = random.integers(0, most + 1) if random.random() < 0.7 else random.integers(0, min(most, 3) + 1)
        return [values[i] for i in random.integers(0, len(values), length)]

    made = []
    for _ in range(count):
        genres = some((*GENRES, "never seen", ""), 5)
        made.append(
            {
                "movie": some((*MOVIES, "never seen", ""), 1)[:1] or [""],
                "liked": some((*MOVIES, "never seen", "toy story", ""), longest),
                "genres": genres,
                "shares": [[0.5, 2.0, math.nan, 0.0, -1.0, 1e9][i] for i in random.integers(0, 6, len(genres))],
                "store": some((0, 3, 4, -1, 2**40, MISSING_INTEGER), 4),
                "city": ["Rome" if random.random() < 0.5 else "Oslo"],
                "trust": [float(np.float32(random.random()))],
                "age": [float(random.choice([17, 18, 39.5, 90, math.nan]))],
            }
        )
        made[-1] = {
            name: value[0] if name in ("movie", "city", "trust", "age") else value for name, value in made[-1].items()
        }
    return made


PADDING = {"string": "", "integer": MISSING_INTEGER, "float": math.nan}


def arrays(given: list[Row]) -> dict[str, np.ndarray]:
    """Rows as raw inputs, lists padded at the end to the longest of their column."""
    made = {}
    for entry in SCHEMA.inputs:
        dtype = {"string": object, "integer": np.int64, "float": np.float32}[entry.kind]
        values = [row[entry.name] for row in given]
        if entry.length:
            # Weights are given as widely as their values.
            width = max(len(row["genres"] if entry.name == "shares" else row[entry.name]) for row in given)
            padding = PADDING[entry.kind]
            values = [list(value) + [padding] * (width - len(value)) for value in values]
            made[entry.name] = np.array(values, dtype).reshape(len(given), width)
        else:
            made[entry.name] = np.array(values, dtype)
    return made


def tensors(given: list[Row]) -> dict[str, tf.Tensor]:
    """Rows as a raw batch."""
    return {
        name: tf.constant(values.tolist(), tf.string, values.shape) if values.dtype == object else tf.constant(values)
        for name, values in arrays(given).items()
    }


def bag(feature: Any, row: Row) -> list[tuple[int, float]]:
    """The local ids of a feature in a row, each with its weight."""
    if isinstance(feature, Cross):
        return [(index, 1.0) for index in _cross(feature, row)]
    values = row[feature.column] if isinstance(row[feature.column], list) else [row[feature.column]]
    if isinstance(feature, Bucketized):
        return [(_bucket(values[0]), 1.0)]
    weights = row[feature.weights] if feature.weights else [1.0] * len(values)
    pairs = list(zip(values, weights if isinstance(weights, list) else [weights], strict=True))
    if feature.max_length:
        pairs = [pair for pair in pairs if pair[0] not in ("", MISSING_INTEGER)][-feature.max_length :]
    return [(_category(feature, value), _weight(weight)) for value, weight in pairs]


def _weight(weight: float) -> float:
    return 1.0 if not math.isfinite(weight) else min(weight, 1e6) if weight >= 1e-6 else 0.0


def _category(feature: Categorical, value: Any) -> int:
    if feature.identity is not None:
        return feature.identity + 1 if value == MISSING_INTEGER else value if 0 <= value < feature.identity else 4
    words = STATISTICS.vocabularies[feature.owner or feature.name].values
    return 1 if value == "" else words.index(value) + 2 if value in words else 0


def _bucket(value: float) -> int:
    return len(EDGES) + 1 if math.isnan(value) else sum(value >= edge for edge in EDGES)


def _cross(cross: Cross, row: Row) -> list[int]:
    keys = [BY_NAME[key] for key in cross.keys]
    if cross.bins == "exact":
        sizes = {"movie": len(MOVIES) + 2}
        ids = [[index for index, _ in bag(key, row)] for key in keys]
        return [a * sizes[cross.keys[1]] + b for a, b in itertools.product(*ids)]
    members = list(itertools.product(*(_crossed(key, row) for key in keys)))
    if not members:
        return []
    columns = tuple(tf.constant([member[i] for member in members]) for i in range(len(keys)))
    return [int(value) for value in keras.layers.HashedCrossing(cross.bins)(columns).numpy().ravel()]


def _crossed(feature: Any, row: Row) -> list[Any]:
    """What a cross is over: the raw strings, unseen ones as one; ids of buckets and small integers."""
    ids = [index for index, _ in bag(feature, row)]
    if isinstance(feature, Bucketized) or feature.identity is not None:
        return ids
    words = STATISTICS.vocabularies[feature.owner or feature.name].values
    return [(OOV_TOKEN, "", *words)[index] for index in ids]


@functools.cache
def exported() -> dict[str, Path]:
    """The SavedModel `bags/1` and `bags.onnx`, with its halves, of the model."""

    def make(folder: Path) -> None:
        from export.onnx import writer as onnx
        from export.parity import compare as parity
        from export.savedmodel import writer as savedmodel

        made, given = model(), arrays(rows(200, seed=1))
        with pytest.MonkeyPatch.context() as patch:
            # The tests compare more rows themselves.
            patch.setattr(parity, "HOSTILE_ROWS", 500)
            savedmodel.save(made, folder, name="bags", rows=given)
            onnx.save(made, folder / "bags.onnx", split=True, rows=given)

    folder = made_once.made("bags", make)
    return {"savedmodel": folder / "bags" / "1", "onnx": folder / "bags.onnx"}
