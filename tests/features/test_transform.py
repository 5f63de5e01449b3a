"""Raw rows to ids and numbers, against plain Python."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from feature_cases import Columns, batch, kitchen_sink, raw_columns, schema_of, statistics_of

from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, NumericStatistics, VocabularyStatistics
from tfwd.config.config import Config
from tfwd.config.features.base import Feature
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.features.layout import Layout, build_layout
from tfwd.features.space import FeatureSpace
from tfwd.features.transform import build_transform
from tfwd.layers.fingerprint import OOV_TOKEN
from tfwd.schema import MISSING_INTEGER

CONFIG = kitchen_sink()
TRAIN = raw_columns(2000)
STATISTICS = statistics_of(CONFIG, TRAIN)
BY_NAME: dict[str, Any] = {feature.name: feature for feature in CONFIG.features}
LAYOUT = build_layout(FeatureSpace(CONFIG.features, STATISTICS), ("wide", "deep"), 1)
TRANSFORM = build_transform(FeatureSpace(CONFIG.features, STATISTICS), schema_of(CONFIG), LAYOUT)


def hash_of(value: str, bins: int) -> int:
    return int(tf.strings.to_hash_bucket_fast([value], bins)[0])


def categorical_id(feature: Categorical, value: Any) -> int:
    missing = value in ("", MISSING_INTEGER)
    if feature.hash_bins is not None:
        return feature.hash_bins if missing else hash_of(str(value), feature.hash_bins)
    if feature.identity is not None:
        return feature.identity + 1 if missing else value if 0 <= value < feature.identity else feature.identity
    words = STATISTICS.vocabularies[feature.name].values
    return 1 if missing else words.index(str(value)) + 2 if str(value) in words else 0


def bucket_id(feature: Bucketized, value: float) -> int:
    edges = [np.float32(edge) for edge in STATISTICS.numerics[feature.name].boundaries]
    if math.isnan(value):
        return len(edges) + 1
    if feature.oov and np.float32(value) not in edges:
        return len(edges) + 2
    return sum(np.float32(value) >= edge for edge in edges)


def key_values(feature: Any, columns: Columns) -> list[str] | list[int]:
    """What a cross is over: the strings, those that are not in the vocabulary as one; bucket and identity ids."""
    values = columns[feature.column]
    if isinstance(feature, Bucketized):
        return [bucket_id(feature, value) for value in values]
    if feature.identity is not None:
        return [categorical_id(feature, value) for value in values]
    if feature.hash_bins is not None:
        return values
    return [OOV_TOKEN if categorical_id(feature, value) == 0 else value for value in values]


def local_ids(feature: Feature, columns: Columns) -> list[int]:
    if isinstance(feature, Categorical):
        return [categorical_id(feature, value) for value in columns[feature.column]]
    if isinstance(feature, Bucketized):
        return [bucket_id(feature, value) for value in columns[feature.column]]
    assert isinstance(feature, Cross)
    keys = [BY_NAME[key] for key in feature.keys]
    if feature.bins == "exact":
        sizes = {"income_buckets": 7, "level": 4, "city": 8}
        rows = zip(*(local_ids(key, columns) for key in keys), strict=True)
        return [sum(i * math.prod([sizes[k] for k in feature.keys[n + 1 :]]) for n, i in enumerate(r)) for r in rows]
    inputs = tuple(tf.constant(key_values(key, columns)) for key in keys)
    return keras.layers.HashedCrossing(feature.bins)(inputs).numpy().reshape(-1).tolist()


@pytest.mark.parametrize("unseen", [False, True])
def test_ids_equal_plain_python(unseen: bool) -> None:
    columns = raw_columns(500, seed=7, unseen=unseen)
    found = TRANSFORM(batch(schema_of(CONFIG), columns))
    expected = {feature.name: local_ids(feature, columns) for feature in CONFIG.features if feature.type != "numeric"}
    for table in LAYOUT.tables:
        ids = found[table.ids].numpy()
        assert ids.dtype == np.int32
        for column, entry in enumerate(table.ranges):
            np.testing.assert_array_equal(ids[:, column] - entry.start, expected[entry.feature], entry.feature)
            assert ((ids[:, column] >= entry.start) & (ids[:, column] < entry.start + entry.rows)).all()
    for column, entry in enumerate(LAYOUT.one_hot):
        np.testing.assert_array_equal(found["one_hot_ids"].numpy()[:, column], expected[entry.feature])


def test_numbers_equal_plain_numpy() -> None:
    columns = raw_columns(300, seed=8, unseen=True)
    found = TRANSFORM(batch(schema_of(CONFIG), columns))["numeric"].numpy()
    ages, incomes = (np.array(columns[name], np.float32).astype(float) for name in ("age", "income"))
    age, income = STATISTICS.numerics["age"], STATISTICS.numerics["income"]

    def clean(values: np.ndarray, known: NumericStatistics, fill: float) -> np.ndarray:
        return np.where(np.isfinite(values), np.clip(values, known.minimum, known.maximum), fill)

    ages_in, incomes_in = clean(ages, age, age.median), clean(incomes, income, 0.0)
    passed = (ages_in[:, np.newaxis] >= np.array(age.quantiles)).sum(axis=1)
    logs = np.log1p(np.maximum(incomes_in - income.minimum, 0))
    expected = [
        (ages_in - age.mean) / age.stddev,
        passed / len(age.quantiles),
        ~np.isfinite(ages),
        (logs - income.log_mean) / income.log_stddev,
    ]
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-5, atol=1e-5)


def test_unseen_and_missing_values_are_in_range_for_every_feature() -> None:
    hostile = {
        "city": ["", "\0", "x" * 10_000],
        "job title": ["", "Ω", " "],
        "zip": ["", "0", "\n"],
        "café id": [MISSING_INTEGER, 2**63 - 1, -1],
        "store": [MISSING_INTEGER, 2**63 - 1, -(2**63) + 1],
        "level": ["", "LOW", "low "],
        "age": [np.nan, np.inf, -np.inf],
        "income": [np.nan, 3e38, -3e38],
    }
    found = TRANSFORM(batch(schema_of(CONFIG), hostile))
    for table in LAYOUT.tables:
        ids = found[table.ids].numpy()
        assert ((ids >= 1) & (ids < table.rows)).all()
    depths = np.array([entry.rows for entry in LAYOUT.one_hot])
    assert ((found["one_hot_ids"].numpy() >= 0) & (found["one_hot_ids"].numpy() < depths)).all()
    assert np.isfinite(found["numeric"]).all()


def test_shapes_and_dtypes_are_promised() -> None:
    found = TRANSFORM(batch(schema_of(CONFIG), TRAIN))
    for name, tensor in TRANSFORM.output.items():
        assert (tensor.dtype, tensor.shape[1]) == (found[name].dtype.name, found[name].shape[1])
    assert sorted(TRANSFORM.output_names) == sorted(TRANSFORM.output)


def test_saved_transform_answers_as_before(tmp_path: Any) -> None:
    raw = batch(schema_of(CONFIG), raw_columns(100, seed=3, unseen=True))
    TRANSFORM.save(tmp_path / "transform.keras")
    loaded = keras.saving.load_model(tmp_path / "transform.keras")
    for name, expected in TRANSFORM(raw).items():
        np.testing.assert_array_equal(loaded(raw)[name], expected, name)


def transform_of(features: list[Any], **statistics: Any) -> tuple[keras.Model, Layout, Any]:
    config = Config.of({"data": {"label": "y"}, "features": features, "model": {"heads": ["wide"]}})
    learned = FeatureStatistics(9, LabelStatistics(0.5), **statistics)
    layout = build_layout(FeatureSpace(config.features, learned), ("wide",), 1)
    schema = schema_of(config)
    return build_transform(FeatureSpace(config.features, learned), schema, layout), layout, schema


NUMBERS = NumericStatistics(9, 0, 0.0, 9.0, 4.0, 2.0, 4.0, boundaries=(1.0, 2.0))
WORDS = VocabularyStatistics(("a", "b"), (2, 1))
AWKWARD = ["cast", "stack", "concat", "crosses", "bucketize", "transform", "city_lookup", "city", "get_item", "input"]


def test_any_column_name_may_be_an_input() -> None:
    features: list[Any] = [Categorical(name) for name in AWKWARD]
    features += [Bucketized("add", boundaries=(1.0, 2.0)), Numeric("multiply", wide=True)]
    features += [Cross(["cast", "add_buckets"], 10)]
    numerics = {"add_buckets": NUMBERS, "multiply": NUMBERS}
    model, _, schema = transform_of(features, vocabularies=dict.fromkeys(AWKWARD, WORDS), numerics=numerics)
    raw = {entry.name: tf.constant([1.0] if entry.kind == "float" else ["b"]) for entry in schema.inputs}
    assert model(raw)["wide_ids"].shape == (1, len(AWKWARD) + 2)


def test_buckets_alone_and_a_number_that_was_never_there() -> None:
    nothing = NumericStatistics(0, 9, 0.0, 0.0, 0.0, 0.0, 0.0)
    features = [Bucketized("x", exact=True, oov=True), Bucketized("z", boundaries=(1.0, 2.0))]
    model, layout, _ = transform_of(features, numerics={"x_buckets": nothing, "z_buckets": NUMBERS})
    assert [entry.rows for entry in layout.wide.ranges] == [3, 4]
    found = model({"x": tf.constant([np.nan, 5.0]), "z": tf.constant([1.5, np.nan])})["wide_ids"]
    assert found.numpy().tolist() == [[1 + 1, 4 + 1], [1 + 2, 4 + 3]]


def test_numbers_alone() -> None:
    model, layout, _ = transform_of([Numeric("x", normalization="none", wide=True)], numerics={"x": NUMBERS})
    assert layout.tables == ()
    assert {name: value.numpy().tolist() for name, value in model({"x": tf.constant([3.0])}).items()} == {
        "numeric": [[3.0]]
    }
