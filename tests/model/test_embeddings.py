"""How embeddings begin, and those that do not learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfwd
from tfwd.config.config import Config
from tfwd.errors import ConfigError
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.optimizers.configured import joint_optimizer
from tfwd.training.fit import fit

WORDS = [f"w{number}" for number in range(200)]


def values(*features: dict[str, Any], **train: Any) -> dict[str, Any]:
    return {
        "data": {"label": "y", "validation_fraction": 0.0},
        "features": list(features),
        "model": {"hidden_units": [4], "heads": ["deep"]},
        "train": {"epochs": 1, "batch_size": 32, "early_stopping": None, "tensorboard": False, **train},
        "export": {"formats": []},
    }


def word(**options: Any) -> dict[str, Any]:
    return {"type": "categorical", "column": "word", "vocabulary": WORDS, "embedding": 16, **options}


def built(given: dict[str, Any]) -> WideDeep:
    config = Config.of(given)
    table = frame()
    source = tfwd.Source.open(table)
    rows = tfwd.Rows(source, tfwd.resolve_schema(config, source))
    statistics = tfwd.analyze(rows, config)
    model = build_model(config, statistics, rows.with_classes(statistics.label.classes).schema)
    model.compile(joint_optimizer(config, 10))
    return model


def frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "word": generator.choice(WORDS[:150], 320),
            "other": generator.choice(WORDS[:150], 320),
            "list": [list(generator.choice(WORDS[:150], 3)) for _ in range(320)],
            "age": generator.integers(0, 99, 320),
            "y": generator.integers(0, 2, 320),
        }
    )


def rows_of(model: WideDeep, feature: str) -> np.ndarray:
    """The rows of a feature's embedding."""
    (table,) = (t for t in model.layout.embeddings if feature in [entry.feature for entry in t.ranges])
    (entry,) = (entry for entry in table.ranges if entry.feature == feature)
    (variable,) = (v for v in model.variables if v.path.endswith(f"{table.name}/table"))
    return variable.numpy()[entry.start : entry.start + entry.rows]


@pytest.mark.parametrize(
    ("options", "stddev", "largest"),
    [
        ({}, 0.25 * 0.88, 0.5),
        ({"embedding_scale": 0.01}, 0.0088, 0.02),
        ({"embedding_initializer": "truncated_normal"}, 0.25 * 0.88, 0.5),
        ({"embedding_initializer": "normal", "embedding_scale": 0.1}, 0.1, 0.45),
        ({"embedding_initializer": "uniform", "embedding_scale": 0.05}, 0.1 / 12**0.5, 0.05),
        ({"embedding_initializer": "uniform"}, 0.5 / 12**0.5, 0.25),
        ({"embedding_initializer": "zeros"}, 0.0, 0.0),
    ],
)
def test_an_embedding_begins_as_its_feature_says(options: dict[str, Any], stddev: float, largest: float) -> None:
    other = word(name="other", column="other")
    model = built(values(word(**options), other))
    found = rows_of(model, "word")
    assert found.std() == pytest.approx(stddev, rel=0.05)
    assert largest * 0.75 <= np.abs(found).max() <= largest
    assert abs(found.mean()) <= 4 * stddev / found.size**0.5
    assert rows_of(model, "other").std() == pytest.approx(0.25 * 0.88, rel=0.05)
    if options and stddev:
        # Of the seed and the feature's name alone, whatever stands beside it.
        np.testing.assert_array_equal(rows_of(built(values(other, word(**options))), "word"), found)
        assert (rows_of(built(values(word(**options), other, seed=1)), "word") != found).mean() > 0.9


def test_the_spread_of_the_model_is_that_of_features_that_name_none() -> None:
    given = values(word(embedding_initializer="uniform"), word(name="other", column="other"))
    given["model"]["embedding_stddev"] = 0.01
    model = built(given)
    assert 0.009 < np.abs(rows_of(model, "word")).max() <= 0.01
    assert rows_of(model, "other").std() == pytest.approx(0.0088, rel=0.05)


