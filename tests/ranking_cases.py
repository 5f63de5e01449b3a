"""Users, items and what users like of them, made up by a rule that a model can learn, for the tests of ranking."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_once import made

from tfwd.config.config import Config
from tfwd.run import Run
from tfwd.training.fit import fit

USERS, ITEMS, GENRES = 60, 90, ("Action", "Comedy", "Drama", "Horror", "Musical")
HISTORY = 8

FEATURES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "movie_id", "embedding": 8},
    {"type": "categorical", "column": "user_id", "embedding": 8},
    {"type": "categorical", "column": "liked", "max_length": HISTORY, "embedding": "movie_id"},
    {
        "type": "categorical",
        "column": "genres",
        "max_length": 3,
        "delimiter": "|",
        "embedding": 4,
        "wide_combiner": "mean",
    },
    {"type": "categorical", "column": "city", "one_hot": True},
    {"type": "numeric", "column": "year", "wide": True},
    {"type": "numeric", "column": "age"},
    {"type": "bucketized", "column": "year", "quantiles": 4},
    {"type": "bucketized", "column": "age", "boundaries": [30, 50], "one_hot": True},
    {"type": "cross", "keys": ["liked", "movie_id"], "bins": 5000},
    {"type": "cross", "keys": ["city", "genres"], "bins": "exact", "embedding": 4},
    {"type": "cross", "keys": ["year_buckets", "age_buckets", "genres"], "bins": 300},
    {"type": "cross", "keys": ["city", "age_buckets"], "bins": "exact"},
]
"""Single and several values, on either side and crossed over both."""
OF_RUN = [
    *(FEATURES[index] for index in (0, 1, 2, 3, 4, 5, 6, 9)),
    {"type": "cross", "keys": ["city", "genres"], "bins": "exact"},
]
"""Those of the run, without buckets and crosses in the deep head, which `list_cases` has in more ways."""

ITEM_COLUMNS = ("genres", "year")


@functools.cache
def items() -> pd.DataFrame:
    """One row an item, in the order of the catalogue."""
    generator = np.random.default_rng(0)
    genres = ["|".join(generator.choice(GENRES, generator.integers(1, 4), replace=False)) for _ in range(ITEMS)]
    return pd.DataFrame(
        {
            "movie_id": [f"m{number}" for number in generator.permutation(ITEMS)],
            "title": [f"The {genre.split('|')[0]} No. {number}" for number, genre in enumerate(genres)],
            "genres": genres,
            "year": generator.integers(1930, 2001, ITEMS),
        }
    )


@functools.cache
def people() -> pd.DataFrame:
    """One row a user; `taste` is what decides, and is not a feature."""
    generator = np.random.default_rng(1)
    taste = [GENRES[number % len(GENRES)] for number in range(USERS)]
    city = [f"{genre} Town" if generator.random() < 0.7 else "Elsewhere" for genre in taste]
    return pd.DataFrame(
        {
            "user_id": [str(n) for n in range(USERS)],
            "city": city,
            "age": generator.integers(15, 70, USERS),
            "taste": taste,
        }
    )


@functools.cache
def events() -> pd.DataFrame:
    """What users saw, in order of time, with what they had liked before each."""
    generator = np.random.default_rng(2)
    catalogue, rows = items(), []
    for user in people().to_dict("records"):
        liked: list[str] = []
        for place in generator.choice(ITEMS, 45, replace=False):
            item = catalogue.iloc[int(place)]
            chance = 0.85 if user["taste"] in item["genres"] else 0.1
            label = int(generator.random() < chance)
            shown = {**{key: user[key] for key in ("user_id", "city", "age")}, **item.to_dict()}
            rows.append({**shown, "liked": list(liked[-HISTORY:]), "label": label})
            if label:
                liked.append(item["movie_id"])
    return pd.DataFrame(rows)


def parts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The events of training and, the last nine of every user, those of testing."""
    table = events()
    late = table.groupby("user_id").cumcount() >= 36
    return table[~late].reset_index(drop=True), table[late].reset_index(drop=True)


def users() -> pd.DataFrame:
    """One row a user: the columns of a request after all events, and what the user has seen."""
    table = events()
    rows = []
    for user, own in table.groupby("user_id", sort=False):
        last = people().set_index("user_id").loc[user]
        liked = own.loc[own["label"] == 1, "movie_id"].tolist()
        request = {"user_id": user, "city": last["city"], "age": last["age"], "liked": liked[-HISTORY:]}
        rows.append({**request, "seen": own["movie_id"].tolist()})
    return pd.DataFrame(rows)


def values(**train: Any) -> dict[str, Any]:
    """A configuration as a nested dict."""
    return {
        "data": {"label": "label", "validation_fraction": 0.1},
        "features": OF_RUN,
        "model": {"hidden_units": [16, 8], "dropout": 0.1},
        "train": {"epochs": 2, "batch_size": 32, "steps_per_execution": 4, "tensorboard": False, **train},
        "export": {"formats": []},
        "ranking": {"user": "user_id", "item": "movie_id", "title": "title", "item_columns": list(ITEM_COLUMNS)},
    }


@functools.cache
def trained() -> Run:
    """A run on Parquet files, with its items and users beside it."""

    def make(folder: Path) -> None:
        train, test = parts()
        train.to_parquet(folder / "train.parquet", index=False)
        test.to_parquet(folder / "test.parquet", index=False)
        config = values()
        config["data"] |= {"train": str(folder / "train.parquet"), "test": str(folder / "test.parquet")}
        run = fit(Config.of(config), folder / "run")
        (run.path / "data").mkdir(exist_ok=True)
        items().to_parquet(run.path / "data" / "items.parquet", index=False)
        users().to_parquet(run.path / "data" / "users.parquet", index=False)

    return Run.open(made("ranking", make) / "run")


@functools.cache
def exported() -> Path:
    """The folder of what the commands export of the run: the SavedModel `films/1`, `films.onnx` and its lists."""

    def make(folder: Path) -> None:
        from export import commands
        from export.parity import compare, lists

        with pytest.MonkeyPatch.context() as patch:
            # The tests compare more users themselves.
            patch.setattr(compare, "HOSTILE_ROWS", 50)
            patch.setattr(lists, "USERS", 5)
            commands.savedmodel(trained().path, output=folder, name="films")
            commands.onnx(trained().path, output=folder / "films.onnx")

    return made("ranking-exports", make)
