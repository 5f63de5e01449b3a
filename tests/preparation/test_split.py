"""The parts of a split against plain Python."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from preparation_cases import config, log, made, numbers

from tfwd.errors import ConfigError, DataError

PARTS = ("train", "validation", "test")


def split(frame: pd.DataFrame, data: dict[str, Any] | None = None, **how: Any) -> dict[str, list[int]]:
    """The rows of each part; a part without rows has no file."""
    found = made(config({**(data or {}), "split": how}), train=frame)
    assert set(found) <= set(PARTS)
    return {part: numbers(found[part]) if part in found else [] for part in PARTS}


def whole(parts: dict[str, list[int]], rows: int) -> bool:
    """Every row is in one part, and in each they keep their order."""
    return sorted(row for found in parts.values() for row in found) == list(range(rows)) and all(
        found == sorted(found) for found in parts.values()
    )


def share(text: str) -> float:
    """Where a text falls in [0, 1)."""
    return int(hashlib.md5(text.encode()).hexdigest()[:13], 16) / 16**13


def by_share(places: list[float], validation: float, test: float) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for row, place in enumerate(places):
        parts["test" if place < test else "validation" if place < test + validation else "train"].append(row)
    return parts


def texts(frame: pd.DataFrame) -> list[str]:
    """A row's values by the names of their columns, and a sign where there is none."""
    return [
        chr(31).join(chr(30) if pd.isna(row[column]) else str(row[column]) for column in sorted(frame.columns))
        for row in frame.astype(object).to_dict("records")
    ]


def test_random() -> None:
    frame = log(2000)
    parts = split(frame, by="random", validation=0.1, test=0.2)
    assert whole(parts, 2000)
    assert parts == by_share([share(text) for text in texts(frame)], 0.1, 0.2)
    assert abs(len(parts["test"]) / 2000 - 0.2) < 0.03
    assert abs(len(parts["validation"]) / 2000 - 0.1) < 0.03


def test_equal_rows_stay_together_and_order_does_not_matter() -> None:
    frame = log(300)
    twice = pd.concat([frame, frame]).sample(frac=1, random_state=1)
    once = split(frame, by="random", validation=0.2, test=0.2)
    found = made(config({"split": {"by": "random", "validation": 0.2, "test": 0.2}}), train=twice)
    assert {part: sorted(numbers(found[part])) for part in PARTS} == {part: sorted(once[part] * 2) for part in PARTS}


def test_random_with_a_computed_column_in_the_place_of_its_own() -> None:
    text = log(200).astype("string")
    parts = split(text, {"columns": {"at": "cast(at as bigint)"}}, by="random", validation=0.2, test=0.2)
    assert whole(parts, 200)
    assert all(parts.values())


def test_user() -> None:
    frame = log(3000, users=400)
    parts = split(frame, by="user", user="user", validation=0.2, test=0.1)
    places = [share(chr(30) if pd.isna(user) else user) for user in frame["user"]]
    assert whole(parts, 3000)
    assert parts == by_share(places, 0.2, 0.1)
    users = {part: set(frame["user"].iloc[rows].dropna()) for part, rows in parts.items()}
    assert sum(map(len, users.values())) == frame["user"].nunique(), "no user is in two parts"
    assert abs(len(users["test"]) / 400 - 0.1) < 0.05
    assert abs(len(users["validation"]) / 400 - 0.2) < 0.07


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.1), (0.25, 0), (0, 0.3), (0.03, 0.03)])
def test_time_by_shares(validation: float, test: float) -> None:
    frame = log(1000).dropna(subset=["at"]).reset_index(drop=True)
    frame["number"] = range(len(frame))
    parts = split(frame, by="time", time="at", validation=validation, test=test)
    assert whole(parts, len(frame))
    # A part begins with the moment in which its share begins, so that none is torn apart.
    ordered, times = sorted(frame["at"]), list(frame["at"])
    first = ordered[len(ordered) - round(test * len(ordered))] if test else float("inf")
    middle = ordered[len(ordered) - round((test + validation) * len(ordered))] if validation else first
    assert parts["test"] == [row for row, at in enumerate(times) if at >= first]
    assert parts["validation"] == [row for row, at in enumerate(times) if middle <= at < first]
    assert len(parts["test"]) >= round(test * len(frame))


@pytest.mark.parametrize("kind", ["seconds", "timestamp", "timestamp with a zone", "date", "fraction"])
def test_time_by_moments(kind: str) -> None:
    frame = log(500).dropna(subset=["at"]).reset_index(drop=True)
    frame["number"] = range(len(frame))
    days = frame["at"].astype("int64")
    moments = pd.Timestamp("2000-11-01") + pd.to_timedelta(days, unit="D")
    times: dict[str, Any] = {
        "seconds": (moments - pd.Timestamp(0)) // pd.Timedelta(seconds=1),
        "timestamp": moments,
        "timestamp with a zone": moments.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        "date": moments.dt.date,
        "fraction": days / 1,
    }
    frame["at"] = times[kind]
    cuts = (40.0, 50.0) if kind == "fraction" else ("2000-12-11", "2000-12-21")
    parts = split(frame, by="time", time="at", validation=cuts[0], test=cuts[1])
    assert whole(parts, len(frame))
    assert parts["test"] == [row for row, day in enumerate(days) if day >= 50]
    assert parts["validation"] == [row for row, day in enumerate(days) if 40 <= day < 50]


