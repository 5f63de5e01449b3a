"""Going on from a run whose features, tower, optimizers or classes were others: what can be carried over is."""

from __future__ import annotations

from typing import Any

import datetime_cases
import numpy as np
import pytest
import tensorflow as tf
from warm_start_cases import SMALL, begun, scores, small, small_frame, small_run

from tfwd.config.config import Config
from tfwd.errors import DataError, RunError
from tfwd.run import Run
from tfwd.training.warm_start.carry import check_labels


def known_rows(origin: Run, values: tuple[str, ...]) -> Any:
    """Rows of which both vocabularies know all values."""
    table, known = small_frame("new"), set(origin.statistics.vocabularies["item"].values) & set(values)
    return table[table["item"].isin(known)]


def test_a_feature_that_comes_or_goes_does_not_spoil_the_others() -> None:
    """The one that comes says nothing, as the one that went did: the scores stay, wherever the others stand."""
    origin = small_run()
    silent = {"type": "numeric", "column": "constant"}
    bag = {"type": "categorical", "column": "liked", "max_length": 3, "embedding": 4, "name": "bag"}
    model, statistics, report = begun(small([silent, *reversed(SMALL[:3]), SMALL[3]]), small_frame("new"), origin)
    rows = known_rows(origin, statistics.vocabularies["item"].values)
    assert len(rows) > 500
    np.testing.assert_allclose(scores(model, rows), scores(origin.model, rows), rtol=0, atol=1e-5)
    assert report.numbers["deep"] == {"carried": 1, "new": 1, "gone": 0}
    # In the table of the same width, before and behind the other.
    model, _, report = begun(small([bag, *SMALL]), small_frame("new"), origin)
    kernel, before = (m.ranker.get_layer("deep").tower.layers[0].kernel.numpy() for m in (model, origin.model))
    # Single values stand before bags: the item's embedding, the bag's, the cities, the price.
    np.testing.assert_array_equal(kernel[:4], before[:4])
    np.testing.assert_array_equal(kernel[-1], before[-1])
    assert not np.isin(kernel[4:8], before).any()
    assert report.tables["embedding_4"]["bag"]["why"] == "a new feature"
    assert report.tables["embedding_4"]["bag"]["carried"] == 0


def test_what_cannot_be_carried_is_fresh_and_said() -> None:
    changed = [
        {**SMALL[0], "normalization": "minmax"},
        {**SMALL[1], "embedding": 8},
        {**SMALL[2], "hash_bins": 7},
        {**SMALL[3], "bins": 50},
    ]
    values = small(changed)
    values["model"] = {"hidden_units": [6, 4]}
    origin = small_run()
    model, _, report = begun(values, small_frame("new"), origin)
    why = {feature: entry.get("why") for table in report.tables.values() for feature, entry in table.items()}
    assert why == {
        "item": "had the width 4, has 8",
        "city": "was a vocabulary, is hashed",
        "item_x_city": "had bins: 100, has 50",
    }
    assert report.tables["wide"]["item"]["carried"] > 50, "the wide head's items have no width"
    assert report.numbers == {
        "wide": {"carried": 0, "new": 1, "gone": 1},
        "deep": {"carried": 0, "new": 1, "gone": 1},
    }
    carried = {entry["layer"]: entry["carried"] for entry in report.tower}
    assert carried == {
        "tower/dense_0/kernel": "no",
        "tower/dense_0/bias": "no",
        "tower/dense_1/kernel": "no",
        "tower/dense_1/bias": "yes",
        "logits/kernel": "yes",
    }
    head, before = (m.ranker.get_layer("deep") for m in (model, origin.model))
    np.testing.assert_array_equal(head.logits.kernel.numpy(), before.logits.kernel.numpy())
    shown = "\n".join(report.lines())
    for text in ("had the width 4, has 8", "tower/dense_1/kernel (had the shape (8, 4), has (6, 4))"):
        assert text in shown


