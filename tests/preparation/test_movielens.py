"""The real MovieLens-1M through the preset: what is made of it, a short training, and a list."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import movielens_cases
import pandas as pd
import pytest
from command_line import tfwd

from tfwd.config.config import Config
from tfwd.datasets import movielens
from tfwd.preparation.prepare import prepare
from tfwd.run import Run

COUNTS = {"train": 34_403, "validation": 4303, "test": 4301}
PARTS = tuple(COUNTS)


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    """GroupLens' files, with the ratings of some users."""
    with movielens_cases.of_some_users() as copy:
        yield copy


@pytest.fixture(scope="module")
def folder(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the preset makes of them."""
    folder = tmp_path_factory.mktemp("movielens")
    counts = prepare(Config.load("movielens", [f"data.path={copy}"]), folder)
    assert counts == COUNTS
    return folder


def read(folder: Path, name: str, *columns: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet", columns=list(columns) or None)


def original(path: Path, columns: str) -> pd.DataFrame:
    """A file of GroupLens, split by plain Python."""
    text = path.read_text(encoding="latin-1")
    return pd.DataFrame([line.split("::") for line in text.splitlines()], columns=columns.split())


@pytest.fixture(scope="module")
def ratings(copy: Path) -> pd.DataFrame:
    return original(copy / "ratings.dat", "user movie stars second").astype({"stars": int, "second": int})


def test_the_tables_have_the_rows_of_grouplens(tmp_path: Path) -> None:
    source = str(movielens_cases.folder())
    movielens.write(source, "1m-ratings", tmp_path / "ratings.parquet")
    movielens.write(source, "1m-movies", tmp_path / "movies.parquet")
    table = read(tmp_path, "ratings", "user_id", "movie_id", "movie_title", "user_zip_code")
    assert (len(table), table["user_id"].nunique(), table["movie_id"].nunique()) == (1_000_209, 6040, 3706)
    assert not table.isna().any().any()
    titles = original(movielens_cases.folder() / "movies.dat", "movie title genres").set_index("movie")["title"]
    found = read(tmp_path, "movies").set_index("movie_id")["movie_title"]
    assert len(found) == 3883
    assert found.to_dict() == titles.to_dict()


def test_the_parts_follow_each_other_in_time(folder: Path, ratings: pd.DataFrame) -> None:
    seconds = {part: read(folder, part, "timestamp")["timestamp"] for part in PARTS}
    assert sum(map(len, seconds.values())) == sum(COUNTS.values()) == (ratings["stars"] != 3).sum()
    assert seconds["train"].max() < seconds["validation"].min()
    assert seconds["validation"].max() < seconds["test"].min()


def test_columns(folder: Path) -> None:
    rows = read(folder, "test", "movie_title", "year", "age", "gender", "zip_region", "liked_it", "user_rating")
    assert (rows["year"] == rows["movie_title"].str.extract(r"\((\d{4})\)")[0]).all()
    assert set(rows["age"]) == {"1", "18", "25", "35", "45", "50", "56"}
    assert set(rows["gender"]) == {"F", "M"}
    assert set(rows["zip_region"]) == set("0123456789")
    assert (rows["liked_it"] == (rows["user_rating"] >= 4)).all()
    assert set(rows["user_rating"]) == {1, 2, 4, 5}


def test_histories(folder: Path, ratings: pd.DataFrame) -> None:
    rows = pd.concat([read(folder, part, "user_id", "movie_id", "timestamp", "liked") for part in PARTS])
    assert rows["liked"].map(len).max() == 50
    for user in ("1", "42", "4169", "6040"):
        own = ratings[(ratings["user"] == user) & (ratings["stars"] >= 4)]
        events = sorted(zip(own["second"], own["movie"], strict=True))
        shown = rows[rows["user_id"] == user]
        assert len(shown)
        for second, liked in zip(shown["timestamp"], shown["liked"], strict=True):
            assert list(liked) == [movie for when, movie in events if when < second][-50:]


def test_items_and_users(folder: Path, ratings: pd.DataFrame) -> None:
    items = read(folder, "items")
    assert list(items.columns) == ["movie_id", "movie_title", "movie_genres", "year"]
    assert len(items) == 3883, "also those that nobody has rated"
    assert not items.isna().any().any()
    users = read(folder, "users").set_index("user_id")
    assert len(users) == 304
    assert set(users.loc["42", "seen"]) == set(ratings.loc[ratings["user"] == "42", "movie"])


@pytest.mark.long
def test_a_short_training_and_a_list(copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    changes = {
        "data.path": copy,
        "data.filter": "user_rating <> 3 and cast(user_id as integer) % 40 = 2",
        "features.liked_x_movie_id.bins": 4000,
        "train.max_steps": 4,
        "train.tensorboard": "false",
        "model.hidden_units": "[16]",
        "export.formats": "[]",
    }
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    assert tfwd("train", "--config", "movielens", "--output", tmp_path / "run", *options) == 0
    run = Run.open(tmp_path / "run")
    assert {"auc", "gauc", "ndcg_at_10"} <= set(run.metrics["test"])
    after = [shlex.split(line) for line in capfd.readouterr().out.splitlines() if "tfwd.rank" in line]
    assert [command[:4] for command in after] == [["python", "-m", "tfwd.rank", str(run.path)]]
    assert tfwd("rank", *after[0][3:], "--k", "3") == 0
    shown = capfd.readouterr().out.splitlines()
    assert shown[0].split() == ["movie_title", "score", "why"]
    titles = set(read(run.path / "data", "items")["movie_title"])
    assert len(shown) == 4
    assert all(any(title in line for title in titles) for line in shown[1:])
