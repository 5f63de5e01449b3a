"""Lists are those that scoring every pair with the plain model and sorting gives, whatever the features and heads."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import ranking_cases as cases
import tensorflow as tf

from tfwd.analysis.analyze import analyze
from tfwd.config.config import Config
from tfwd.config.ranking import RankingConfig, sides
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import ConfigError
from tfwd.features.raw_tensors import tensors
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend import top_k as lists_module
from tfwd.recommend.catalogue import read_catalogue
from tfwd.recommend.top_k import ListMaker
from tfwd.training.splits import open_splits

HARD: list[dict[str, Any]] = [
    {
        "type": "categorical",
        "column": "movie_id",
        "hash_bins": 50,
        "embedding": 4,
        "name": "hashed",
        "embedding_trainable": False,
    },
    {"type": "categorical", "column": "liked", "max_length": 5, "hash_bins": 40, "name": "hashed_liked"},
    {"type": "categorical", "column": "liked", "max_length": 4, "embedding": 4, "combiner": "sqrtn"},
    {
        "type": "categorical",
        "column": "genres",
        "max_length": 3,
        "delimiter": "|",
        "one_hot": True,
        "wide_combiner": "mean",
    },
    {"type": "categorical", "column": "city", "weights": "age", "embedding": 4},
    {"type": "categorical", "column": "user_id", "one_hot": True},
    {"type": "numeric", "column": "year", "wide": True, "normalization": ["zscore", "quantile"]},
    {"type": "bucketized", "column": "year", "quantiles": 4},
    {"type": "cross", "keys": ["hashed_liked", "hashed"], "bins": 512, "embedding": 4, "wide_combiner": "mean"},
    {
        "type": "cross",
        "keys": ["genres", "liked"],
        "bins": 999,
        "embedding": 4,
        "combiner": "mean",
        "wide_combiner": "sqrtn",
    },
    {
        "type": "cross",
        "keys": ["liked", "genres", "city"],
        "bins": 700,
        "embedding": 4,
        "combiner": "sqrtn",
        "embedding_trainable": False,
    },
    {"type": "cross", "keys": ["city", "year_buckets"], "bins": "exact", "one_hot": True, "embedding": 4},
    {"type": "cross", "keys": ["genres", "city"], "bins": "exact", "one_hot": True},
    {"type": "cross", "keys": ["year_buckets", "genres"], "bins": 64, "wide_combiner": "mean"},
    {"type": "cross", "keys": ["liked", "genres"], "bins": "exact", "wide_combiner": "mean"},
]
"""Hashed keys, weights, every combiner, crosses over both sides in each head and as one-hot."""
DATES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "movie_id", "embedding": 4},
    {"type": "datetime", "column": "year", "parts": ["minute"], "age_in_days": "2024-06-30", "embedding": 4},
    {"type": "datetime", "column": "age", "parts": ["minute", "weekday"], "cyclic": ["hour"], "one_hot": True},
    {"type": "categorical", "column": "city"},
    {"type": "categorical", "column": "genres", "max_length": 3, "delimiter": "|"},
    {"type": "cross", "keys": ["year_minute", "age_minute", "city"], "bins": 300, "embedding": 4},
    {"type": "cross", "keys": ["year_minute", "age_minute"], "bins": "exact"},
]
"""Moments of either side, as the numbers of years and ages are seconds too."""


def built(
    features: list[dict[str, Any]] = cases.FEATURES,
    tower: keras.layers.Layer | None = None,
    regression: bool = False,
    **model: Any,
) -> tuple[WideDeep, Config]:
    """An untrained model with other weights than zero."""
    values = cases.values()
    values |= {"features": features, "model": {"hidden_units": [12, 6], **model}}
    values |= {"task": "regression"} if regression else {}
    config = Config.of(values)
    parts = open_splits(config, train=cases.events())
    statistics = analyze(parts.fit, config)
    schema = parts.with_classes(statistics.label.classes).schema
    made = build_model(config, statistics, schema, tower)
    generator = np.random.default_rng(0)
    for variable in made.trainable_variables:
        values = generator.normal(0, 0.3, variable.shape).astype(np.float32)
        if variable.path.endswith("table"):
            values[0] = 0
        variable.assign(values)
    return made, config


def maker(model: WideDeep, config: Config, items: pd.DataFrame | None = None) -> ListMaker:
    assert config.ranking is not None
    found = read_catalogue(Source.open(cases.items() if items is None else items), model.schema, config.ranking)
    return ListMaker(model, config.features, config.ranking, found)


def requests(lists: ListMaker, model: WideDeep, users: pd.DataFrame) -> dict[str, tf.Tensor]:
    schema = dataclasses.replace(model.schema, inputs=lists.scorer.user_inputs)
    return tensors(next(Rows(Source.open(users), schema, labelled=False).batches(1000)).inputs)


def strange_users() -> pd.DataFrame:
    """Some of the users, and some that nobody has seen, with nothing liked, too much, and gaps."""
    odd = cases.users().head(5)
    odd["user_id"] = ["new", None, "", "7", "8"]
    odd["city"] = ["Nowhere", None, "Elsewhere", "", "Drama Town"]
    odd["age"] = [None, 1000, -5, 30, 50]
    odd["liked"] = [[], None, ["never seen"] * 3, [f"m{n}" for n in range(40)], ["m1", None, "", "m2"]]
    return pd.concat([cases.users().head(2), odd], ignore_index=True)


def every_score(model: WideDeep, lists: ListMaker, raw: dict[str, tf.Tensor]) -> np.ndarray:
    """The plain model's logits of all pairs, `(users, items)`."""
    items, count = tensors(lists.catalogue.inputs), len(lists.catalogue)
    users = {name: tf.repeat(values, count, axis=0) for name, values in raw.items()}
    number = len(next(iter(raw.values())))
    catalogues = {name: tf.concat([values] * number, axis=0) for name, values in items.items()}
    return model.logits({**users, **catalogues}).numpy().reshape(number, count)


