"""TensorFlow Datasets by name, and that a copy of GroupLens' files is read as what TFDS makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds

from tfwd.datasets.tfds import as_parquet, parse
from tfwd.errors import ConfigError, DataError

GENRES = ("Action|Adventure", "Animation|Children's|Comedy", "Crime|Documentary|Drama", "Fantasy|Film-Noir|Horror")
MORE = ("Musical|Mystery|Romance|Sci-Fi", "Thriller|War|Western", "Drama")
TITLES = (
    "Misérables, Les (1995)",
    "Alien³ (1992)",
    'A "B" (1950)',
    "Toy Story (1995)",
    "X, The (2000)",
    "Y (1)",
    "Z (2)",
)
AGES_1M = (1, 18, 25, 35, 45, 50, 56)
AGES_100K = (7, 17, 18, 24, 25, 34, 35, 44, 45, 49, 50, 55, 56, 73)
OCCUPATIONS_100K = (
    *("administrator", "artist", "doctor", "educator", "engineer", "entertainment", "executive", "healthcare"),
    *("homemaker", "lawyer", "librarian", "marketing", "none", "other", "programmer", "retired", "salesman"),
    *("scientist", "student", "technician", "writer"),
)


def ratings() -> list[tuple[int, int, int, int]]:
    """User, movie, stars and second, made up."""
    random = np.random.default_rng(0)
    return [
        (user, int(movie), int(random.integers(1, 6)), 978300000 + int(random.integers(0, 9999)))
        for user in range(1, 22)
        for movie in random.choice(np.arange(1, 8), 3, replace=False)
    ]


def write_1m(folder: Path) -> None:
    folder.mkdir(parents=True)
    users = [f"{n}::{'FM'[n % 2]}::{AGES_1M[n % 7]}::{n - 1}::0{n}-1" for n in range(1, 22)]
    movies = [f"{n}::{title}::{genres}" for n, (title, genres) in enumerate(zip(TITLES, GENRES + MORE, strict=True), 1)]
    rated = ["::".join(map(str, row)) for row in ratings()]
    for name, lines in (("users.dat", users), ("movies.dat", movies), ("ratings.dat", rated)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")


def write_100k(folder: Path) -> None:
    folder.mkdir(parents=True)
    users = [f"{n}|{AGES_100K[n % 14]}|{'FM'[n % 2]}|{OCCUPATIONS_100K[n - 1]}|T{n}H" for n in range(1, 22)]
    movies = []
    for number, title in enumerate(TITLES, 1):
        flags = ["1" if genre % 7 == number - 1 else "0" for genre in range(19)]
        movies.append("|".join([str(number), title, "01-Jan-1995", "", "http://example.org/?a,b", *flags]))
    rated = ["\t".join(map(str, row)) for row in ratings()]
    for name, lines in (("u.user", users), ("u.item", movies), ("u.data", rated)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")


def write_latest(folder: Path) -> None:
    folder.mkdir(parents=True)
    movies = pd.DataFrame({"movieId": range(1, 8), "title": TITLES})
    movies["genres"] = [genres.replace("'s", "") for genres in GENRES + MORE]
    movies.to_csv(folder / "movies.csv", index=False)
    rated = pd.DataFrame(ratings(), columns=["userId", "movieId", "rating", "timestamp"])
    rated["rating"] -= 0.5
    rated.to_csv(folder / "ratings.csv", index=False)


FORMS = {"1m": write_1m, "100k": write_100k, "latest-small": write_latest}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with made-up files in each form of GroupLens."""
    folder = tmp_path_factory.mktemp("originals")
    for size, write in FORMS.items():
        write(folder / size / f"ml-{size}")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFWD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("size", "what", "form"),
    [
        *((size, what, "folder") for size in FORMS for what in ("ratings", "movies")),
        ("1m", "ratings", "inner folder"),
        *((size, "ratings", "zip") for size in FORMS),
    ],
)
def test_a_copy_is_what_tfds_makes_of_it(size: str, what: str, form: str, originals: Path, tmp_path: Path) -> None:
    name = f"movielens/{size}-{what}"
    copy = originals / size / f"ml-{size}" if form == "inner folder" else originals / size
    if form == "zip":
        copy = Path(shutil.make_archive(str(tmp_path / "copy"), "zip", originals / size))
    found = pq.read_table(as_parquet(f"tfds:{name}", str(copy), tmp_path))
    built = _built(name, originals / size)
    wanted = pq.read_table(as_parquet(f"tfds:{name}", str(built), tmp_path))
    assert [(field.name, field.type) for field in found.schema] == [(field.name, field.type) for field in wanted.schema]
    assert found.num_rows == (63 if what == "ratings" else 7)
    # TFDS shuffles; a copy has the order of GroupLens' file.
    if what == "ratings":
        assert [int(user) for user in found["user_id"].to_pylist()] == [user for user, *_ in ratings()]
    assert rows(found) == rows(wanted)


