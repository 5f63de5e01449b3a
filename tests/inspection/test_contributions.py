"""Parts of a logit sum to it, and each is what a definition says that has nothing to do with how it was computed."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bag_cases
import census_cases
import datetime_cases
import numpy as np
import pytest
import small_run_cases

from tfwd.config.config import Config
from tfwd.errors import DataError
from tfwd.features.space import FeatureSpace
from tfwd.inspection.contributions import Contributions, Explainer, text_of_input
from tfwd.inspection.typical_row import typical_row
from tfwd.inspection.wide_weights import wide_weights
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.run import Run
from tfwd.run_folder import background
from tfwd.schema import MISSING_INTEGER, Input, Schema

sys.path.insert(0, str(Path(__file__).parent.parent / "export"))
import export_models


def sums(rows: list[Contributions]) -> np.ndarray:
    return np.stack([row.logit for row in rows])


def heads(row: Contributions, head: str) -> dict[str, np.ndarray]:
    """The contributions of a head by feature."""
    found: dict[str, np.ndarray] = {}
    for term in row.terms:
        if term.head == head:
            found[term.feature] = found.get(term.feature, 0.0) + term.contribution
    return found


@pytest.mark.parametrize(
    ("task", "model_heads", "hashed"),
    [
        ("binary", ("wide", "deep"), True),
        ("binary", ("wide",), False),
        ("multiclass", ("wide", "deep"), False),
        ("regression", ("deep",), False),
    ],
)
def test_parts_sum_to_the_logits(task: str, model_heads: tuple[str, ...], hashed: bool) -> None:
    """Every kind of feature, with unknown and missing values, in every task."""
    model = export_models.everything(task, model_heads, hashed)
    explainer = Explainer(*declared(model, task, model_heads, hashed), export_models.random_rows(7, hashed, seed=2))
    raw = export_models.random_rows(40, hashed, seed=1)
    rows = explainer(raw)
    expected = model.logits(raw).numpy()
    np.testing.assert_allclose(sums(rows), expected, atol=1e-5, rtol=1e-6)
    assert all((row.base == rows[0].base).all() and (row.background == rows[0].background).all() for row in rows)
    assert {term.head for row in rows for term in row.terms} == set(model_heads)
    # However a row came, it is explained alike.
    alone = explainer({name: values[5:6] for name, values in raw.items()})[0]
    assert [(term.head, term.name, term.value) for term in alone.terms] == [
        (term.head, term.name, term.value) for term in rows[5].terms
    ]
    np.testing.assert_allclose(alone.logit, rows[5].logit, atol=1e-6)
    deep, again = heads(alone, "deep"), heads(rows[5], "deep")
    np.testing.assert_allclose([*deep.values()], [*again.values()], atol=1e-5)


def declared(model: WideDeep, task: str, model_heads: tuple[str, ...], hashed: bool) -> tuple[Any, Any, Any]:
    """The model of `export_models.everything` with its features and statistics, which it does not give away."""
    features = [*export_models.FEATURES, *([export_models.HASHED, export_models.HASHED_CROSS] if hashed else [])]
    label = {"column": "label", **({"positive": "yes"} if task == "binary" else {})}
    config = Config.of({"task": task, "data": {"label": label}, "features": features})
    rows = export_models.random_rows(512, hashed)
    from tfwd.analysis.statistics import LabelStatistics

    return model, config.features, export_models._statistics(config, rows, LabelStatistics(0.3))


@pytest.fixture(scope="module")
def bags() -> tuple[WideDeep, Explainer]:
    model = bag_cases.model()
    return model, Explainer(model, bag_cases.CONFIG.features, bag_cases.STATISTICS)


def test_lists_and_their_weights(bags: tuple[WideDeep, Explainer]) -> None:
    """The wide head's terms by plain Python: local ids, weights and combiners as they are defined."""
    model, explainer = bags
    given = bag_cases.rows(25, seed=4, longest=6)
    for row in given:
        # A weight of a million would make logits of ten thousands, which float32 rounds in the third decimal.
        row["shares"] = [0.25 if share > 100 else share for share in row["shares"]]
    raw = bag_cases.arrays(given)
    rows = explainer(raw)
    np.testing.assert_allclose(sums(rows), model.logits(raw).numpy(), atol=1e-5, rtol=1e-6)
    layout, table = model.layout.wide, model.heads.wide.table.table.numpy()
    assert layout is not None
    starts = {entry.feature: entry.start for entry in layout.ranges}
    for row, found in zip(given, rows, strict=True):
        wide = heads(found, "wide")
        for feature in bag_cases.CONFIG.features:
            members = bag_cases.bag(feature, row)
            combiner = getattr(feature, "wide_combiner", "sum")
            counted = getattr(feature, "max_length", None) or feature.name in ("genres_x_movie", "city")
            total = sum(table[starts[feature.name] + index, 0] * weight for index, weight in members)
            if counted and combiner == "mean":
                total /= sum(weight for _, weight in members) or 1.0
            elif counted and combiner == "sqrtn":
                total /= math.sqrt(sum(weight**2 for _, weight in members)) or 1.0
            assert float(wide.get(feature.name, np.zeros(1))[0]) == pytest.approx(total, abs=1e-6), feature.name
        names = [(term.feature, term.name) for term in found.terms if term.head == "wide"]
        assert len(set(names)) == len(names)