def test_a_part_of_a_datetime_becomes_a_category_and_its_columns_get_other_names() -> None:
    origin, table = datetime_cases.trained(), datetime_cases.frame(2021, 2023)
    table = table.rename(columns={"pickup": "from", "booked on": "made on"})
    table["weekday"] = table["from"].dt.weekday.fillna(0).astype(int) + 1
    pickup, booked, city, cross = datetime_cases.FEATURES
    values = datetime_cases.values("")
    values["features"] = [
        {**pickup, "column": "from", "name": "pickup", "parts": ["year", "hour"]},
        {"type": "categorical", "column": "weekday", "name": "pickup_weekday", "embedding": 2},
        {**booked, "column": "made on", "age_in_days": "from"},
        city,
        cross,
    ]
    _, statistics, report = begun(values, table, origin)
    assert report.tables["wide"]["pickup_weekday"]["why"] == "was a part of a datetime, is categorical"
    why = "pickup_weekday: was a part of a datetime, is categorical"
    assert report.tables["wide"]["pickup_weekday_x_city"]["why"] == why
    assert report.tables["wide"]["pickup_hour"] == {"carried": 26, "new": 0, "gone": 0}
    numbers = len(origin.model.layout.numeric)
    assert report.numbers["deep"] == {"carried": numbers, "new": 0, "gone": 0}
    for age in ("pickup_age_in_days", "booked_age_in_days"):
        assert statistics.numerics[age] == origin.statistics.numerics[age]


def wide_step(model: Any) -> np.ndarray:
    """The wide weights after a step whose gradient is nothing."""
    variable = model.ranker.get_layer("wide").table.table
    rows = tf.range(1, variable.shape[0])
    nothing = tf.IndexedSlices(tf.zeros((variable.shape[0] - 1, 1)), rows, tf.constant(variable.shape))
    zeros = [nothing if v is variable else tf.zeros(v.shape) for v in model.optimizer.wide._trainable_variables]
    model.optimizer.wide.apply(zeros, model.optimizer.wide._trainable_variables)
    return variable.numpy()


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "sparse_ftrl", "learning_rate": 0.02, "l1_regularization_strength": 0.0001},
        {"name": "sparse_ftrl", "learning_rate": 0.1, "l2_regularization_strength": 0.1, "beta": 0.5},
        {"name": "ftrl", "learning_rate": 0.1, "l1_regularization_strength": 0.0001},
    ],
)
def test_ftrl_of_other_rates_remembers_its_weights(optimizer: dict[str, Any]) -> None:
    model, _, report = begun(small(wide_optimizer=optimizer), small_frame("new"), small_run())
    before = model.ranker.get_layer("wide").table.table.numpy()
    assert (before != 0).sum() > 50
    np.testing.assert_allclose(wide_step(model), before, rtol=1e-4, atol=1e-7)
    assert report.optimizers["wide"]["carried"] == "yes"


def test_another_method_begins_anew_and_ftrl_keeps_the_weights_it_finds() -> None:
    changed = {"wide_optimizer": "adagrad", "deep_optimizer": "sparse_ftrl"}
    origin = small_run()
    model, _, report = begun(small(**changed), small_frame("new"), origin)
    assert report.optimizers["deep"] == {"carried": "no", "why": "was Adam, is Ftrl", "steps": 0}
    assert report.optimizers["wide"]["why"] == "was Ftrl, is Adagrad"
    assert (model.optimizer.wide._accumulators[0].numpy() == np.float32(0.1)).all()
    head = model.ranker.get_layer("deep")
    before = head.tower.layers[0].kernel.numpy()
    variables = model.optimizer.deep._trainable_variables
    model.optimizer.deep.apply([tf.zeros(variable.shape) for variable in variables], variables)
    old = origin.model.ranker.get_layer("deep").tower.layers[0].kernel.numpy()
    kept = np.isin(before, old)
    assert kept.mean() > 0.5
    np.testing.assert_allclose(head.tower.layers[0].kernel.numpy()[kept], before[kept], rtol=1e-4)


def test_with_a_schedule_the_steps_are_counted_anew() -> None:
    schedule = {"name": "lazy_adam", "learning_rate": {"schedule": "cosine", "start": 0.01}}
    model, _, report = begun(small(deep_optimizer=schedule), small_frame("new"), small_run())
    assert int(model.optimizer.deep.iterations) == 0
    assert "schedule" in report.optimizers["deep"]["why"]
    assert np.abs(model.optimizer.deep._momentums[0].numpy()).max() > 0
    model, _, _ = begun(small(), small_frame("new"), small_run())
    assert int(model.optimizer.deep.iterations) == int(small_run().model.optimizer.deep.iterations) > 0
    assert int(model.optimizer.iterations) == 0, "the run's own steps"


