"""Models for the export tests: one with every kind of feature, in every task, and the census."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.analysis.statistics import (
    FeatureStatistics,
    LabelStatistics,
    NumericStatistics,
    VocabularyStatistics,
)
from tfwd.config.config import Config
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.numeric import Numeric
from tfwd.datasets import census
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import MISSING_INTEGER, Input, Schema

# Words that a vocabulary file, a graph or a runtime may trip over.
WORDS = (
    "plain",
    "é",
    "e\u0301",
    "日本語",
    "🦄",
    "line\nbreak",
    "nul\x00inside",
    " spaces ",
    "[OOV]",
    "nan",
    "0",
    "\t",
    "'\"",
)
USERS = ("7", "-1", "0", str(2**62), "9007199254740993", "-9223372036854775807")
CITIES = ("Turin", "Città", "x" * 300)

FEATURES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "class", "embedding": 4, "one_hot": True},
    {"type": "categorical", "column": "user id", "dtype": "integer", "embedding": 8},
    {"type": "categorical", "column": "level", "identity": 5, "embedding": 4},
    {"type": "categorical", "column": "città", "name": "city"},
    {
        "type": "numeric",
        "column": "age",
        "normalization": ["none", "zscore", "minmax", "log", "quantile"],
        "missing_indicator": True,
        "wide": True,
    },
    {"type": "numeric", "column": "price", "normalization": "log", "fill": -3.5},
    {"type": "numeric", "column": "constant"},
    {"type": "bucketized", "column": "age", "exact": True, "oov": True, "one_hot": True},
    {"type": "bucketized", "column": "price", "quantiles": 8, "embedding": 4},
    {"type": "bucketized", "column": "price", "name": "sign", "boundaries": [0.0]},
    {"type": "cross", "keys": ["class_", "level"], "bins": "exact", "embedding": 4},
    {"type": "cross", "keys": ["class_", "user_id", "price_buckets"], "bins": 1000},
    {"type": "cross", "keys": ["city", "sign", "level"], "bins": 97},
    {"type": "cross", "keys": ["city", "class_"], "bins": 50, "embedding": 8},
]
HASHED = {"type": "categorical", "column": "url", "hash_bins": 1000, "embedding": 8}
HASHED_CROSS = {"type": "cross", "keys": ["url", "class_"], "bins": 500}
KINDS = {"class": "string", "user id": "integer", "level": "integer", "città": "string", "url": "string"}
CLASSES = {"binary": ("no", "yes"), "multiclass": ("low", "middle", "high"), "regression": ()}


def everything(
    task: str = "binary",
    heads: tuple[str, ...] = ("wide", "deep"),
    hashed: bool = False,
    tower: keras.layers.Layer | None = None,
    features: Sequence[dict[str, Any]] = FEATURES,
) -> WideDeep:
    """A model with every kind of feature, or those given, of random weights."""
    features = [*features, *([HASHED, HASHED_CROSS] if hashed else [])]
    config = Config.of(
        {
            "task": task,
            "data": {"label": {"column": "label", **({"positive": "yes"} if task == "binary" else {})}},
            "features": features,
            "model": {"heads": heads, "hidden_units": [16, 8], "batch_norm": True, "dropout": 0.1},
        }
    )
    inputs = tuple(Input(name, column, KINDS.get(column, "float")) for column, name in config.input_names().items())
    schema = Schema(inputs, task, "label", CLASSES[task], version="0.1.0")
    rows = random_rows(512, hashed)
    label = LabelStatistics(mean=3.0, stddev=2.0) if task == "regression" else LabelStatistics(mean=0.3)
    if task == "multiclass":
        label = LabelStatistics(0.0, 1.0, CLASSES[task], (0.5, 0.3, 0.2))
    return _of_random_weights(build_model(config, _statistics(config, rows, label), schema, tower))


def _of_random_weights(model: WideDeep) -> WideDeep:
    """Weights that are still as they start would hide what is wrong with them."""
    generator = np.random.default_rng(1)
    for variable in model.ranker.trainable_variables:
        noise = generator.normal(scale=0.3 / np.sqrt(variable.shape[-1]), size=variable.shape)
        if variable.path.endswith("/table"):
            noise[0] = 0.0
        variable.assign(noise)
    return model


def random_rows(count: int, hashed: bool = False, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows of known, unknown and missing values."""
    generator = np.random.default_rng(seed)

    def pick(values: list[Any], kind: Any) -> np.ndarray:
        made = np.empty(count, kind)
        made[:] = [values[i] for i in generator.integers(len(values), size=count)]
        return made

    rows = {
        "class_": pick([*WORDS, "", "unknown"], object),
        "user_id": pick([*map(int, USERS), MISSING_INTEGER, 8], np.int64),
        "level": pick([0, 1, 2, 3, 4, 5, -1, MISSING_INTEGER], np.int64),
        "citt_": pick([*CITIES, "", "Rome"], object),
        "age": pick([17.0, 20.0, 30.5, 64.0, 18.0, np.nan, 99.0], np.float32),
        "price": generator.normal(scale=10, size=count).astype(np.float32),
        "constant": np.full(count, 4.0, np.float32),
    }
    return rows | ({"url": pick(["a.example", "b.example/é", "", "c"], object)} if hashed else {})


