"""The study's counts of what was seen, against plain Python, and its tables, without a training."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tfwd
from benchmarks.ablation.seen import by_times_seen, times_seen
from benchmarks.ablation.tables import best_rate
from benchmarks.ablation.variants import BOTH, DEEP, PARTS, STUDIES, optimizer_name, variants
from benchmarks.documents import mean_and_spread
from tfwd.metrics.tasks import binary_metrics
from tfwd.optimizers import SparseFtrl


def rows(frame: pd.DataFrame) -> tfwd.Rows:
    """The frame as rows with one feature and no label."""
    config = tfwd.Config(data=tfwd.DataConfig(label="label"), features=[tfwd.Categorical("user", embedding=2)])
    source = tfwd.Source.open(frame)
    return tfwd.Rows(source, tfwd.resolve_schema(config, source), labelled=False)


def frame(seed: int, count: int) -> pd.DataFrame:
    """Users, lists of what they liked (some empty, some not there) and what they are shown."""
    generator = np.random.default_rng(seed)
    liked: list[Any] = [
        [f"m{film}" for film in generator.integers(0, 6, generator.integers(0, 4))] for _ in range(count)
    ]
    users: list[Any] = [None if user == 3 else f"u{user}" for user in generator.integers(0, 5, count)]
    shown = [f"m{film}" for film in generator.integers(0, 8, count)]
    return pd.DataFrame({"user": users, "liked": liked, "shown": shown, "label": generator.integers(0, 2, count)})


def test_combinations_are_counted_as_in_plain_python() -> None:
    train, test = frame(0, 40), frame(1, 60)
    keys = ["user", "shown"]
    counts = Counter(map(tuple, train[keys].astype(object).where(train[keys].notna(), None).to_numpy()))
    asked = test[keys].astype(object).where(test[keys].notna(), None).to_numpy()
    expected = [counts[tuple(row)] for row in asked]
    assert 0 in expected
    assert times_seen(rows(train), rows(test), tuple(keys)).tolist() == expected


def test_a_list_counts_by_the_mean_of_its_values() -> None:
    train, test = frame(2, 200), frame(3, 80)
    counts = Counter((film, row.shown) for row in train.itertuples() for film in row.liked)
    expected = [np.mean([counts[film, row.shown] for film in row.liked] or [0]) for row in test.itertuples()]
    np.testing.assert_allclose(times_seen(rows(train), rows(test), ("liked", "shown")), expected, rtol=1e-12)


def test_bins_hold_the_metrics_of_their_rows() -> None:
    generator = np.random.default_rng(4)
    times = generator.choice([0.0, 2.0, 7.0], 900, p=[0.4, 0.55, 0.05])
    labels, probabilities = generator.integers(0, 2, 900).astype(float), generator.uniform(0.01, 0.99, 900)
    found = by_times_seen(times, labels, probabilities)
    assert list(found) == ["never", "1 to 4"], "bins of under a hundred rows are left out"
    for name, value in (("never", 0.0), ("1 to 4", 2.0)):
        inside = times == value
        expected = {"rows": inside.sum(), **binary_metrics(labels[inside], probabilities[inside])}
        assert found[name] == pytest.approx(expected)


def test_the_best_rate_is_that_of_the_validation_rows() -> None:
    def figures(validation: float, test: float) -> dict[str, Any]:
        return {"0": {"validation": {"log_loss": validation}, "test": {"log_loss": test}}}

    runs = {
        optimizer_name("wide", "sgd", 0.2): figures(0.4, 0.1),
        optimizer_name("wide", "sgd", 0.8): figures(0.3, 0.2),
    }
    assert best_rate(runs, "wide", "sgd") == 0.8
    assert best_rate(runs, "deep", "sgd") is None
    assert mean_and_spread([0.5, 0.7]) == "0.6000 ± 0.1414"


@pytest.mark.parametrize("study", STUDIES.values(), ids=list(STUDIES))
def test_every_variant_is_a_configuration_of_its_own(study: Any) -> None:
    preset = tfwd.Config.load(study.preset)
    found = {variant.name: variant.of(preset, seed=1) for variant in variants(study, PARTS)}
    own = {config.dump() for config in found.values()}
    assert len(own) >= len(found) - 4, "but the preset's own optimizers and dropout"
    full = len(found[BOTH].features)
    for name, config in found.items():
        assert config.train.seed == 1
        assert not config.train.refit
        assert (len(config.features) < full) == ("without" in name)


def test_without_history_nothing_reads_it() -> None:
    study = STUDIES["movielens"]
    config = tfwd.Config.load(study.preset)
    assert any("liked" in feature.columns for feature in config.features)
    found = {variant.name: variant.of(config, 0) for variant in variants(study, ("history",))}
    assert list(found) == [f"{BOTH}, without history", f"{DEEP}, without history"]
    for changed in found.values():
        left = {feature.name for feature in config.features} - {feature.name for feature in changed.features}
        assert left == {"liked", "liked_x_movie_id"}


@pytest.mark.parametrize("study", STUDIES.values(), ids=list(STUDIES))
def test_optimizers_start_and_are_regularised_as_those_of_the_preset(study: Any) -> None:
    train = tfwd.Config.load(study.preset).train
    wide, deep = train.wide_optimizer.model_dump(), train.deep_optimizer.model_dump()
    assert study.accumulator == wide.get("initial_accumulator_value", SparseFtrl().initial_accumulator_value)
    assert study.l2 == deep.get("l2_regularization_strength", 0.0)
