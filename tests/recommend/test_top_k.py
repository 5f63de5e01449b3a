"""Lists are those that scoring every pair with the plain model and sorting gives, whatever the features and heads."""

from __future__ import annotations

from typing import Any

import keras
import list_cases
import numpy as np
import pytest
import ranking_cases as cases
import tensorflow as tf

from tfwd.config.config import Config
from tfwd.config.ranking import RankingConfig, sides
from tfwd.errors import ConfigError
from tfwd.features.raw_tensors import tensors
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend import top_k as lists_module
from tfwd.recommend.top_k import ListMaker


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
    "deep alone, crosses for the wide head": {"heads": ["deep"], "features": cases.OF_RUN},
    "regression, batch norm": {"regression": True, "batch_norm": True, "embedding_dropout": 0.2},
    "hard": {"features": list_cases.HARD},
    "dates": {"features": list_cases.DATES},
    "hard, own tower": {"features": list_cases.HARD, "tower": own_tower},
}


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_the_plain_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(MODELS[name])
    if "tower" in options:
        options["tower"] = options["tower"]()
    model, config = list_cases.built(**options)
    tabulated = name != "hard, own tower"
    if not tabulated:
        monkeypatch.setattr(lists_module, "TABLE_BYTES", 0)
    lists = list_cases.maker(model, config)
    if "hard" in name:
        assert bool(lists.tables) == tabulated
    raw = list_cases.requests(lists, model, list_cases.strange_users())
    expected = every_score(model, lists, raw)
    assert np.ptp(expected, axis=1).min() > 0.1
    check(model, lists, raw, expected)


@pytest.fixture(scope="module")
def usual() -> tuple[WideDeep, ListMaker, dict[str, tf.Tensor], np.ndarray]:
    model, config = list_cases.built()
    lists = list_cases.maker(model, config)
    raw = list_cases.requests(lists, model, cases.users().head(3))
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
    model, config = list_cases.built(heads=["wide"])
    for variable in model.trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    lists = list_cases.maker(model, config)
    raw = list_cases.requests(lists, model, cases.users().head(2))
    found = lists(raw, tf.constant(7), tf.constant([["", "", ""], ["m9", "m4", "m2"]]), tf.constant([[""]]))
    order = {name: place for place, name in enumerate(lists.catalogue.ids.tolist())}
    assert found.places.numpy()[0].tolist() == list(range(7))
    assert found.places.numpy()[1][:3].tolist() == sorted(order[name] for name in ("m9", "m4", "m2"))


def test_items_that_are_integers() -> None:
    model, config = list_cases.built(list_cases.NUMBERED, numbered=True)
    lists = list_cases.maker(model, config, list_cases.with_numbers(cases.items()))
    assert lists.catalogue.ids.dtype == np.int64
    none = tf.constant([[lists.catalogue.missing]], tf.int64)
    raw = list_cases.requests(lists, model, cases.users().head(2))
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


def test_lists_that_would_be_the_same_for_everybody_are_refused() -> None:
    features = [{"type": "categorical", "column": column} for column in ("movie_id", "genres", "year")]
    with pytest.raises(ConfigError, match=r"No feature reads a column of the user.* column: user_id\}"):
        list_cases.maker(*list_cases.built(features, heads=["wide"]))
