"""The rows of a range of time are trained on; histories are made of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfwd.config.config import Config
from tfwd.errors import ConfigError, DataError, TfwdError
from tfwd.preparation.prepare import prepare

DAY = 86_400


def log(kind: str = "seconds") -> pd.DataFrame:
    """A user who likes an item every six hours, from 2000-12-01."""
    table = pd.DataFrame({"user": "u", "item": [f"i{n}" for n in range(12)], "label": [0, 1] * 6})
    seconds = 975_628_800 + pd.Series(range(12)) * DAY // 4
    table["time"] = {
        "seconds": seconds,
        "fraction": seconds / 2,
        "moment": pd.to_datetime(seconds, unit="s"),
        "day": pd.to_datetime(seconds, unit="s").dt.date,
        "text": seconds.map(str),
    }[kind]
    return table


def values(**data: Any) -> dict[str, Any]:
    return {
        "data": {"label": "label", "time": "time", "validation_fraction": 0.0, **data},
        "features": [{"type": "categorical", "column": "item"}],
        "model": {"heads": ["wide"]},
        "train": {"early_stopping": None},
    }


def prepared(folder: Path, table: pd.DataFrame, **data: Any) -> dict[str, pd.DataFrame]:
    prepare(Config.of(values(**data)), folder, train=table)
    return {file.stem: pd.read_parquet(file) for file in folder.glob("*.parquet")}


@pytest.mark.parametrize("kind", ["seconds", "moment", "day"])
@pytest.mark.parametrize(
    ("since", "until", "kept"),
    [("2000-12-02", "2000-12-03", range(4, 8)), ("2000-12-03", None, range(8, 12)), (None, "2000-12-02", range(4))],
)
def test_from_is_in_it_and_to_is_not(kind: str, since: Any, until: Any, kept: range, tmp_path: Path) -> None:
    found = prepared(tmp_path, log(kind), since=since, until=until)["train"]
    assert found["item"].tolist() == [f"i{n}" for n in kept]


def test_a_moment_and_a_number(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    moment = prepared(tmp_path / "a", log("moment"), since="2000-12-01T06:00", until="2000-12-01T12:00:01")["train"]
    assert moment["item"].tolist() == ["i1", "i2"]
    number = prepared(tmp_path / "b", log("fraction"), since=(975_628_800 + DAY) / 2)["train"]
    assert number["item"].tolist() == [f"i{n}" for n in range(4, 12)]


def test_a_row_without_a_time_is_in_no_range(tmp_path: Path) -> None:
    table = log("fraction")
    table["time"] = table["time"].where(table.index != 10)
    # NaN, as other programs write it: of a frame's Arrow would make NULL.
    columns = {name: pa.array(table[name].to_numpy(), from_pandas=False) for name in table}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    (tmp_path / "out").mkdir()
    config = Config.of(values(since=(975_628_800 + 2 * DAY) / 2, train=str(tmp_path / "log.parquet")))
    prepare(config, tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out" / "train.parquet")["item"].tolist() == ["i8", "i9", "i11"]


def test_histories_know_what_was_before_and_the_split_is_of_the_range(tmp_path: Path) -> None:
    history = {"name": "liked", "user": "user", "item": "item", "time": "time", "length": 3}
    split = {"by": "time", "time": "time", "validation": 0.25, "test": 0.25}
    parts = prepared(tmp_path, log(), since="2000-12-02", until="2000-12-03", history=history, split=split, time=None)
    assert {name: part["item"].tolist() for name, part in parts.items()} == {
        "train": ["i4", "i5"],
        "validation": ["i6"],
        "test": ["i7"],
    }
    assert parts["train"]["liked"].iloc[0].tolist() == ["i1", "i2", "i3"], "events before the range"


def test_rows_given_for_validation_are_all_of_them(tmp_path: Path) -> None:
    log().to_parquet(tmp_path / "validation.pq")
    config = Config.of(values(since="2000-12-02", validation=str(tmp_path / "validation.pq")))
    (tmp_path / "out").mkdir()
    assert prepare(config, tmp_path / "out", train=log()) == {"train": 8, "validation": 12}


def test_the_range_is_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(json.dumps(values(train="log.csv")))
    config = Config.load(tmp_path / "a.yaml", ["data.since=2000-12-01", "data.until=978307200"])
    assert (config.data.since, config.data.until) == ("2000-12-01", 978_307_200)
    (tmp_path / "b.yaml").write_text(config.dump())
    assert Config.load(tmp_path / "b.yaml").data == config.data


@pytest.mark.parametrize(
    ("kind", "data", "error", "message"),
    [
        ("seconds", {"time": "tme", "since": "2000-12-02"}, DataError, "no column 'tme'. Did you mean 'time'?"),
        ("text", {"since": "2000-12-02"}, ConfigError, "data.time: 'time' is VARCHAR .* data.columns"),
        ("seconds", {"since": "2001-01-01"}, DataError, "No row .* data.since = 2001-01-01: .* 975628800 to 975866400"),
        ("seconds", {"since": "2000-12-03", "until": "2000-12-02"}, ConfigError, "must be before"),
        ("moment", {"since": "2000-12-02", "until": "2000-12-02"}, ConfigError, "must be before"),
        ("seconds", {"until": "yesterday"}, ConfigError, "data.until: 'yesterday' is not a date"),
        ("moment", {"until": "yesterday"}, DataError, "data.until cannot be computed"),
        ("moment", {"until": 3}, ConfigError, "data.until: 3 is a number"),
        ("fraction", {"until": "2000-12-02"}, ConfigError, "give a number"),
    ],
)
def test_what_is_wrong_is_said(kind: str, data: Any, error: type[TfwdError], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        prepared(tmp_path, log(kind), **data)


def test_a_range_needs_a_time() -> None:
    with pytest.raises(ConfigError, match=r"since and until choose rows by their time: name its column in data\.time"):
        Config.of(values(time=None, since=3))
