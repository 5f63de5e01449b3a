"""Where a configuration names files it takes a path, a `pathlib.Path` and, for rows, a list of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import tfwd
from tfwd.config.config import Config
from tfwd.config.preparation import JoinConfig
from tfwd.data.source import Source
from tfwd.errors import DataError
from tfwd.training.splits import open_splits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.csv").write_text("city,y\n" + f"{name},0\n{name},1\n")
    return tmp_path


def config(folder: Path) -> Config:
    return Config(
        data=tfwd.DataConfig(
            train=[folder / "a.csv", str(folder / "b.csv")],
            validation=folder / "c.csv",
            test=(folder / "c.csv", folder / "a.csv"),
            label="y",
            path=folder / "local",
            join=[JoinConfig(data=folder / "c.csv", on="city")],
        ),
        features=[tfwd.Categorical("city", vocabulary_file=folder / "words.txt", embedding=4)],
        train=tfwd.TrainConfig(warm_start_from=folder / "old"),
    )


def test_a_path_is_a_text_in_the_configuration(folder: Path) -> None:
    found = config(folder)
    assert found.data.train == (str(folder / "a.csv"), str(folder / "b.csv"))
    assert found.data.validation == str(folder / "c.csv")
    assert found.data.path == str(folder / "local")
    assert found.data.join[0].data == str(folder / "c.csv")
    assert found.features[0].vocabulary_file == str(folder / "words.txt")
    assert found.train.warm_start_from == str(folder / "old")
    (folder / "dump.yaml").write_text(found.dump())
    assert Config.load(folder / "dump.yaml") == found


def test_the_files_of_a_list_are_beside_their_file_and_read_one_after_the_other(folder: Path) -> None:
    (folder / "c.yaml").write_text(
        "data: {train: [a.csv, b.csv], validation: [c.csv], label: y}\n"
        "features: [{type: categorical, column: city, embedding: 4}]\n"
    )
    found = Config.load(folder / "c.yaml")
    assert found.data.train == (str(folder / "a.csv"), str(folder / "b.csv"))
    parts = open_splits(found)
    source = parts.fit.source
    assert [row[0] for row in source.connect().sql(source.select("city")).fetchall()] == ["a", "a", "b", "b"]
    assert parts.validation is not None
    assert (parts.fit.count(), parts.validation.count()) == (4, 2)


def test_more_lines_are_skipped_than_a_file_has(folder: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv is empty: expected a first line with the columns' names\."):
        Source.open(folder / "a.csv", csv=tfwd.CsvConfig(skip=2**31 - 1))