def test_of_several_sizes_in_a_folder_the_one_that_is_asked_for(originals: Path, tmp_path: Path) -> None:
    for size in FORMS:
        shutil.copytree(originals / size, tmp_path / "all", dirs_exist_ok=True)
    shutil.copytree(originals / "latest-small" / "ml-latest-small", tmp_path / "all" / "ml-20m")
    pd.DataFrame({"movieId": [1], "title": ["A"], "genres": ["Drama"]}).to_csv(tmp_path / "all/ml-20m/movies.csv")
    counts = {}
    for size in (*FORMS, "20m"):
        file = as_parquet(f"tfds:movielens/{size}-movies:0.1.1", str(tmp_path / "all"), tmp_path)
        counts[size] = pq.read_metadata(file).num_rows
    assert counts == {"1m": 7, "100k": 7, "latest-small": 7, "20m": 1}


def rows(table: Any) -> list[dict[str, Any]]:
    """The rows of a table, sorted."""
    return sorted(table.to_pylist(), key=lambda row: (row["movie_id"], row.get("user_id")))


def _built(name: str, extracted: Path) -> Path:
    """The `data_dir` in which TFDS builds a dataset of files as if it had downloaded them; once for all forms."""
    folder = extracted.parent / "built"
    builder = tfds.builder(name, data_dir=str(folder))
    with mock.patch.object(tfds.download.DownloadManager, "download_and_extract", return_value=extracted):
        builder.download_and_prepare()
    return folder


