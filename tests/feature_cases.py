"""A kitchen sink of features, rows for it, and its statistics by NumPy and plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, NumericStatistics, VocabularyStatistics
from tfwd.config.config import Config
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.numeric import Numeric
from tfwd.schema import MISSING_INTEGER, Input, Schema

Columns = dict[str, list[Any]]

CITIES = ["Paris", "Köln", "北京", "a b", "line\nbreak", "0"]
SINK: dict[str, Any] = {
    "task": "binary",
    "data": {"label": {"column": "bought"}, "names": {"café id": "place"}},
    "features": [
        {"type": "categorical", "column": "city", "embedding": "auto"},
        {"type": "categorical", "column": "job title", "embedding": 8, "one_hot": True, "min_count": 3},
        {"type": "categorical", "column": "zip", "hash_bins": 50, "embedding": 4},
        {"type": "categorical", "column": "café id", "name": "cafe", "dtype": "integer", "wide": False, "embedding": 8},
        {"type": "categorical", "column": "store", "identity": 5, "one_hot": True, "wide": False},
        {"type": "categorical", "column": "level", "vocabulary": ["low", "high"]},
        {
            "type": "numeric",
            "column": "age",
            "normalization": ["zscore", "quantile"],
            "missing_indicator": True,
            "wide": True,
        },
        {"type": "numeric", "column": "income", "normalization": "log", "fill": 0.0},
        {"type": "bucketized", "column": "age", "boundaries": [18, 30.5, 65]},
        {"type": "bucketized", "column": "age", "name": "exact_age", "exact": True, "oov": True, "embedding": 8},
        {"type": "bucketized", "column": "income", "quantiles": 6, "wide": False},
        {"type": "cross", "keys": ["city", "job_title"], "bins": 97},
        {"type": "cross", "keys": ["level", "age_buckets", "zip"], "bins": 1000, "embedding": 8},
        {"type": "cross", "keys": ["store", "exact_age"], "bins": 61, "wide": False, "one_hot": True},
        {"type": "cross", "keys": ["income_buckets", "level", "city"], "bins": "exact", "embedding": "auto"},
    ],
    "model": {"hidden_units": [8, 4]},
}


def kitchen_sink(**changes: Any) -> Config:
    """All kinds of features; `changes` as `Config.replace` takes them."""
    return Config.of(SINK).replace(**changes)


def small(**changes: Any) -> Config:
    """Five features of the kitchen sink: both heads, a cross, a number; quick to trace."""
    features = [
        {"type": "categorical", "column": "city", "embedding": 4},
        {"type": "categorical", "column": "level", "vocabulary": ["low", "high"], "embedding": 4},
        {"type": "numeric", "column": "age", "wide": True},
        {"type": "bucketized", "column": "age", "boundaries": [18, 30.5, 65]},
        {"type": "cross", "keys": ["city", "age_buckets"], "bins": 50},
    ]
    values = {"data": {"label": "bought"}, "features": features, "model": {"hidden_units": [8, 4]}}
    return Config.of(values).replace(**changes)


def raw_columns(rows: int, seed: int = 1, unseen: bool = False) -> Columns:
    """Random rows by column, with missing values; with `unseen`, values that other rows have not."""
    random = np.random.default_rng(seed)

    def choose(values: Sequence[Any], missing: Any, new: Sequence[Any]) -> list[Any]:
        pool = [*values, *values, *values, missing, *(new if unseen else ())]
        return [pool[index] for index in random.integers(0, len(pool), rows)]

    return {
        "city": choose(CITIES, "", ["PARIS", "paris ", "\0"]),
        "job title": choose([f"job {index}" for index in range(12)], "", ["none"]),
        "zip": choose([f"{index:05d}" for index in range(300)], "", ["x"]),
        "café id": choose([3, -7, 2**62, 0, 41], MISSING_INTEGER, [1, -(2**63) + 1]),
        "store": choose(range(5), MISSING_INTEGER, [-1, 5, 2**62]),
        "level": choose(["low", "high"], "", ["LOW"]),
        "age": [float(value) for value in choose(range(10, 90, 4), np.nan, [11.0, -1e30, np.inf, -np.inf, 30.5])],
        "income": [float(value) for value in choose(random.gamma(2.0, 100.0, 90).round(1), np.nan, [-9.0, 1e12])],
    }


def labels(columns: Columns) -> np.ndarray:
    """float32 `(B, 1)`, 0 or 1: something that the features tell."""
    city = np.array([value in ("Paris", "0") for value in columns["city"]])
    age = np.nan_to_num(np.array(columns["age"]), posinf=0, neginf=0)
    return (city ^ (age > 50)).astype(np.float32)[:, np.newaxis]


def statistics_of(config: Config, columns: Columns, label: LabelStatistics | None = None) -> FeatureStatistics:
    """What analysis learns of the rows, by plain means."""
    vocabularies, numerics = {}, {}
    missing = ("", MISSING_INTEGER)
    for feature in config.features:
        if isinstance(feature, Categorical) and feature.vocabulary:
            words = tuple(str(value) for value in feature.vocabulary)
            vocabularies[feature.name] = VocabularyStatistics(words, (1,) * len(words))
        elif isinstance(feature, Categorical) and feature.learned:
            counts = Counter(str(value) for value in columns[feature.column] if value not in missing)
            kept = [(-n, value) for value, n in counts.items() if n >= feature.min_count]
            ordered = sorted(kept)
            vocabularies[feature.name] = VocabularyStatistics(
                tuple(value for _, value in ordered), tuple(-n for n, _ in ordered)
            )
        elif isinstance(feature, Numeric | Bucketized):
            values = np.array(columns[feature.column], np.float32)
            numerics[feature.name] = _numbers(values[np.isfinite(values)].astype(np.float64), feature)
    rows = len(next(iter(columns.values())))
    positive = float(labels(columns).mean())
    known = label or LabelStatistics(positive, 1.0, ("0", "1"), (1 - positive, positive))
    return FeatureStatistics(rows, known, vocabularies, numerics)


def _numbers(values: np.ndarray, feature: Numeric | Bucketized) -> NumericStatistics:
    def inner(n: int) -> tuple[float, ...]:
        return tuple(np.unique(np.quantile(values, np.arange(1, n) / n, method="inverted_cdf")).tolist())

    boundaries: tuple[float, ...] = ()
    if isinstance(feature, Bucketized):
        distinct = tuple(np.unique(values).tolist())
        boundaries = feature.boundaries or (inner(feature.quantiles) if feature.quantiles else distinct)
    logs = np.log1p(values - values.min())
    return NumericStatistics(
        count=len(values),
        missing=0,
        minimum=float(values.min()),
        maximum=float(values.max()),
        mean=float(values.mean()),
        stddev=float(values.std()),
        median=float(np.median(values)),
        log_mean=float(logs.mean()),
        log_stddev=float(logs.std()),
        quantiles=inner(feature.quantiles) if isinstance(feature, Numeric) else (),
        boundaries=tuple(float(b) for b in boundaries),
    )


def schema_of(config: Config, classes: tuple[str, ...] = ("0", "1")) -> Schema:
    """The raw inputs, their kinds from the features."""
    kinds = {}
    for feature in config.features:
        if isinstance(feature, Categorical):
            integer = feature.dtype == "integer" or feature.identity is not None
            kinds[feature.column] = "integer" if integer else "string"
        elif isinstance(feature, Numeric | Bucketized):
            kinds[feature.column] = "float"
    inputs = tuple(Input(name, column, kinds[column]) for column, name in config.input_names().items())
    return Schema(inputs, config.task, config.data.label.column, classes if config.task != "regression" else ())


def batch(schema: Schema, columns: Columns) -> dict[str, tf.Tensor]:
    """Rows as the model takes them."""
    dtypes = {"string": tf.string, "integer": tf.int64, "float": tf.float32}
    return {entry.name: tf.constant(columns[entry.column], dtypes[entry.kind]) for entry in schema.inputs}


def dataset(config: Config, columns: Columns, y: np.ndarray, size: int, *weights: np.ndarray) -> tf.data.Dataset:
    """Raw batches of rows with their labels (and weights)."""
    return tf.data.Dataset.from_tensor_slices((batch(schema_of(config), columns), y, *weights)).batch(size)