def test_time_by_a_moment_and_a_share() -> None:
    frame = pd.DataFrame({"item": 1, "at": range(100), "stars": 5, "number": range(100)})
    parts = split(frame, by="time", time="at", validation=0.1, test=80)
    assert parts["test"] == list(range(80, 100))
    assert parts["validation"] == list(range(70, 80))


@pytest.mark.parametrize(("validation", "test"), [(1, 1), (2, 3), (0, 2), (1, 0)])
def test_last(validation: int, test: int) -> None:
    frame = log(400)
    # Every row has its own time, and some users have fewer rows than are asked for.
    frame["at"] = np.random.default_rng(3).permutation(400)
    frame.loc[0, "user"] = "once"
    parts = split(frame, by="last", user="user", time="at", validation=validation, test=test)
    assert whole(parts, 400)
    wanted: dict[str, list[int]] = {part: [] for part in PARTS}
    for user in set(frame["user"].dropna()):
        own = frame[frame["user"] == user].sort_values("at")["number"].tolist()
        wanted["test"] += own[max(0, len(own) - test) :]
        wanted["validation"] += own[max(0, len(own) - test - validation) : max(0, len(own) - test)]
    wanted = {part: sorted(rows) for part, rows in wanted.items()}
    assert parts["test"] == wanted["test"]
    assert parts["validation"] == wanted["validation"]


def test_last_of_one_time_does_not_depend_on_the_order_of_the_file() -> None:
    frame = log(400).dropna(subset=["at"])
    frame["at"] = 7
    how = {"by": "last", "user": "user", "time": "at", "validation": 2, "test": 2}
    first = made(config({"split": how}), train=frame)
    other = made(config({"split": how}), train=frame.sample(frac=1, random_state=5))
    for part in PARTS:
        assert sorted(numbers(first[part])) == sorted(numbers(other[part]))
    assert set(Counter(first["test"]["user"]).values()) == {2}


def test_a_filter_comes_before_the_split_and_after_the_history() -> None:
    frame = pd.DataFrame({"item": range(10), "at": range(10), "user": "u", "stars": [5, 1] * 5, "number": range(10)})
    history = {"name": "before", "user": "user", "item": "item", "time": "at", "length": 3}
    data = {
        "filter": "stars = 5",
        "history": history,
        "split": {"by": "time", "time": "at", "validation": 0.2, "test": 0.2},
    }
    found = made(config(data), train=frame)
    assert {part: numbers(found[part]) for part in PARTS} == {"train": [0, 2, 4], "validation": [6], "test": [8]}
    assert list(found["test"]["before"].iloc[0]) == [5, 6, 7]


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        (
            {"by": "user", "user": "usr"},
            DataError,
            "data.split.user: DataFrame has no column 'usr'. Did you mean 'user'?",
        ),
        ({"by": "time", "time": "when"}, DataError, "data.split.time: DataFrame has no column 'when'."),
        (
            {"by": "time", "time": "user"},
            ConfigError,
            'Make it a number or a moment in data.columns, as in user: "cast(',
        ),
        ({"by": "time", "time": "at"}, DataError, "have no at. Leave them out, for example with data.filter"),
        (
            {"by": "time", "time": "number", "test": "soon"},
            ConfigError,
            "data.split.test: 'soon' is not a date or moment",
        ),
        ({"by": "time", "time": "day", "test": "2000-13-01"}, DataError, "data.split.test cannot be computed"),
        ({"by": "time", "time": "day", "test": 30}, ConfigError, "data.split.test: 30"),
        ({"by": "time", "time": "number", "test": 1000}, DataError, "No test rows come out of DataFrame"),
        (
            {"by": "time", "time": "number", "test": -1},
            ConfigError,
            "test is a fraction from 0 to below 1, or a moment",
        ),
        ({"by": "random", "test": 0.6, "validation": 0.4}, ConfigError, "must leave some to train on"),
        ({"by": "random", "user": "user"}, ConfigError, "a split by random has no use for `user`"),
        ({"by": "last", "user": "user"}, ConfigError, "a split by last needs the column in `time`"),
        ({"by": "last", "user": "user", "time": "at", "test": 0.1}, ConfigError, "test is a number of events per user"),
    ],
)
def test_refused(how: dict[str, Any], error: type[Exception], message: str) -> None:
    frame = log(50)
    frame.loc[7, "at"] = pd.NA
    frame["day"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(frame["number"], unit="D")
    with pytest.raises(error) as caught:
        made(config({"split": how}), train=frame)
    assert message in str(caught.value)


def test_one_log_only() -> None:
    with pytest.raises(ConfigError, match="split the log with data.split"):
        config({"test": "other.parquet", "split": {"by": "random"}})
    with pytest.raises(ConfigError, match="give it as `train`, and no other frame"):
        made(config({"split": {"by": "random"}}), train=log(), test=log())


def test_a_filter_that_leaves_nothing() -> None:
    for how in ({"by": "random"}, {"by": "time", "time": "number"}, {"by": "last", "user": "user", "time": "number"}):
        with pytest.raises(DataError, match="No train rows come out of DataFrame"):
            made(config({"filter": "stars > 9", "split": how}), train=log())