FIXED = [
    word(embedding_trainable=False),
    word(name="learned", column="other"),
    {**word(name="list", column="list"), "max_length": 4, "embedding": "word"},
    {**word(name="bag", column="list"), "max_length": 4, "embedding_trainable": False},
    {**word(name="learned_bag", column="list"), "max_length": 4},
    {"type": "bucketized", "column": "age", "quantiles": 5, "embedding": 8, "embedding_trainable": False},
    {"type": "cross", "keys": ["age_buckets", "word"], "bins": 60, "embedding": 16, "embedding_trainable": False},
]
del FIXED[2]["vocabulary"]


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "lazy_adam", "l2_regularization_strength": 0.1, "learning_rate": 0.01},
        pytest.param({"name": "adam", "learning_rate": 0.01, "clipnorm": 0.5}, marks=pytest.mark.long),
    ],
)
def test_rows_that_do_not_learn_stay_as_they_are_to_the_bit(optimizer: dict[str, Any], tmp_path: Path) -> None:
    given = values(*FIXED, deep_optimizer=optimizer)
    before = built(given)
    after = fit(Config.of(given), tmp_path / "run", train=frame()).model
    for name in ("word", "bag", "age_buckets", "age_buckets_x_word"):
        np.testing.assert_array_equal(rows_of(after, name), rows_of(before, name))
    for name in ("learned", "learned_bag"):
        moved = np.abs(rows_of(after, name) - rows_of(before, name)).max(axis=1) > 0
        # Of OOV, missing and 200 words, those that the rows have and whose units are not off.
        assert 100 < moved.sum() <= 150
    # A table of which nothing learns has no slots.
    trained = {variable.path for variable in after.trainable_variables}
    assert "deep/embedding_16/table" in trained
    assert "deep/embedding_8/table" not in trained
    assert not [variable for variable in after.optimizer.variables if "embedding_8" in variable.path]


def test_gradients_are_those_of_the_embedding_that_learns() -> None:
    """The gradient of a table with fixed features has the rows that the others read, and is equal on them."""
    batch = {"word": tf.constant(WORDS[:4]), "other": tf.constant(WORDS[10:14])}
    gradients = []
    for fixed in (True, False):
        model = built(values(word(embedding_trainable=not fixed), word(name="other", column="other")))
        (table,) = (v for v in model.trainable_variables if v.path.endswith("embedding_16/table"))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model.logits(batch)))
        gradients.append(tf.convert_to_tensor(tape.gradient(loss, table.value)).numpy())
    own, both = gradients
    (layout,) = model.layout.embeddings
    (start,) = (entry.start for entry in layout.ranges if entry.feature == "other")
    assert not own[:start].any()
    assert both[:start].any()


def test_a_warm_start_brings_an_embedding_that_is_then_kept(tmp_path: Path) -> None:
    # Of gradients alone, which is traced soonest.
    plain = {"name": "sgd", "learning_rate": 0.1}
    learned = fit(Config.of(values(word(), deep_optimizer=plain)), tmp_path / "first", train=frame())
    kept = values(word(embedding_trainable=False), deep_optimizer=plain)
    second = fit(Config.of(kept), tmp_path / "second", train=frame(), warm_start_from=learned.path)
    np.testing.assert_array_equal(rows_of(second.model, "word"), rows_of(learned.model, "word"))
    again = Config.of(values(word(), deep_optimizer=plain))
    third = fit(again, tmp_path / "third", train=frame(), warm_start_from=second.path)
    moved = np.abs(rows_of(third.model, "word") - rows_of(learned.model, "word")).max(axis=1) > 0
    assert 100 < moved.sum() <= 150


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (word(embedding=None, embedding_trainable=False), "embedding_trainable belongs to a feature with an embedding"),
        (word(embedding=None, embedding_initializer="zeros"), "embedding_initializer belongs to"),
        (
            {"type": "categorical", "column": "o", "embedding": "learned", "embedding_scale": 1},
            "embedding_scale belongs to a feature with an embedding of its own",
        ),
        (word(embedding_initializer="zeros", embedding_scale=0.1), "starts at zeros has no embedding_scale"),
        (word(embedding_initializer="unifrom"), "Did you mean 'uniform'"),
        (word(embedding_scale=0), "embedding_scale: expected more than 0"),
        (word(embedding_scale=1e300), "embedding_scale: expected at most 1000000"),
    ],
)
def test_what_an_embedding_cannot_be_is_refused(feature: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.of(values(feature, word(name="learned", column="other")))


def test_weight_decay_would_move_what_does_not_learn() -> None:
    with pytest.raises(ConfigError, match="those of 'word' too, which has embedding_trainable: false"):
        Config.of(values(word(embedding_trainable=False), deep_optimizer={"name": "adam", "weight_decay": 0.1}))