def as_tensors(rows: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    """Rows as a raw batch."""
    return {name: tf.constant(values.tolist() if values.dtype == object else values) for name, values in rows.items()}


def _statistics(config: Config, rows: dict[str, np.ndarray], label: LabelStatistics) -> FeatureStatistics:
    names = config.input_names()
    words = {"class": WORDS, "user id": USERS, "città": CITIES}
    vocabularies, numerics = {}, {}
    for feature in config.features:
        if isinstance(feature, Categorical) and feature.learned:
            values = words[feature.column]
            vocabularies[feature.name] = VocabularyStatistics(values, tuple(range(len(values), 0, -1)))
        elif isinstance(feature, Numeric | Bucketized):
            x = rows[names[feature.column]]
            numerics[feature.name] = numeric_statistics(feature, x[np.isfinite(x)])
    return FeatureStatistics(len(rows["age"]), label, vocabularies, numerics)


def numeric_statistics(feature: Numeric | Bucketized, x: np.ndarray) -> NumericStatistics:
    """What the pass over the data would learn, in NumPy."""
    boundaries: Any = ()
    if isinstance(feature, Bucketized):
        quantiles = np.arange(1, feature.quantiles or 1) / (feature.quantiles or 1)
        learned = np.unique(x) if feature.exact else np.unique(np.quantile(x, quantiles)) if len(quantiles) else ()
        boundaries = feature.boundaries or tuple(map(float, np.float32(learned)))
    logs = np.log1p(x - x.min())
    return NumericStatistics(
        len(x),
        0,
        *map(float, (x.min(), x.max(), x.mean(), x.std(), np.median(x), logs.mean(), logs.std())),
        quantiles=tuple(map(float, np.unique(np.float32(np.quantile(x, np.arange(1, 10) / 10))))),
        boundaries=boundaries,
    )


def census_model() -> tuple[WideDeep, dict[str, np.ndarray]]:
    """The census preset, of random weights, and all its test rows as raw inputs."""
    config = Config.load("census")
    train, test = census.load("train"), census.load("test")
    vocabularies, numerics = {}, {}
    for feature in config.features:
        if isinstance(feature, Categorical):
            counts = train[feature.column].dropna().value_counts()
            counts = counts[counts >= feature.min_count]
            vocabularies[feature.name] = VocabularyStatistics(tuple(counts.index), tuple(map(int, counts)))
        elif isinstance(feature, Numeric | Bucketized):
            numerics[feature.name] = numeric_statistics(feature, train[feature.column].dropna().to_numpy(np.float32))
    numbers = {f.column for f in config.features if isinstance(f, Numeric | Bucketized)}
    inputs = tuple(Input(n, c, "float" if c in numbers else "string") for c, n in config.input_names().items())
    schema = Schema(inputs, "binary", "income", ("<=50K", ">50K"), version="0.1.0")
    label = LabelStatistics(float((train["income"] == ">50K").mean()), 1.0, ("<=50K", ">50K"))
    model = build_model(config, FeatureStatistics(len(train), label, vocabularies, numerics), schema)

    def raw(frame: Any) -> dict[str, np.ndarray]:
        return {
            entry.name: frame[entry.column].to_numpy(np.float32)
            if entry.kind == "float"
            else frame[entry.column].fillna("").to_numpy(object)
            for entry in inputs
        }

    return _of_random_weights(model), raw(test)