def test_names_are_those_of_the_weights(bags: tuple[WideDeep, Explainer]) -> None:
    model, explainer = bags
    weights = wide_weights(model, bag_cases.CONFIG.features, bag_cases.STATISTICS).set_index(["feature", "name"])
    singles = {"movie", "age_buckets"}
    raw = bag_cases.arrays(bag_cases.rows(20, longest=3))
    found = [term for row in explainer(raw) for term in row.terms if term.head == "wide"]
    for term in found:
        if term.feature in singles:
            assert float(term.contribution[0]) == pytest.approx(weights["weight"][term.feature, term.name], abs=1e-7)
    assert singles <= {term.feature for term in found}


def test_moments_and_counts() -> None:
    run = datetime_cases.trained()
    raw = run.sample(30)
    assert raw is not None
    rows = run.explainer(raw)
    np.testing.assert_allclose(sums(rows), run.model.logits(raw).numpy(), atol=1e-5)
    features = {term.feature for term in rows[0].terms if term.head == "deep"}
    assert {"pickup_weekday", "pickup_age_in_days", "pickup_hour_sin", "booked_weekend", "city"} <= features
    moment = int(raw["pickup"][0])
    shown = {term.value for term in rows[0].terms if term.feature == "pickup_hour"}
    expected = "missing" if moment == MISSING_INTEGER else str(np.datetime64(moment, "s")).replace("T", " ")
    assert {value + ":00" if value.count(":") == 1 else value for value in shown} == {expected}


NUMBERS = ("a", "b", "c", "d")


def tower_of_numbers(names: tuple[str, ...], activation: str) -> tuple[WideDeep, Config, Any]:
    """A deep head on plain numbers, with random weights."""
    from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, NumericStatistics

    features = [{"type": "numeric", "column": name, "normalization": "none", "clip": False} for name in names]
    model_section = {"heads": ["deep"], "hidden_units": [16, 8], "activation": activation}
    config = Config.of({"data": {"label": "y"}, "features": features, "model": model_section})
    one = NumericStatistics(10, 0, -1.0, 1.0, 0.0, 1.0, 0.0)
    statistics = FeatureStatistics(10, LabelStatistics(0.5), {}, dict.fromkeys(names, one))
    schema = Schema(tuple(Input(name, name, "float") for name in names), "binary", "y", ("0", "1"))
    model = build_model(config, statistics, schema)
    generator = np.random.default_rng(3)
    for variable in model.ranker.trainable_variables:
        variable.assign(generator.normal(scale=0.7, size=variable.shape))
    return model, config, statistics


