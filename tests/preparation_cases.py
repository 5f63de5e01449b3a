"""What the tests of preparation share: a log of a shop, a configuration of it, and what is made of it as frames."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfwd.config.config import Config
from tfwd.preparation.prepare import prepare

HISTORY = {"name": "liked", "user": "user", "item": "item", "time": "at", "where": "stars >= 4", "length": 5}


def log(rows: int = 400, users: int = 12, seed: int = 0) -> pd.DataFrame:
    """Events in no order, several at one time, some without a user, an item or a time."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "user": pd.array([f"u{n}" for n in random.integers(0, users, rows)], dtype="string"),
            "item": pd.array(random.integers(0, 30, rows), dtype="Int64"),
            "at": pd.array(random.integers(0, 60, rows), dtype="Int64"),
            "stars": random.integers(1, 6, rows),
        }
    )
    for column in ("user", "item", "at"):
        frame.loc[random.random(rows) < 0.03, column] = pd.NA
    frame["number"] = np.arange(rows)
    return frame


class Event(NamedTuple):
    """What happened: who, what, when, and whether later events know of it."""

    user: str | None
    item: int | None
    time: int | None
    listed: bool | None


def expected(events: list[Event], user: str | None, time: float | None, length: int) -> list[int]:
    """The history of an event: plain Python, one event after the other."""
    if user is None or time is None:
        return []
    before = [
        (event.time, event.item)
        for event in events
        if event.user == user and event.listed and event.item is not None and event.time is not None
        if event.time < time
    ]
    return [item for _, item in sorted(before)][-length:]


def events_of(frame: pd.DataFrame) -> list[Event]:
    """The events of a log, of which those with four stars are listed."""
    columns = frame[["user", "item", "at"]].astype(object)
    rows = columns.where(columns.notna(), None).itertuples(index=False)
    return [Event(row[0], row[1], row[2], stars >= 4) for row, stars in zip(rows, frame["stars"], strict=True)]


def config(data: dict[str, Any] | None = None, **sections: Any) -> Config:
    """A configuration that reads the item and knows whether it got stars enough."""
    values: dict[str, Any] = {
        "data": {"label": {"column": "stars", "positive": "5"}, **(data or {})},
        "features": [{"type": "categorical", "column": "item"}],
        "model": {"heads": ["wide"]},
        **sections,
    }
    return Config.of(values)


def made(chosen: Config, **frames: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The files that become of a configuration, by name, as frames."""
    with tempfile.TemporaryDirectory(prefix="tfwd-prepared-") as name:
        folder = Path(name)
        counts = prepare(chosen, folder, **frames)
        found = {file.stem: pd.read_parquet(file, dtype_backend="pyarrow") for file in sorted(folder.iterdir())}
    assert counts == {part: len(found[part]) for part in counts}
    return found


def numbers(frame: pd.DataFrame) -> list[int]:
    """Which rows of the log they are."""
    return [int(value) for value in frame["number"]]
