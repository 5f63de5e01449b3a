"""`columns`, one entry for several features; and features that an override leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tfwd.config.config import Config
from tfwd.errors import ConfigError

NUMBERS = {"type": "numeric", "columns": ["I1", "I2", "I 3"], "normalization": ["zscore", "log"], "wide": True}
CITY = {"type": "categorical", "column": "city", "embedding": 4}


def values(*features: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"data": {"label": "y"}, "features": list(features), **changes}


def written(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values(*features)))
    return path


def test_each_column_is_a_feature_as_if_it_were_written_alone() -> None:
    alone = [{**NUMBERS, "column": column} for column in NUMBERS["columns"]]
    for feature in alone:
        del feature["columns"]
    many = {"type": "bucketized", "columns": ["I1", "I2"], "quantiles": 4}
    buckets = [{"type": "bucketized", "column": column, "quantiles": 4} for column in ("I1", "I2")]
    found = Config.of(values(CITY, NUMBERS, many))
    assert found == Config.of(values(CITY, *alone, *buckets))
    assert [feature.name for feature in found.features] == [
        "city",
        "I1",
        "I2",
        "I_3",
        "I1_buckets",
        "I2_buckets",
    ]
    # What a run writes has one entry for each.
    assert not any("columns" in entry for entry in yaml.safe_load(found.dump())["features"])


def test_an_override_changes_one_of_them_or_leaves_it_out(tmp_path: Path) -> None:
    file = written(tmp_path / "a.yaml", CITY, NUMBERS)
    config = Config.load(file, ["features.I2.fill=3", "features.I1=null", "features.I_3.normalization.0=minmax"])
    city, second, third = config.features
    assert (city.name, second.name, third.name) == ("city", "I2", "I_3")
    assert second.model_dump()["fill"] == 3
    assert second.model_dump()["normalization"] == ("zscore", "log")
    assert third.model_dump()["normalization"] == ("minmax", "log")
    assert [feature.name for feature in config.replace(features__city=None).features] == ["I2", "I_3"]
    assert [feature.name for feature in Config.load(file, ["features.0=null"]).features] == ["I1", "I2", "I_3"]


def test_a_feature_that_others_need_or_the_last_one_is_not_left_out(tmp_path: Path) -> None:
    cross = {"type": "cross", "keys": ["city", "job"], "bins": 10}
    job = {"type": "categorical", "column": "job"}
    file = written(tmp_path / "a.yaml", CITY, job, cross)
    with pytest.raises(ConfigError, match="the cross 'city_x_job' has an unknown key 'job'"):
        Config.load(file, ["features.job=null"])
    assert len(Config.load(file, ["features.city_x_job=null", "features.job=null"]).features) == 1
    with pytest.raises(ConfigError, match="features: expected a list of at least 1"):
        Config.load(file, [f"features.{name}=null" for name in ("city_x_job", "job", "city")])
    with pytest.raises(ConfigError, match="the list has no element 'jo'"):
        Config.load(file, ["features.jo=null"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": []}, r"features\[1\]\.columns: expected a list of columns, .*Received: \[\]"),
        ({"columns": "I1"}, r"features\[1\]\.columns: expected a list of columns, .*Received: 'I1'"),
        ({"columns": ["I1", 2]}, r"features\[1\]\.columns: expected a list of columns.*\['I1', 2\]"),
        ({"columns": ["I1", ""]}, r"features\[1\]\.columns: expected a list of columns"),
        ({"columns": None}, r"features\[1\]\.columns: expected a list of columns"),
        ({"columns": ["I1", "I2", "I1"]}, r"features\[1\]\.columns: 'I1' is listed twice"),
        ({"column": "I1"}, r"features\[1\]: columns stands beside column: 'I1'. Give one of them"),
        ({"name": "i"}, r"features\[1\]: columns stands beside name: 'i'. Each feature is named by its column"),
        ({"fil": 0}, r"features\[1\] \(column 'I1'\)\.fil: unknown key. Did you mean 'fill'"),
        ({"normalization": "none", "clip": "x"}, r"features\[1\] \(column 'I 3'\)\.clip"),
        ({"columns": ["I1", "y"]}, r"features\[1\] \(column 'y'\): 'y' reads the label's column 'y'"),
        ({"columns": ["city", "I1"]}, r"features\[1\] \(column 'city'\): the name 'city' is taken by another"),
    ],
)
def test_a_mistake_is_said_where_it_was_written(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    features = CITY, {**NUMBERS, **change}, {"type": "categorical", "column": "job"}
    with pytest.raises(ConfigError, match=message):
        Config.of(values(*features))
    with pytest.raises(ConfigError, match=message):
        Config.load(written(tmp_path / "a.yaml", *features))


def test_a_mistake_behind_many_columns_and_a_feature_that_was_left_out(tmp_path: Path) -> None:
    file = written(tmp_path / "a.yaml", NUMBERS, CITY, {"type": "categorical", "column": "job", "embeding": 3})
    with pytest.raises(ConfigError, match=r"features\[2\]\.embeding: unknown key"):
        Config.load(file, ["features.I1=null", "features.city=null"])
    # One that an override replaces is counted as it stands.
    with pytest.raises(ConfigError, match=r"features\[4\]\.colum: unknown key"):
        Config.load(file, ["features.job={type: categorical, colum: job}"])


def test_one_object_that_stands_twice_is_found_where_it_is_repeated() -> None:
    with pytest.raises(ConfigError, match=r"features\[2\]: the name 'city' is taken by another feature"):
        Config.of(values(CITY, NUMBERS, CITY))


def test_a_cross_has_keys_and_no_columns() -> None:
    cross = {"type": "cross", "columns": ["a", "b"], "bins": 10}
    with pytest.raises(ConfigError, match=r"features\[1\]\.columns: unknown key"):
        Config.of(values(CITY, cross))


def test_copies_of_a_long_list_are_counted() -> None:
    """Ten lines would make a tree that fills the memory."""
    words = [f"w{number}" for number in range(2000)]
    long = {"type": "categorical", "columns": [f"c{number}" for number in range(600)], "vocabulary": words}
    with pytest.raises(ConfigError, match="expected at most 1,000,000 values in all"):
        Config.of(values(long))