def by_coalitions(model: WideDeep, row: Mapping[str, float], others: list[Mapping[str, float]]) -> dict[str, float]:
    """Shapley values by their definition: every coalition, every background row, through the model's raw inputs."""
    names, found = list(row), dict.fromkeys(row, 0.0)
    coalitions = [frozenset(c) for size in range(len(names) + 1) for c in itertools.combinations(names, size)]
    mixed = [
        {name: row[name] if name in members else other[name] for name in names}
        for other in others
        for members in coalitions
    ]
    batch = {name: np.array([one[name] for one in mixed], np.float32) for name in names}
    for values in model.logits(batch).numpy().reshape(len(others), len(coalitions)).tolist():
        value = dict(zip(coalitions, values, strict=True))
        for name in names:
            for members in coalitions:
                if name not in members:
                    size = len(members)
                    weight = math.factorial(size) * math.factorial(len(names) - size - 1) / math.factorial(len(names))
                    found[name] += weight * (value[frozenset({*members, name})] - value[frozenset(members)])
    return {name: total / len(others) for name, total in found.items()}


@pytest.mark.parametrize(
    ("names", "activation", "tolerance"),
    [
        (NUMBERS[:1], "relu", 1e-5),
        # Of two features, an order and its reverse are all orders.
        (NUMBERS[:2], "relu", 1e-5),
        (NUMBERS, "linear", 1e-5),
        (NUMBERS, "relu", 0.05),
    ],
)
def test_shares_are_shapley_values(names: tuple[str, ...], activation: str, tolerance: float) -> None:
    model, config, statistics = tower_of_numbers(names, activation)
    generator = np.random.default_rng(1)
    drawn = {name: generator.normal(size=43).astype(np.float32) for name in names}
    background = {name: values[:40] for name, values in drawn.items()}
    explainer = Explainer(model, config.features, statistics, background)
    rows = explainer({name: values[40:] for name, values in drawn.items()})
    others = [{name: float(values[at]) for name, values in drawn.items()} for at in range(40)]
    spread = float(np.std([row.logit for row in rows])) + 1.0
    for at, row in enumerate(rows):
        expected = by_coalitions(model, {name: float(values[40 + at]) for name, values in drawn.items()}, others)
        for name, share in heads(row, "deep").items():
            assert float(share[0]) == pytest.approx(expected[name], abs=tolerance * spread)


def test_a_row_as_the_background_has_no_shares() -> None:
    model, config, statistics = tower_of_numbers(NUMBERS, "relu")
    row = {name: np.array([0.3], np.float32) for name in NUMBERS}
    (found,) = Explainer(model, config.features, statistics, row)({**row, "b": np.array([9.0], np.float32)})
    shares = {name: float(share[0]) for name, share in heads(found, "deep").items()}
    assert shares["b"] == pytest.approx(float(found.logit[0] - found.base[0] - found.background[0]), abs=1e-5)
    assert all(shares[name] == pytest.approx(0.0, abs=1e-5) for name in ("a", "c", "d"))


def test_counts_are_explained_by_their_logarithm() -> None:
    from tfwd.analysis.statistics import LabelStatistics

    _, config, statistics = tower_of_numbers(NUMBERS, "relu")
    schema = Schema(tuple(Input(name, name, "float") for name in NUMBERS), "regression", "y", counts=True)
    statistics = dataclasses.replace(statistics, label=LabelStatistics(3.0))
    model = build_model(config, statistics, schema)
    raw = {name: np.linspace(-2.0, 2.0, 5, dtype=np.float32) for name in NUMBERS}
    rows = Explainer(model, config.features, statistics)(raw)
    assert rows[0].base == pytest.approx(math.log(3.0), abs=1e-6)
    np.testing.assert_allclose(np.exp(sums(rows)), model.predict(raw, verbose=0), rtol=1e-5)


def test_a_typical_row_has_the_most_frequent_values() -> None:
    run = small_run_cases.trained()
    space = FeatureSpace(run.config.features, run.statistics)
    row = typical_row(run.model.schema, space)
    train = run.statistics
    for name in ("education", "occupation"):
        vocabulary = train.vocabularies[name]
        assert row[name] == [max(zip(vocabulary.counts, vocabulary.values, strict=True))[1]]
    assert row["age"] == [train.numerics["age"].median]
    np.testing.assert_allclose(
        sums(Explainer(run.model, run.config.features, run.statistics)(row)), run.model.logits(row).numpy(), atol=1e-5
    )


