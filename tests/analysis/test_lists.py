"""Vocabularies of lists: the values that the model sees, counted as Python's Counter counts them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwd.analysis.analyze import analyze
from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.config import Config
from tfwd.data import Rows, Source, resolve_schema
from tfwd.errors import DataError

_WORD = st.one_of(st.none(), st.sampled_from(["a", "b", "", "città"]), st.text("xyz", max_size=2))


def learn(data: Any, features: list[dict[str, Any]], **options: Any) -> FeatureStatistics:
    config = Config.of({"data": {"label": "y"}, "features": features, "model": {"heads": ["wide"]}})
    source = Source.open(data)
    return analyze(Rows(source, resolve_schema(config, source), **options), config)


def bag(column: str = "bag", **options: Any) -> dict[str, Any]:
    return {"type": "categorical", "column": column, "max_length": 3, **options}


def table(bags: list[list[str | None] | None]) -> pa.Table:
    return pa.table({"bag": pa.array(bags, pa.list_(pa.string())), "y": [index % 2 for index in range(len(bags))]})


def counted(bags: list[Any], length: int) -> Counter[str]:
    return Counter(word for bag in bags for word in [word for word in bag or [] if word][-length:])


@settings(max_examples=8, deadline=None)
@given(
    bags=st.lists(st.one_of(st.none(), st.lists(_WORD, max_size=8)), min_size=2, max_size=20),
    length=st.integers(1, 5),
    min_count=st.integers(1, 3),
    max_size=st.one_of(st.none(), st.integers(1, 4)),
)
def test_the_kept_values_are_counted(bags: list[Any], length: int, min_count: int, max_size: int | None) -> None:
    bags = [*bags, ["always"], ["always"], ["always"]]
    features = [
        bag(max_length=length, min_count=min_count, max_size=max_size),
        # Another feature may keep more of the same column.
        bag(max_length=5, name="more"),
        bag(max_length=length, name="given", vocabulary=["a", "never"]),
    ]
    found = learn(table(bags), features).vocabularies
    counts = counted(bags, length)
    empty = sum(not any(bag or []) for bag in bags)
    frequent = sorted(((w, n) for w, n in counts.items() if n >= min_count), key=lambda pair: (-pair[1], pair[0]))
    frequent = frequent[:max_size]
    assert list(zip(found["bag"].values, found["bag"].counts, strict=True)) == frequent
    assert found["bag"].missing == found["more"].missing == found["given"].missing == empty
    assert found["bag"].unlisted == counts.total() - sum(n for _, n in frequent)
    assert dict(zip(found["more"].values, found["more"].counts, strict=True)) == counted(bags, 5)
    assert (found["given"].values, found["given"].counts) == (("a", "never"), (counts["a"], 0))
    assert found["given"].unlisted == counts.total() - counts["a"]


def test_integers_and_text_with_a_delimiter() -> None:
    data = pa.table({"ids": [[3, 3, 5], [10, None]], "text": ["x|y||y", ""], "y": [0, 1]})
    found = learn(data, [bag("ids"), bag("text", delimiter="|", max_length=2)]).vocabularies
    assert (found["ids"].values, found["ids"].counts) == (("3", "5", "10"), (2, 1, 1))
    assert (found["text"].values, found["text"].counts, found["text"].missing) == (("y",), (2,), 1)


def test_a_shared_vocabulary_is_learned_once_from_its_owner() -> None:
    data = pa.table({"shown": ["m", "n"], "liked": [["k"], ["m", "k"]], "w": [[1.0], [0.5, 2.0]], "y": [0, 1]})
    shown = {"type": "categorical", "column": "shown", "embedding": 4}
    for sharing in ({"vocabulary_of": "shown"}, {"embedding": "shown"}):
        config = [shown, bag("liked", weights="w", **sharing)]
        source = Source.open(data)
        heads = {"heads": ["wide", "deep"]}
        whole = Config.of({"data": {"label": "y"}, "features": config, "model": heads})
        found = analyze(Rows(source, resolve_schema(whole, source)), whole)
        assert set(found.vocabularies) == {"shown"}
        assert found.vocabularies["shown"].values == ("m", "n")


@pytest.mark.parametrize("bags", [[None, []], [["", None], []]])
def test_no_value_at_all(bags: list[Any]) -> None:
    with pytest.raises(DataError, match="'bag' is missing in all 2 rows"):
        learn(table(bags), [bag()])


@pytest.mark.parametrize("options", [{}, {"split": "train", "fraction": 0.2}], ids=["all rows", "split"])
def test_order_files_and_threads_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    random = np.random.default_rng(0)
    words = [f"w{index}" for index in range(400)]
    bags = [[words[index] for index in random.zipf(1.4, size) % 400] for size in random.integers(0, 6, 5000)]
    whole, features = table(bags), [bag(min_count=3, max_size=50)]
    expected = learn(whole, features, **options)
    turned = whole.take(random.permutation(5000))
    for part in range(3):
        pq.write_table(turned.slice(part * 1700, 1700), tmp_path / f"{part}.parquet", row_group_size=500)
    assert learn(tmp_path, features, **options) == expected
    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *_: connect(config={"threads": 1}))
    assert learn(tmp_path, features, **options) == expected
