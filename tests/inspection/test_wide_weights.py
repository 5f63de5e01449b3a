"""Weights by names that a person knows, and that these names mean what they say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from census_cases import frame, values

from tfwd.analysis.analyze import analyze
from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.config import Config
from tfwd.data.rows import Rows
from tfwd.data.schema import resolve_schema
from tfwd.data.source import Source
from tfwd.features.space import shortest
from tfwd.inspection.wide_weights import wide_weights
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep

FEATURES: list[dict[str, Any]] = [
    {"type": "numeric", "column": "age", "wide": True, "normalization": "none"},
    {"type": "bucketized", "column": "age", "boundaries": [25.5, 35.5, 50.5]},
    {"type": "bucketized", "column": "education_num", "exact": True, "oov": True, "name": "years"},
    {"type": "categorical", "column": "education"},
    {"type": "categorical", "column": "occupation", "max_size": 5},
    {"type": "categorical", "column": "native_country", "hash_bins": 7},
    {"type": "categorical", "column": "hours_per_week", "dtype": "integer", "identity": 60},
    {"type": "cross", "keys": ["age_buckets", "education"], "bins": "exact"},
    {"type": "cross", "keys": ["education", "occupation"], "bins": 100_003, "name": "wide_cross"},
    {"type": "cross", "keys": ["education", "native_country"], "bins": 11},
]


Made = tuple[WideDeep, Config, FeatureStatistics]


def untrained(values: dict[str, Any]) -> Made:
    """A model of the rows that no step has changed."""
    config, source = Config.of(values), Source.open(frame())
    rows = Rows(source, resolve_schema(config, source))
    statistics = analyze(rows, config)
    return build_model(config, statistics, rows.with_classes(statistics.label.classes).schema), config, statistics


def scattered(values: dict[str, Any]) -> Made:
    """A model with weights at random, a third of those of tables 0."""
    made, generator = untrained(values), np.random.default_rng(0)
    for variable in made[0].trainable_variables:
        # A bias is one number.
        zeros = (generator.random(variable.shape) < 1 / 3) & (np.prod(variable.shape) > 1)
        variable.assign(np.where(zeros, 0.0, generator.normal(0.0, 0.1, variable.shape)).astype(np.float32))
    return made


@pytest.fixture(scope="module")
def wide() -> Made:
    return scattered({**values(), "features": FEATURES, "model": {"heads": ["wide"]}})


@pytest.fixture(scope="module")
def weights(wide: Made) -> pd.DataFrame:
    model, config, statistics = wide
    return wide_weights(model, config.features, statistics)


def named(weights: pd.DataFrame, feature: str) -> dict[str, float]:
    part = weights[weights["feature"] == feature]
    return dict(zip(part["name"], part["weight"], strict=True))


def bucket(age: float) -> str:
    if age < 25.5:
        return "age < 25.5"
    return "age in [25.5, 35.5)" if age < 35.5 else "age in [35.5, 50.5)" if age < 50.5 else "age >= 50.5"


def test_a_row_s_wide_logit_is_the_sum_of_its_named_weights(wide: Made, weights: pd.DataFrame) -> None:
    """By the names alone, without a lookup, a bucket or a hash of tfwd, but for the bins that are named by number."""
    model, _, statistics = wide
    table = frame("test", 700).head(300)
    batch = next(Rows(Source.open(table), model.schema).batches(300))
    prepared = model.transform({name: tf.constant(value) for name, value in batch.inputs.items()})
    expected = model.ranker.get_layer("wide")(
        {name: value for name, value in prepared.items() if name in ("wide_ids", "numeric")}
    ).numpy()[:, 0]
    known = statistics.vocabularies["occupation"].values
    years = {float(edge) for edge in statistics.numerics["years"].boundaries}
    parts = {feature: named(weights, feature) for feature in weights["feature"].unique()}
    crossed = {
        combination: weight
        for name, weight in parts["wide_cross"].items()
        for combination in re.sub(r" \| \d+ more$", "", name).split(" | ")
    }
    for index, row in enumerate(table.itertuples()):
        education = f"education={row.education}"
        if row.occupation != row.occupation:
            occupation = "occupation missing"
        else:
            occupation = f"occupation={row.occupation if row.occupation in known else '[OOV]'}"
        year = f"education_num={row.education_num}" if row.education_num in years else "education_num=[OOV]"
        hours = f"hours_per_week={row.hours_per_week if row.hours_per_week < 60 else '[OOV]'}"
        total = parts["bias"]["bias"] + parts["age"]["age"] * row.age
        total += parts["age_buckets"].get(bucket(row.age), 0.0)
        total += parts["years"].get(year, 0.0) + parts["education"].get(education, 0.0)
        total += parts["occupation"].get(occupation, 0.0) + parts["hours_per_week"].get(hours, 0.0)
        total += parts["age_buckets_x_education"].get(f"{bucket(row.age)} x {education}", 0.0)
        total += crossed.get(f"{education} x {occupation}", 0.0)
        total += by_number(model, prepared, index, "native_country", parts)
        total += by_number(model, prepared, index, "education_x_native_country", parts)
        assert total == pytest.approx(expected[index], abs=2e-5)


def by_number(model: WideDeep, prepared: Any, index: int, feature: str, parts: dict[str, dict[str, float]]) -> float:
    """The weight of a feature whose bins have numbers for names."""
    table = model.layout.wide
    assert table is not None
    column = [entry.feature for entry in table.ranges].index(feature)
    local = int(prepared["wide_ids"][index, column]) - table.ranges[column].start
    keys = " x ".join(["education", "native_country"]) if "_x_" in feature else feature
    last = table.ranges[column].rows - 1
    name = f"{feature} missing" if feature == "native_country" and local == last else f"{keys} in bin {local}"
    return parts[feature].get(name, 0.0)


def test_heaviest_first_and_zeros_left_out(wide: Made, weights: pd.DataFrame) -> None:
    model, config, statistics = wide
    strength = weights["weight"].abs()
    assert strength.is_monotonic_decreasing
    assert strength.min() > 0
    everything = wide_weights(model, config.features, statistics, nonzero=False)
    table = model.layout.wide
    assert table is not None
    assert len(everything) == table.rows - 1 + 2
    assert (everything["weight"] != 0).sum() == len(weights) < 0.9 * len(everything)
    np.testing.assert_array_equal(everything["weight"].to_numpy()[: len(weights)], weights["weight"].to_numpy())
    assert everything["name"][everything["feature"] != "wide_cross"].is_unique


def test_collisions_are_named() -> None:
    cross = {"type": "cross", "keys": ["education", "occupation"], "bins": 4}
    few = {**values(), "features": [*FEATURES[3:5], cross]}
    few["model"] = {"heads": ["wide"]}
    model, config, statistics = untrained(few)
    names = named(wide_weights(model, config.features, statistics, nonzero=False), "education_x_occupation")
    assert len(names) == 4
    sizes = [len(statistics.vocabularies[name].values) + 2 for name in ("education", "occupation")]
    assert sum(3 + int(re.findall(r"\| (\d+) more$", name)[0]) for name in names) == sizes[0] * sizes[1]


def test_a_weight_a_class() -> None:
    options = {**values(), "task": "multiclass", "features": FEATURES[:4]}
    options["data"] = {"label": "relationship", "validation_fraction": 0.2}
    model, config, statistics = scattered(options)
    weights = wide_weights(model, config.features, statistics)
    assert [column for column in weights.columns if column.startswith("weight_")] == [
        f"weight_{label}" for label in sorted(frame()["relationship"].unique())
    ]
    heaviest = weights.filter(like="weight_").abs().max(axis=1)
    assert heaviest.is_monotonic_decreasing


def test_no_wide_head() -> None:
    options = values()
    options["model"]["heads"] = ["deep"]
    model, config, statistics = untrained(options)
    with pytest.raises(ValueError, match=r"no wide head"):
        wide_weights(model, config.features, statistics)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.1, "0.1"), (1234567.0, "1234567"), (0.0, "0"), (-2.5, "-2.5"), (1e-7, "1e-07"), (3e20, "3e+20")],
)
def test_boundaries_are_written_shortly(number: float, text: str) -> None:
    assert shortest(number) == text
    assert np.float32(text) == np.float32(number)