def test_a_typical_moment_is_one_that_the_training_saw() -> None:
    run = datetime_cases.trained()
    row = typical_row(run.model.schema, FeatureSpace(run.config.features, run.statistics))
    years = {int(year) for year in run.statistics.vocabularies["pickup_year"].values}
    pickup, booked = (row[entry.name][0] for entry in run.model.schema.inputs if entry.moment is not None)
    assert int(str(np.datetime64(pickup, "s"))[:4]) in years
    assert 0 <= pickup - booked <= 20 * 86_400


def test_typical_lists_and_what_nothing_was_learned_of(bags: tuple[WideDeep, Explainer]) -> None:
    row = typical_row(bag_cases.SCHEMA, FeatureSpace(bag_cases.CONFIG.features, bag_cases.STATISTICS))
    assert row["liked"] == [["Heat"]]
    assert row["genres"] == [["Crime"]]
    assert (row["shares"], row["store"]) == ([[]], [[]])
    assert math.isnan(row["trust"][0])


def test_a_run_explains_files_and_frames() -> None:
    run = small_run_cases.trained()
    table = census_cases.frame("test", 700).head(40).drop(columns="income")
    rows = run.contributions(table)
    predicted = run.predict(table)
    assert len(rows) == 40
    probability = 1 / (1 + np.exp(-sums(rows)[:, 0]))
    np.testing.assert_allclose(probability, predicted["probability"], atol=1e-6)
    assert run.explainer({name: [] for name in (entry.name for entry in run.model.schema.inputs)}) == []
    with pytest.raises(DataError, match="'age'"):
        run.contributions(table.drop(columns="age"))


def test_a_run_compares_with_the_same_rows_wherever_it_is(tmp_path: Path) -> None:
    path = small_run_cases.copy_of_trained(tmp_path / "run")
    row = census_cases.frame("test", 700).head(1)
    (there,) = small_run_cases.trained().contributions(row)
    config = path / "config.yaml"
    config.write_text(re.sub(r"\w+\.csv", "gone.csv", config.read_text(encoding="utf-8")), encoding="utf-8")
    run = Run.open(path)
    assert run.drawn(1) is None
    (moved,) = run.contributions(row)
    assert there.background_rows == moved.background_rows == 64
    np.testing.assert_array_equal(moved.background, there.background)
    np.testing.assert_array_equal(moved.terms[-1].contribution, there.terms[-1].contribution)
    (path / background.FILE).unlink()
    (typical,) = Run.open(path).contributions(row)
    assert typical.background_rows == 0
    assert abs(typical.background - there.background).max() > 0.01
    np.testing.assert_allclose(typical.logit, there.logit, atol=1e-5)


@pytest.mark.parametrize(
    ("entry", "value", "text"),
    [
        (Input("a", "a", "float"), np.float32(0.1), "0.1"),
        (Input("a", "a", "float"), np.float32(np.nan), "missing"),
        (Input("a", "a", "integer"), np.int64(7), "7"),
        (Input("a", "a", "integer", moment=""), np.int64(0), "1970-01-01"),
        (Input("a", "a", "integer", moment=""), np.int64(3600 * 5 + 61), "1970-01-01 05:01:01"),
        (Input("a", "a", "integer", moment=""), np.int64(2**60), str(2**60)),
        (Input("a", "a", "string", 9), np.array(["x", "", "y"], object), "x, y"),
        (Input("a", "a", "string", 9), np.array(list("abcdefg"), object), "2 more, c, d, e, f, g"),
        (Input("a", "a", "string", 9), np.array(["", ""], object), "none"),
        (Input("a", "a", "float", 2, fixed=True), np.array([1.5, np.nan], np.float32), "1.5, missing"),
    ],
)
def test_values_as_text(entry: Input, value: Any, text: str) -> None:
    assert text_of_input(entry, value) == text
