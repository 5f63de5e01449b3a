"""Histories against plain Python, and that they never look ahead."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preparation_cases import HISTORY, Event, config, events_of, expected, log, made

from tfwd.errors import ConfigError, DataError
from tfwd.preparation.database import Database
from tfwd.preparation.history import histories, latest


def computed(events: list[Event], length: int) -> tuple[list[list[int]], dict[str, list[int]]]:
    """The history of each event, and the one that a next event of each user would have."""
    database, before, after = queries(length)
    rows = [{"row": row, **event._asdict()} for row, event in enumerate(events)]
    database.connection.register("given", pa.Table.from_pylist(rows, SCHEMA))
    database.create("e", "SELECT * FROM given")
    found = dict(database.run(before))
    assert all(found.values()), "rows with an empty history are left out"
    return [found.get(row, []) for row in range(len(events))], dict(database.run(after))


@functools.cache
def queries(length: int) -> tuple[Database, str, str]:
    """A database, and what it is asked, which takes longer to say than to answer."""
    database = Database(Path(tempfile.gettempdir()), "events")
    database.connection.register("given", pa.Table.from_pylist([], SCHEMA))
    database.create("e", "SELECT * FROM given")
    table = database.table("e")
    before, after = (str(ibis.to_sql(made(table, length), dialect="duckdb")) for made in (histories, latest))
    return database, before, after


SCHEMA = pa.schema(
    [("row", pa.int64()), ("user", pa.string()), ("item", pa.int64()), ("time", pa.int64()), ("listed", pa.bool_())]
)


USERS = st.sampled_from(["a", "b", None])
ITEMS = st.none() | st.integers(0, 4)
LISTED = st.sampled_from([True, True, False, None])


def some(times: st.SearchStrategy[int | None], most: int = 40) -> st.SearchStrategy[list[Event]]:
    return st.lists(st.builds(Event, USERS, ITEMS, times, LISTED), max_size=most)


@settings(max_examples=25, deadline=None)
@given(some(st.none() | st.integers(0, 9)), st.integers(1, 6))
def test_equals_plain_python(events: list[Event], length: int) -> None:
    found, after = computed(events, length)
    assert found == [expected(events, event.user, event.time, length) for event in events]
    users = {event.user for event in events if event.user is not None}
    everything = {user: expected(events, user, float("inf"), length) for user in users}
    assert after == {user: items for user, items in everything.items() if items}


@settings(max_examples=25, deadline=None)
@given(some(st.integers(0, 9), 20), some(st.integers(10, 14), 15), some(st.integers(10, 14), 15), st.integers(1, 6))
def test_never_looks_ahead(past: list[Event], future: list[Event], other: list[Event], length: int) -> None:
    # One more event of each user at the first moment of the future, which may not know of what else happens in it.
    now = [Event("a", 1, 10, True), Event("b", 2, 10, False)]
    one, _ = computed(past + now + future, length)
    two, _ = computed(past + now + other, length)
    known = len(past) + len(now)
    assert one[:known] == two[:known]
    assert one[:known] == [expected(past, event.user, event.time, length) for event in past + now]


@pytest.mark.parametrize("length", [1, 7, 64, 5000])
def test_long_logs(length: int) -> None:
    random = np.random.default_rng(length)
    events = [
        Event(f"u{int(user)}", int(item), int(time), bool(listed))
        for user, item, time, listed in zip(
            random.integers(0, 3, 900),
            random.integers(0, 9, 900),
            random.integers(0, 300, 900),
            random.random(900) < 0.8,
            strict=True,
        )
    ]
    found, _ = computed(events, length)
    assert found == [expected(events, event.user, event.time, length) for event in events]


@pytest.mark.parametrize("kind", ["Int64", "float64", "datetime64[us]", "datetime64[us, UTC]"])
def test_a_log_in_a_file(kind: str, tmp_path: Path) -> None:
    frame = log()
    missing = frame["at"].isna()
    times = frame["at"].fillna(0)
    whole: Any = (times * 10**9).astype("int64") if "date" in kind else times
    frame["at"] = whole.astype(kind)
    # NaN is no time either, and would come after all others.
    frame.loc[missing, "at"] = None if kind != "float64" else float("nan")
    frame.to_parquet(tmp_path / "log.parquet")
    chosen = config({"train": str(tmp_path / "log.parquet"), "history": HISTORY, "filter": "stars <> 3"})
    found = made(chosen)["train"]

    events = events_of(frame)
    kept = [number for number, stars in enumerate(frame["stars"]) if stars != 3]
    assert [int(number) for number in found["number"]] == kept
    assert [list(items) for items in found["liked"]] == [
        expected(events, events[number].user, events[number].time, 5) for number in kept
    ]
    assert max(map(len, found["liked"])) == 5
    assert min(map(len, found["liked"])) == 0


def test_two_histories_and_what_is_not_there() -> None:
    frame = log()
    every = {key: value for key, value in HISTORY.items() if key != "where"} | {"name": "seen_before", "length": 2}
    found = made(config({"history": [HISTORY, every]}), train=frame)["train"]
    assert max(map(len, found["seen_before"])) == 2
    assert max(map(len, found["liked"])) == 5

    def refused(error: type[Exception], message: str, **changes: Any) -> None:
        with pytest.raises(error) as caught:
            made(config({"history": {**HISTORY, **changes}}), train=frame)
        assert message in str(caught.value)

    refused(DataError, "data.history.liked: DataFrame has no column 'itme'. Did you mean 'item'?", item="itme")
    refused(DataError, "data.history.liked.time: DataFrame has no column 'then'", time="then")
    refused(
        ConfigError, "data.history.liked.time: 'user' is VARCHAR in DataFrame, which has no order of time", time="user"
    )
    refused(ConfigError, "data.history.item: DataFrame has a column of that name already", name="item")
    refused(ConfigError, "data.history.liked.where: there is no column 'star'. Did you mean 'stars'?", where="star > 1")
    refused(ConfigError, "data.history.liked.where: a query is not allowed", where="stars in (select 1)")