def test_classes_are_carried_by_name() -> None:
    origin = small_run("multiclass")
    values = small(SMALL[:2]) | {"task": "multiclass", "data": {"label": "grade", "validation_fraction": 0.2}}
    table = small_frame("new")
    table["grade"] = table["grade"].map({"a": "a", "b": "aa", "c": "c"})
    model, statistics, report = begun(values, table, origin)
    assert origin.statistics.label.classes == ("a", "b", "c")
    assert statistics.label.classes == ("a", "aa", "c")
    assert report.classes == {"carried": 2, "new": 1, "gone": 1}
    rows = known_rows(origin, statistics.vocabularies["item"].values)
    mine, theirs = scores(model, rows), scores(origin.model, rows)
    np.testing.assert_allclose(mine[:, [0, 2]], theirs[:, [0, 2]], rtol=0, atol=1e-5)
    assert np.abs(theirs[:, 0] - theirs[:, 2]).std() > 0.1
    values["train"]["warm_start_vocabulary"] = "grow"
    model, statistics, report = begun(values, table, origin)
    assert statistics.label.classes == ("a", "aa", "b", "c")
    np.testing.assert_allclose(scores(model, rows)[:, [0, 2, 3]], theirs, rtol=0, atol=1e-5)


def test_a_head_more_or_less() -> None:
    values = small()
    values["model"]["heads"] = ["deep"]
    origin = small_run()
    model, _, report = begun(values, small_frame("new"), origin)
    assert "wide" not in report.optimizers
    heads = [m.ranker.get_layer("deep") for m in (model, origin.model)]
    np.testing.assert_array_equal(*(head.tower.get_layer("dense_1").kernel.numpy() for head in heads))
    values["model"]["heads"] = ["wide"]
    model, _, report = begun(values, small_frame("new"), origin)
    bias = heads[1].logits.bias.numpy()
    np.testing.assert_array_equal(model.ranker.get_layer("wide").bias.numpy(), bias)
    assert bias != 0


def test_a_vocabulary_may_grow() -> None:
    origin = small_run()
    changed = small([SMALL[0], {**SMALL[1], "max_size": 60}, *SMALL[2:]], warm_start_vocabulary="grow")
    table = small_frame("new")
    _, new, _ = begun(small(), table, origin)
    _, grown, report = begun(small(warm_start_vocabulary="grow"), table, origin)
    before, now = (
        dict(zip(s.vocabularies["item"].values, s.vocabularies["item"].counts, strict=True))
        for s in (origin.statistics, new)
    )
    together = {value: before.get(value, 0) + now.get(value, 0) for value in {*before, *now}}
    found = grown.vocabularies["item"]
    assert dict(zip(found.values, found.counts, strict=True)) == together
    assert list(found.counts) == sorted(found.counts, reverse=True)
    assert report.tables["wide"]["item"] == {"carried": len(before) + 2, "new": len(together) - len(before), "gone": 0}
    _, fewer, _ = begun(changed, table, origin)
    kept = fewer.vocabularies["item"]
    assert kept.values == found.values[:60]
    assert kept.unlisted == sum(together.values()) - sum(kept.counts)
    ranked = sorted(together, key=lambda value: (-together[value], value))
    assert list(found.values) == ranked


def test_a_vocabulary_that_grows_need_not_find_anything() -> None:
    origin, table = small_run(), small_frame("new")
    rare = [SMALL[0], {**SMALL[1], "min_count": 10_000}, *SMALL[2:]]
    _, grown, _ = begun(small(rare, warm_start_vocabulary="grow"), table, origin)
    assert grown.vocabularies["item"].values == origin.statistics.vocabularies["item"].values
    with pytest.raises(DataError, match="no value of 'item' occurs min_count = 10000 times"):
        begun(small(rare), table, origin)


def test_automatic_widths_stay() -> None:
    """More values would ask for a wider embedding, of which nothing could be carried."""
    automatic = [SMALL[0], {**SMALL[1], "embedding": "auto"}, *SMALL[2:]]
    model, _, report = begun(small(automatic), small_frame("new"), small_run())
    assert [table.dim for table in model.layout.embeddings] == [4]
    assert report.tables["embedding_4"]["item"]["carried"] > 50


def test_a_positive_class_that_was_the_negative_one_is_refused() -> None:
    origin = small_run()
    check_labels(("0", "1"), origin)
    check_labels(("no", "yes"), origin)
    with pytest.raises(RunError, match="positive class is '1', and here it is '0'"):
        check_labels(("1", "0"), origin)


def test_the_configuration_of_a_warm_start_reads_back() -> None:
    values = small(warm_start_from="/runs/yesterday")
    assert Config.of(values).train.warm_start_from == "/runs/yesterday"
    assert not Config.of(values).grows_vocabularies()
    values["data"] |= {"time": "hour", "since": 3}
    assert Config.of(values).grows_vocabularies()
