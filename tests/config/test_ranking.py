"""The section `ranking`: read, dumped, and refused where it does not fit the data and the features."""

from __future__ import annotations

from typing import Any

import pytest

from tfwd.config.config import Config
from tfwd.config.ranking import RankingConfig
from tfwd.errors import ConfigError

FEATURES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "movie_id", "embedding": 4},
    {"type": "categorical", "column": "genres", "max_length": 6, "delimiter": "|"},
    {"type": "categorical", "column": "user_id", "embedding": 4},
]


def of(ranking: dict[str, Any], task: str = "binary") -> Config:
    data = {"train": "ratings.csv", "label": "liked"}
    return Config.of({"task": task, "data": data, "features": FEATURES, "ranking": ranking})


def test_it_is_read_and_dumped() -> None:
    config = of({"user": "user_id", "item": "movie_id", "title": "title", "item_columns": ["genres"]})
    assert config.ranking == RankingConfig(user="user_id", item="movie_id", title="title", item_columns=("genres",))
    assert config.ranking.k == 10
    assert Config.of(config.model_dump(mode="json")) == config


def test_a_user_that_no_feature_reads_is_a_key_alone() -> None:
    assert of({"user": "account", "item": "movie_id"}).ranking == RankingConfig(user="account", item="movie_id")


def test_without_it_nothing_is_ranked() -> None:
    config = Config.of({"data": {"train": "ratings.csv", "label": "liked"}, "features": FEATURES})
    assert config.ranking is None


@pytest.mark.parametrize(
    ("ranking", "message"),
    [
        ({"user": "user_id"}, "ranking.item: required key is missing."),
        ({"user": "user_id", "item": "movie"}, "ranking.item: no feature reads the column 'movie'. Did you mean"),
        ({"user": "user_id", "item": "user_id"}, "user and item are two columns. Received 'user_id' for both"),
        ({"user": "user_id", "item": "genres"}, "ranking.item: the feature 'genres' reads 'genres', but not as one"),
        (
            {"user": "user_id", "item": "movie_id", "item_columns": ["genre"]},
            "ranking.item_columns: no feature reads the column 'genre'. Did you mean 'genres'?",
        ),
        (
            {"user": "user_id", "item": "movie_id", "item_columns": ["genres", "genres"]},
            "ranking.item_columns: 'genres' is listed twice",
        ),
        (
            {"user": "user_id", "item": "movie_id", "item_columns": ["movie_id"]},
            "item_columns are columns of the item beside `item`: remove 'movie_id'",
        ),
        (
            {"user": "user_id", "item": "movie_id", "title": "movie_id"},
            "title is a column of its own, and 'movie_id' is",
        ),
        ({"user": "liked", "item": "movie_id"}, "ranking.user: 'liked' is the label's column."),
        ({"user": "user_id", "item": "movie_id", "k": 0}, "ranking.k: expected at least 1. Received: 0."),
        ({"user": "user_id", "item": "movie_id", "titel": "t"}, "ranking.titel: unknown key. Did you mean 'title'?"),
    ],
)
def test_it_refuses(ranking: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        of(ranking)
    assert message in str(error.value)


def test_a_task_of_many_classes_has_no_one_score() -> None:
    with pytest.raises(ConfigError, match="ranking needs one score per row"):
        of({"user": "user_id", "item": "movie_id"}, task="multiclass")


def test_the_list_of_what_was_seen_has_its_name_alone() -> None:
    history = {"name": "Seen", "user": "user_id", "item": "movie_id", "time": "at"}
    ranking = {"user": "user_id", "item": "movie_id"}
    data = {"train": "ratings.csv", "label": "liked"}
    for values in (
        {"data": {**data, "history": history}, "features": FEATURES},
        {"data": data, "features": [*FEATURES, {"type": "categorical", "column": "seen"}]},
    ):
        with pytest.raises(ConfigError, match="would stand beside `seen`"):
            Config.of({**values, "ranking": ranking})
        assert Config.of(values).ranking is None


def test_inputs_of_a_request_have_names_of_their_own() -> None:
    features = [*FEATURES, {"type": "numeric", "column": "k"}]
    values = {
        "data": {"train": "ratings.csv", "label": "liked"},
        "features": features,
        "ranking": {"user": "user_id", "item": "movie_id"},
    }
    with pytest.raises(ConfigError, match=r"Column 'k' becomes the input 'k', .* for example \{'k': k_2\}"):
        Config.of(values)
    renamed = {**values, "data": {**values["data"], "names": {"k": "k_2"}}}
    assert Config.of(renamed).input_names()["k"] == "k_2"
    of_item = {**values, "ranking": {**values["ranking"], "item_columns": ["k"]}}
    assert Config.of(of_item).ranking is not None


def test_a_feature_of_both_sides_is_refused_before_a_training() -> None:
    weighted = {"type": "categorical", "column": "tags", "max_length": 3, "weights": "shares"}
    values = {
        "data": {"train": "ratings.csv", "label": "liked"},
        "features": [*FEATURES, weighted],
        "ranking": {"user": "user_id", "item": "movie_id", "item_columns": ["tags"]},
    }
    with pytest.raises(ConfigError, match="'tags' reads 'tags' and 'shares', one of which belongs to the item"):
        Config.of(values)
    both = {**values, "ranking": {**values["ranking"], "item_columns": ["tags", "shares"]}}
    assert Config.of(both).ranking is not None