def own_tower() -> keras.layers.Layer:
    """A tower whose first layer is not a sum."""
    return keras.Sequential([keras.layers.LayerNormalization(), keras.layers.Dense(6, activation="tanh")])


def check(model: WideDeep, lists: ListMaker, raw: dict[str, tf.Tensor], expected: np.ndarray) -> None:
    """Logits, places and scores of all items are those that the plain model gives, in its order."""
    users = lists.user(raw)
    scale = float(model.ranker.get_layer("logit").scale)
    for row, own in enumerate(expected):
        one = tf.nest.map_structure(lambda values, row=row: values[row : row + 1], users)
        found = lists.logits(one).logit.numpy()
        np.testing.assert_allclose(found, own, atol=3e-6 * max(1.0, scale), rtol=1e-6)
    # As a graph, which is how a recommender and an export ask.
    listed = tf.function(lists, autograph=False)
    everything = listed(raw, tf.constant(len(lists.catalogue)), tf.constant([[""]]), tf.constant([[""]]))
    for row, places in enumerate(everything.places.numpy()):
        assert sorted(places) == list(range(cases.ITEMS))
        np.testing.assert_allclose(expected[row][places], np.sort(expected[row])[::-1], atol=6e-6, rtol=1e-6)
        shown = model.link(tf.constant(expected[row][places][:, None])).numpy()[:, 0]
        np.testing.assert_allclose(everything.scores.numpy()[row], shown, atol=1e-6, rtol=1e-6)


MODELS: dict[str, dict[str, Any]] = {
    "wide alone": {"heads": ["wide"]},
    "deep alone": {"heads": ["deep"]},
    "regression, batch norm": {"regression": True, "batch_norm": True, "embedding_dropout": 0.2},
    "hard": {"features": HARD},
    "dates": {"features": DATES},
    "hard, own tower": {"features": HARD, "tower": own_tower},
}


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_the_plain_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(MODELS[name])
    if "tower" in options:
        options["tower"] = options["tower"]()
    model, config = built(**options)
    lists = maker(model, config)
    raw = requests(lists, model, strange_users())
    expected = every_score(model, lists, raw)
    assert np.ptp(expected, axis=1).min() > 0.1
    check(model, lists, raw, expected)
    if name == "hard":
        # Crosses that are not tabulated.
        monkeypatch.setattr(lists_module, "TABLE_BYTES", 0)
        check(model, maker(model, config), raw, expected)


@pytest.fixture(scope="module")
def usual() -> tuple[WideDeep, ListMaker, dict[str, tf.Tensor], np.ndarray]:
    model, config = built()
    lists = maker(model, config)
    raw = requests(lists, model, cases.users().head(3))
    return model, lists, raw, every_score(model, lists, raw)


