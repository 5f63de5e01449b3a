"""What is unusual in the inputs is counted once, whoever adds it, and what waits to be counted is little."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tfwd.schema import EMPTY_FINGERPRINT, MISSING_INTEGER, Input, Schema
from tfwd.server import drift
from tfwd.server.drift import Watch
from tfwd.server.signature import input_specs

SCHEMA = Schema(
    (
        Input("word", "word", "string"),
        Input("words", "words", "string", 50),
        Input("age", "age", "float"),
        Input("number", "number", "integer"),
        Input("numbers", "numbers", "float", 50),
        Input("url", "url", "string"),
        # No fingerprint of anything, although it is called so.
        Input("device_fingerprint", "device", "integer"),
    ),
    "binary",
    "y",
    ("0", "1"),
)
NAMES = ("word", "words", "age", "number", "numbers", "url_fingerprint", "device_fingerprint")
RANGES = {"age": (18.0, 90.0), "numbers": (0.0, 1.0)}


def watch() -> Watch:
    return Watch(SCHEMA, input_specs(SCHEMA, NAMES), RANGES, lambda _: {})


def rows(count: int, width: int = 2) -> dict[str, np.ndarray]:
    texts = np.full((count, width), "", object)
    return {
        "word": np.array(["a", "", "b"] * count, object)[:count],
        "words": texts,
        "age": np.resize(np.float32([np.nan, 3.0, 20.0]), count),
        "number": np.resize(np.array([MISSING_INTEGER, 1, 2]), count),
        "numbers": np.full((count, width), 2.0, np.float32),
        "url_fingerprint": np.resize(np.array([1, EMPTY_FINGERPRINT - 2**64, MISSING_INTEGER]), count),
        "device_fingerprint": np.resize(np.array([EMPTY_FINGERPRINT - 2**64, 1, MISSING_INTEGER]), count),
    }


def test_what_is_missing_and_what_is_out_of_range() -> None:
    found = watch()
    for count in (3, 1, 2):
        found.add(rows(count), {})
    found.count()
    assert found.taken() == {
        ("word", "missing"): 2,
        ("words", "missing"): 0,
        ("age", "missing"): 3,
        ("number", "missing"): 3,
        ("numbers", "missing"): 0,
        ("url", "missing"): 2,
        ("device_fingerprint", "missing"): 1,
        ("age", "out_of_range"): 2,
        ("numbers", "out_of_range"): 12,
    }
    found.count()
    assert set(found.taken().values()) == {0}


def test_what_waits_is_bounded_by_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows they are in; texts, of any length, do not wait at all."""
    monkeypatch.setattr(drift, "_WAITING_VALUES", 1000)
    found = watch()
    for _ in range(20):
        found.add(rows(1, width=100), {})
        kept = [array for numbers, _ in found._waiting for array in numbers]
        assert sum(array.size for array in kept) < 1000
        assert not [array for array in kept if array.dtype == object]
    found.count()
    assert found.taken()["numbers", "out_of_range"] == 2000


@pytest.fixture
def soon() -> Iterator[None]:
    """Threads take turns often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("soon")
def test_threads_lose_no_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "_WAITING_ROWS", 10)
    found, given, total = watch(), rows(3), 0

    def add() -> None:
        for _ in range(500):
            found.add(given, {})

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found.count()
        total += found.taken()["age", "missing"]
    found.count()
    assert total + found.taken()["age", "missing"] == 1500
