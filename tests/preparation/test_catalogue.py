"""What lists are made from: every item that is known, and every user as of the last event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from preparation_cases import HISTORY, config, events_of, expected, log, made

from tfwd.errors import RunError
from tfwd.preparation.catalogue import copy
from tfwd.preparation.database import open_database

COLUMNS = {"price_class": "case when price > 10 then 'dear' else 'cheap' end", "late": "at > 30"}
FEATURES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "item"},
    {"type": "categorical", "column": "price_class"},
    {"type": "categorical", "column": "kind"},
    {"type": "categorical", "column": "late"},
    {"type": "categorical", "column": "liked", "max_length": 5},
]
RANKING = {"user": "user", "item": "item", "title": "title", "item_columns": ["price_class", "kind"]}


def prepared(tmp_path: Path, train: pd.DataFrame, **data: Any) -> dict[str, pd.DataFrame]:
    first = pd.DataFrame({"item": range(5, 35), "title": [f"No. {n}" for n in range(5, 35)], "price": range(30)})
    # As text, in another order, with an item that nothing else knows and one that has no number.
    second = pd.DataFrame({"item": [str(n) for n in range(40, 9, -1)] + [""], "kind": [f"k{n % 3}" for n in range(32)]})
    first.to_parquet(tmp_path / "titles.parquet")
    second[second["item"] != ""].to_parquet(tmp_path / "kinds.parquet")
    joins = [{"data": str(tmp_path / name), "on": "item"} for name in ("titles.parquet", "kinds.parquet")]
    values = {"join": joins, "columns": COLUMNS, "history": HISTORY, "filter": "stars <> 3", **data}
    return made(config(values, features=FEATURES, ranking=RANKING), train=train)


def test_items(tmp_path: Path) -> None:
    frame = log()
    found = prepared(tmp_path, frame)["items"]
    assert list(found.columns) == ["item", "title", "price_class", "kind"]
    # Items 0 to 29 have events, 30 to 34 a title, 35 to 40 a kind.
    assert list(found["item"]) == sorted({*frame["item"].dropna(), *range(5, 41)})
    for item, title, price_class, kind in found.itertuples(index=False):
        assert (None if pd.isna(title) else title) == (f"No. {item}" if 5 <= item < 35 else None)
        # Without a price the computed class is the other one, in the log and beside it.
        assert price_class == ("dear" if 15 < item < 35 else "cheap")
        assert (None if pd.isna(kind) else kind) == (f"k{(40 - item) % 3}" if item >= 10 else None)


def test_users(tmp_path: Path) -> None:
    frame = log()
    found = prepared(tmp_path, frame)["users"]
    assert list(found.columns) == ["user", "late", "seen", "liked"]
    assert list(found["user"]) == sorted(set(frame["user"].dropna()))
    events = events_of(frame)
    for user, late, seen, liked in found.itertuples(index=False):
        own = frame[frame["user"] == user]
        assert list(seen) == sorted(set(own["item"].dropna()))
        assert list(liked) == expected(events, user, float("inf"), 5)
        last = own.dropna(subset=["at"]).sort_values(["at", "number"]).iloc[-1]
        assert late == (last["at"] > 30)


def test_a_history_of_a_household_is_that_of_the_last_event(tmp_path: Path) -> None:
    frame = log()
    houses = {user: f"house {place % 3}" for place, user in enumerate(sorted(set(frame["user"].dropna())))}
    frame["house"] = frame["user"].map(houses).where(frame["number"] % 2 == 0, "house 9")
    found = prepared(tmp_path, frame, history={**HISTORY, "user": "house"})["users"]
    events = events_of(frame.assign(user=frame["house"]))
    owners = set()
    for user, liked in zip(found["user"], found["liked"], strict=True):
        last = frame[frame["user"] == user].dropna(subset=["at"]).sort_values(["at", "number"]).iloc[-1]
        owners.add(last["house"])
        assert list(liked) == expected(events, last["house"], float("inf"), 5)
    assert len(owners) > 2


def test_a_log_without_times_or_tables() -> None:
    frame = log()
    features = [{"type": "categorical", "column": column} for column in ("item", "at")]
    found = made(config(features=features, ranking={"user": "user", "item": "item"}), train=frame)
    assert list(found["items"]["item"]) == sorted(set(frame["item"].dropna()))
    last = frame.dropna(subset=["user"]).groupby("user").tail(1).set_index("user")["at"]
    for user, at in zip(found["users"]["user"], found["users"]["at"], strict=True):
        assert (pd.isna(at) and pd.isna(last[user])) or at == last[user]


def test_the_last_event_is_that_of_the_latest_time(tmp_path: Path) -> None:
    features = [{"type": "categorical", "column": column} for column in ("item", "town")]
    frame = pd.DataFrame({"user": ["a", "a", "b", "b"], "item": [1, 2, 1, 3], "town": ["now", "then", "then", "now"]})
    frame["stars"], frame["at"] = 5, [9.0, 3.0, 2.0, 4.0]
    chosen = config({"time": "at"}, features=features, ranking={"user": "user", "item": "item"})
    assert list(made(chosen, train=frame)["users"]["town"]) == ["now", "now"]
    # An event without a time is before all others: NaN too, which is later than all times for DuckDB.
    times = pa.array([9.0, float("nan"), 2.0, 4.0], from_pandas=False)
    pq.write_table(pa.Table.from_pandas(frame).drop_columns("at").append_column("at", times), tmp_path / "log.parquet")
    data = {"train": str(tmp_path / "log.parquet"), "history": HISTORY}
    chosen = config(data, features=features, ranking={"user": "user", "item": "item"})
    assert list(made(chosen)["users"]["town"]) == ["now", "now"]


def test_an_item_that_is_computed_of_itself_is_there_once(tmp_path: Path) -> None:
    pd.DataFrame({"item": [1, 2, 3], "kind": ["x", "y", "z"]}).to_parquet(tmp_path / "kinds.parquet")
    frame = pd.DataFrame({"user": ["a", "a", "b"], "item": [1, 2, 1], "stars": [5, 4, 5]})
    features = [{"type": "categorical", "column": column} for column in ("item", "kind")]
    ranking = {"user": "user", "item": "item", "item_columns": ["kind"]}
    join = {"data": str(tmp_path / "kinds.parquet"), "on": "item"}
    for expression, items in (
        ("'m' || item", [("m1", "x"), ("m2", "y"), ("m3", "z")]),
        ("cast(item as varchar)", [("1", "x"), ("2", "y"), ("3", "z")]),
        # Of what the joined table does not have nothing can be computed.
        ("user || item", [("a1", "x"), ("a2", "y"), ("b1", "x")]),
    ):
        data = {"join": join, "columns": {"item": expression}}
        found = made(config(data, features=features, ranking=ranking), train=frame)["items"]
        assert list(found.itertuples(index=False, name=None)) == items


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    full = pytest.raises(RunError, match=r"The rows of log\.csv cannot be prepared: the disk is full\.")
    with open_database(tmp_path, "log.csv", ["/dev/full"]) as database, full:
        copy(database, "SELECT * FROM range(10)", "/dev/full")
