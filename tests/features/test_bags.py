"""Multivalent, weighted and shared features and their crosses, against plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from bag_cases import BY_NAME, CONFIG, LAYOUT, LONGEST, SCHEMA, STATISTICS, Row, bag, model, rows, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwd.config.config import Config
from tfwd.errors import ConfigError
from tfwd.features.layout import Slot, weights_name
from tfwd.features.space import FeatureSpace
from tfwd.features.transform import build_transform

TRANSFORM = build_transform(FeatureSpace(CONFIG.features, STATISTICS), SCHEMA, LAYOUT)


def pairs_of(found: dict[str, Any], name: str, slots: tuple[Slot, ...]) -> list[list[list[tuple[int, float]]]]:
    """The local ids with weights of every slot, by row, sorted: the order within a bag has no meaning."""
    ids = found[name].numpy()
    single = sum(not slot.bag for slot in slots)
    weights = np.ones(ids.shape, np.float32)
    if weights_name(name) in found:
        weights[:, single:] = found[weights_name(name)].numpy()
    made = []
    start = 0
    for slot in slots:
        part = range(start, start + slot.width)
        start += slot.width
        made.append(
            [
                sorted(
                    (int(ids[row, c]) - slot.start, float(weights[row, c])) for c in part if ids[row, c] or not slot.bag
                )
                for row in range(len(ids))
            ]
        )
    return made


def check(given_rows: list[Row]) -> None:
    found = TRANSFORM(tensors(given_rows))
    for name, slots in LAYOUT.matrices.items():
        for slot, pairs in zip(slots, pairs_of(found, name, slots), strict=True):
            for row, received in zip(given_rows, pairs, strict=True):
                expected = sorted(bag(BY_NAME[slot.feature], row))
                if not slot.weighted:
                    expected = [(index, 1.0) for index, _ in expected]
                assert received == expected, (name, slot.feature, row)


@pytest.mark.parametrize("longest", [0, 1, 3, 30, LONGEST, LONGEST + 50])
def test_ids_and_weights_equal_plain_python(longest: int) -> None:
    check(rows(40 if longest < 30 else 12, seed=longest, longest=longest))


MOVIE = st.sampled_from(["Heat", "Toy Story", "電車男", "", "unseen", "line\nbreak"])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(MOVIE, max_size=6), min_size=1, max_size=4), st.lists(MOVIE, max_size=5))
def test_any_lists(liked: list[list[str]], genres: list[str]) -> None:
    base = rows(len(liked), seed=3, longest=2)
    check(
        [
            {**row, "liked": one, "genres": genres, "shares": [0.25] * len(genres)}
            for row, one in zip(base, liked, strict=True)
        ]
    )


def test_padding_anywhere_adds_nothing() -> None:
    trained, (row,) = model(), rows(1, seed=9, longest=20)
    gaps = {**row, "liked": [word for value in row["liked"] for word in ("", value, "")]}
    np.testing.assert_allclose(trained(tensors([row])), trained(tensors([gaps])), atol=1e-7)


def test_shared_features_read_the_rows_of_their_owner() -> None:
    table = next(table for table in LAYOUT.tables if table.name == "embedding_8")
    assert [entry.feature for entry in table.ranges] == ["movie", "city", "age_buckets", "liked_x_movie"]
    starts = {slot.feature: slot.start for slot in table.slots}
    assert starts["movie"] == starts["liked"] == starts["last"] == 1
    # In the wide head every feature has weights of its own.
    wide = {entry.feature for entry in LAYOUT.wide.ranges}
    assert {"movie", "liked", "last"} <= wide


def test_the_padding_row_is_not_trained_and_stays_zero() -> None:
    trained = model()
    given_rows = rows(64, seed=4, longest=10)
    labels = np.random.default_rng(0).integers(0, 2, (64, 1)).astype(np.float32)
    trained.optimizer.build(trained.trainable_variables)
    before = [variable.numpy() for variable in trained.ranker.trainable_variables if "table" in variable.path]
    for _ in range(2):
        trained.train_step((tensors(given_rows), tf.constant(labels)))
    after = [variable.numpy() for variable in trained.ranker.trainable_variables if "table" in variable.path]
    for old, new in zip(before, after, strict=True):
        assert not new[0].any()
        assert (old != new).any()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([{"column": "a", "embedding": "b"}], "expected a width, auto or a categorical feature"),
        ([{"column": "a", "embedding": 4}, {"column": "b", "embedding": "aa"}], "Did you mean 'a'"),
        ([{"column": "a"}, {"column": "b", "embedding": "a"}], "shares the embedding of 'a', which has none"),
        ([{"column": "a", "embedding": "a"}], "expected a width"),
        (
            [{"column": "a", "embedding": 4}, {"column": "b", "embedding": "a"}, {"column": "c", "embedding": "b"}],
            "which itself has the vocabulary of 'a'",
        ),
        ([{"column": "a", "delimiter": "|"}], "give max_length"),
        ([{"column": "a", "vocabulary_of": "b", "hash_bins": 4}], "at most one of"),
        ([{"column": "a"}, {"column": "b", "vocabulary_of": "a", "min_count": 2}], "of its own"),
        ([{"column": "a", "max_length": 0}], "max_length"),
        ([{"column": "a", "combiner": "max"}], "combiner"),
    ],
)
def test_what_cannot_be_shared_is_refused(features: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.of({"data": {"label": "y"}, "features": [{"type": "categorical", **f} for f in features]})


def test_a_cross_of_too_many_combinations_is_refused() -> None:
    features = [{"type": "categorical", "column": name, "max_length": 200} for name in "ab"]
    features.append({"type": "cross", "keys": ["a", "b"], "bins": 9})
    with pytest.raises(ConfigError, match="up to 40,000 combinations"):
        Config.of({"data": {"label": "y"}, "features": features})


def test_an_empty_list_leaves_what_the_model_knows_without_it() -> None:
    trained, (row,) = model(), rows(1, seed=2)
    (found,) = trained.logits(tensors([{**row, "genres": [], "shares": []}])).numpy()[0]
    assert math.isfinite(found)