Usual = tuple[WideDeep, ListMaker, dict[str, tf.Tensor], np.ndarray]


def test_candidates_and_what_is_excluded(usual: Usual) -> None:
    _, lists, raw, scores = usual
    ids = lists.catalogue.ids.tolist()
    candidates = [["m3", "m5", "nobody knows it", "m3", "m8"], ["", "", "", "", ""], ["m1", "", "m2", "", ""]]
    exclude = [["m5", ""], [ids[int(scores[1].argmax())], "nobody knows it"], ["", ""]]
    found = lists(raw, tf.constant(4), tf.constant(candidates), tf.constant(exclude))

    def best(row: int, allowed: set[str]) -> list[int]:
        chosen = [place for place in np.argsort(-scores[row], kind="stable") if ids[place] in allowed][:4]
        return [int(place) for place in chosen] + [-1] * (4 - len(chosen))

    expected = [best(0, {"m3", "m8"}), best(1, set(ids) - set(exclude[1])), best(2, {"m1", "m2"})]
    assert found.places.numpy().tolist() == expected
    assert (found.scores.numpy()[0][2:] == 0).all()


def test_one_row_of_candidates_is_for_all_users(usual: Usual) -> None:
    _, lists, raw, _ = usual
    found = lists(raw, tf.constant(9), tf.constant([["m4", "m6"]]), tf.constant([["m6"]]))
    place = lists.catalogue.ids.tolist().index("m4")
    assert found.places.numpy().tolist() == [[place] + [-1] * 8] * 3


@pytest.mark.parametrize("k", [0, 1, 1000])
def test_any_length_of_a_list(usual: Usual, k: int) -> None:
    _, lists, raw, scores = usual
    found = lists(raw, tf.constant(k), tf.constant([[""]]), tf.constant([[""]]))
    assert found.places.shape == found.scores.shape == (3, k)
    assert (found.places.numpy() >= 0).sum() == 3 * min(k, cases.ITEMS)
    if k == 1:
        assert found.places.numpy()[:, 0].tolist() == scores.argmax(axis=1).tolist()


def test_equal_scores_stand_in_the_order_of_the_catalogue() -> None:
    model, config = built(heads=["wide"])
    for variable in model.trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    lists = maker(model, config)
    raw = requests(lists, model, cases.users().head(2))
    found = lists(raw, tf.constant(7), tf.constant([["", "", ""], ["m9", "m4", "m2"]]), tf.constant([[""]]))
    order = {name: place for place, name in enumerate(lists.catalogue.ids.tolist())}
    assert found.places.numpy()[0].tolist() == list(range(7))
    assert found.places.numpy()[1][:3].tolist() == sorted(order[name] for name in ("m9", "m4", "m2"))


def test_items_that_are_integers() -> None:
    features = [
        {"type": "categorical", "column": "movie_id", "embedding": 4},
        {"type": "categorical", "column": "city", "embedding": 4},
    ]
    events, items = cases.events().copy(), cases.items().copy()
    for table in (events, items):
        table["movie_id"] = table["movie_id"].str[1:].astype(int)
    values = cases.values()
    values |= {"features": features, "ranking": {"user": "user_id", "item": "movie_id"}}
    config = Config.of(values)
    parts = open_splits(config, train=events)
    statistics = analyze(parts.fit, config)
    model = build_model(config, statistics, parts.with_classes(statistics.label.classes).schema)
    lists = maker(model, config, items)
    assert lists.catalogue.ids.dtype == np.int64
    none = tf.constant([[lists.catalogue.missing]], tf.int64)
    raw = requests(lists, model, cases.users().head(2))
    found = lists(raw, tf.constant(5), tf.constant([[3, 4, 5, -1]], tf.int64), none)
    assert {int(lists.catalogue.ids[place]) for place in found.places.numpy()[0][:3]} == {3, 4, 5}


def test_features_that_mix_sides_are_refused() -> None:
    values = cases.values()
    values["features"] = [
        {"type": "categorical", "column": "movie_id"},
        {"type": "categorical", "column": "genres", "weights": "age"},
        {"type": "numeric", "column": "year"},
    ]
    ranking = values.pop("ranking")
    config = Config.of(values)
    with pytest.raises(ConfigError, match="the feature 'genres' reads 'genres' and 'age', one of which"):
        sides(config.features, RankingConfig(**ranking))