class Shelf(tfds.core.GeneratorBasedBuilder):
    """A dataset with a column of every kind."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        features = {
            "name": tfds.features.Text(),
            "kind": tfds.features.ClassLabel(names=["high", "low"]),
            "sizes": tfds.features.Sequence(np.int64),
            "tags": tfds.features.Sequence(tfds.features.ClassLabel(names=["old", "new"])),
            "price": np.float32,
            "sold": np.bool_,
            "picture": tfds.features.Tensor(shape=(2, 2), dtype=np.float32),
            "maker": tfds.features.FeaturesDict({"city": tfds.features.Text()}),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> Any:
        return {"train": self._generate_examples(20), "test": self._generate_examples(3)}

    def _generate_examples(self, count: int = 0) -> Any:
        for number in range(count):
            yield (
                number,
                {
                    **example(number),
                    "picture": np.zeros((2, 2), np.float32),
                    "maker": {"city": "Paris"},
                },
            )


def example(number: int) -> dict[str, Any]:
    kind, tags = ("high", "low")[number % 2], ["old", "new", "old"][: number % 3]
    values = {"name": f"città {number}", "kind": kind, "sizes": list(range(number % 4)), "tags": tags}
    return {**values, "price": number / 4, "sold": number % 3 == 0}


def test_columns_of_any_dataset(tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Shelf(data_dir=str(tmp_path / "built")).download_and_prepare()
    capfd.readouterr()
    file = as_parquet("tfds:shelf", str(tmp_path / "built"))
    assert "left out maker, picture: neither values nor lists" in capfd.readouterr().err.replace("\n", " ")
    table = pq.read_table(file)
    assert sorted(table.to_pylist(), key=lambda row: row["price"]) == [example(number) for number in range(20)]

    before = Path(file).stat().st_mtime_ns
    assert as_parquet("tfds:shelf:train", str(tmp_path / "built")) == file
    assert Path(file).stat().st_mtime_ns == before, "it is read once"
    assert pq.read_metadata(as_parquet("tfds:shelf:1.0.0:test", str(tmp_path / "built"))).num_rows == 3
    assert pq.read_metadata(as_parquet("tfds:shelf:train[:25%]", str(tmp_path / "built"))).num_rows == 5
    assert [path.name[0] for path in cache.rglob("*.parquet")] != ["."]

    with pytest.raises(DataError, match=r"tfds:shelf:valid: there is no split 'valid'\. It has train, test"):
        as_parquet("tfds:shelf:valid", str(tmp_path / "built"))


@pytest.mark.parametrize(
    ("source", "dataset", "split"),
    [
        ("tfds:titanic", "titanic", "train"),
        ("tfds:movielens/1m-ratings", "movielens/1m-ratings", "train"),
        ("tfds:movielens/1m-ratings:0.1.1", "movielens/1m-ratings:0.1.1", "train"),
        ("tfds:titanic:test", "titanic", "test"),
        ("tfds:a/b-c.d:1.0.0:train[10%:]", "a/b-c.d:1.0.0", "train[10%:]"),
    ],
)
def test_names(source: str, dataset: str, split: str) -> None:
    assert parse(source) == (dataset, split)


@pytest.mark.parametrize("source", ["tfds:", "tfds:a/b/c", "tfds:../a", "tfds:a:", "tfds:a:train[", "tfds:a b"])
def test_names_that_are_none(source: str) -> None:
    with pytest.raises(ConfigError, match="is not tfds:NAME"):
        parse(source)


def test_what_is_not_there(originals: Path, tmp_path: Path) -> None:
    def refused(message: str, source: str, path: Path | None) -> None:
        with pytest.raises(DataError) as caught:
            as_parquet(source, None if path is None else str(path), tmp_path)
        assert message in str(caught.value)

    ratings_1m = "tfds:movielens/1m-ratings"
    refused("data.path: there is no", ratings_1m, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    refused("holds neither the files of MovieLens that GroupLens publishes nor", ratings_1m, tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == [], "nothing is built in a copy"
    refused("holds no titanic", "tfds:titanic", tmp_path / "empty")
    refused(
        "holds the files u.data, u.user, u.item, which are not those of movielens/1m-ratings",
        ratings_1m,
        originals / "100k",
    )
    # A part of the rows would be all of them.
    for split in ("test", "train[:10%]"):
        refused("are the split 'train', and no part of it", f"{ratings_1m}:{split}", originals / "1m")
    damaged = Path(shutil.make_archive(str(tmp_path / "damaged"), "zip", originals / "1m"))
    whole = damaged.read_bytes()
    at = whole.index(b"ratings.dat") + 40
    damaged.write_bytes(whole[:at] + bytes(20) + whole[at + 20 :])
    refused("damaged.zip is not a complete zip file", ratings_1m, damaged)
    refused("tfds:no_such_thing: there is no such dataset", "tfds:no_such_thing", tmp_path / "empty")


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))

    def fails(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known\nand more")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fails)
    with pytest.raises(DataError) as caught:
        as_parquet("tfds:movielens/1m-ratings")
    assert str(caught.value) == (
        "tfds:movielens/1m-ratings cannot be downloaded: Name or service not known. Without a network, set data.path "
        "to the folder or zip that GroupLens publishes, as ml-1m."
    )
