"""Typed batches: equal from every format, in an order that is a function of seed and epoch."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwd.config.config import Config
from tfwd.data import Batch, Rows, Source, resolve_schema
from tfwd.data.dataset import original_errors
from tfwd.data.order import generator, pieces, shuffled
from tfwd.errors import DataError
from tfwd.schema import MISSING_INTEGER, Input, Schema

FORMS = ["csv", "csv.gz", "tsv", "parquet", "folder", "frame"]


def joined(batches: list[Batch]) -> dict[str, np.ndarray]:
    columns = {name: np.concatenate([b.inputs[name] for b in batches]) for name in batches[0].inputs}
    for part in ("label", "weight"):
        if getattr(batches[0], part) is not None:
            columns[f"<{part}>"] = np.concatenate([getattr(batch, part) for batch in batches])
    return columns


def same(one: list[Batch], other: list[Batch]) -> bool:
    a, b = joined(one), joined(other)
    sizes = [len(x.label) for x in one] == [len(x.label) for x in other]  # type: ignore[arg-type]
    return sizes and a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_frame_itself(frame: pd.DataFrame, write: Any, rows_of: Any, form: str) -> None:
    rows = rows_of(write(frame, form))
    batches = list(rows.batches(64))
    assert [len(batch.label) for batch in batches] == [64] * 15 + [40]
    columns = joined(batches)
    assert columns["word"].tolist() == frame["word"].fillna("").tolist()
    assert columns["user_id"].tolist() == frame["user id"].tolist()
    np.testing.assert_array_equal(columns["number"], frame["number"].to_numpy(np.float32))
    np.testing.assert_array_equal(columns["<label>"], frame[["y"]].to_numpy(np.float32))
    assert columns["number"].dtype == columns["<label>"].dtype == np.float32
    assert rows.count() == 1000


@pytest.mark.parametrize("form", FORMS)
def test_dataset_holds_the_batches(frame: pd.DataFrame, write: Any, rows_of: Any, form: str) -> None:
    rows = rows_of(write(frame, form))
    order = (3, 1)
    expected = list(rows.batches(96, order=order, shuffle_rows=200))
    found = list(rows.dataset(96, order=order, shuffle_rows=200).as_numpy_iterator())
    assert len(found) == len(expected)
    for (inputs, label), batch in zip(found, expected, strict=True):
        np.testing.assert_array_equal(label, batch.label)
        np.testing.assert_array_equal(inputs["number"], batch.inputs["number"])
        assert [word.decode() for word in inputs["word"]] == batch.inputs["word"].tolist()


@pytest.mark.parametrize("split", [None, "train", "validation"])
def test_dataset_knows_how_many_batches_it_has(frame: pd.DataFrame, rows_of: Any, split: Any) -> None:
    rows = rows_of(frame, split=split, fraction=0.3 if split else 0.0)
    for size, skip in ((96, 0), (100, 3), (1000, 0), (5000, 0), (96, 50)) if split is None else ((96, 0), (100, 3)):
        dataset = rows.dataset(size, skip=skip)
        assert int(dataset.cardinality()) == len(list(dataset)) == len(list(rows.batches(size, skip=skip)))


@pytest.mark.parametrize("counted", [999, 1001])
def test_rows_that_change_after_they_were_counted_are_noticed(frame: pd.DataFrame, rows_of: Any, counted: int) -> None:
    rows = rows_of(frame)
    rows._count = counted
    found = "more" if counted < 1000 else "fewer"
    with (
        pytest.raises(DataError, match=f"changed after its rows were counted: {found} than {counted:,}. Open it"),
        original_errors(),
    ):
        list(rows.dataset(300))


def test_order_is_a_function_of_seed_and_epoch(frame: pd.DataFrame, write: Any, rows_of: Any) -> None:
    data = write(frame, "folder")
    one = list(rows_of(data).batches(64, order=(7, 0), shuffle_rows=150))
    assert same(one, list(rows_of(data).batches(64, order=(7, 0), shuffle_rows=150)))
    for other in ((7, 1), (8, 0)):
        again = list(rows_of(data).batches(64, order=other, shuffle_rows=150))
        assert not np.array_equal(joined(one)["row"], joined(again)["row"])
        assert sorted(joined(again)["row"]) == list(range(1000))


def test_order_is_the_same_in_another_process(frame: pd.DataFrame, write: Any, rows_of: Any) -> None:
    data = write(frame, "parquet")
    script = (
        "import sys; from tfwd.data import *; from tfwd.schema import *\n"
        "rows = Rows(Source.open(sys.argv[1]), Schema((Input('row', 'row', 'float'),), 'regression', 'y'))\n"
        "print(*(int(r) for b in rows.batches(9, order=(1, 2), shuffle_rows=90) for r in b.inputs['row']))"
    )
    done = subprocess.run([sys.executable, "-c", script, data], capture_output=True, text=True, check=True)
    here = joined(list(rows_of(data).batches(64, order=(1, 2), shuffle_rows=90)))["row"]
    assert [int(row) for row in done.stdout.split()] == here.astype(int).tolist()


@pytest.mark.parametrize("order", [None, (5, 2)])
@pytest.mark.parametrize("skip", [1, 7, 15, 16, 40])
def test_skip_goes_on_where_the_full_stream_would(
    frame: pd.DataFrame, write: Any, rows_of: Any, order: tuple[int, int] | None, skip: int
) -> None:
    rows = rows_of(write(frame, "folder"))
    full = list(rows.batches(64, order=order, shuffle_rows=150))
    rest = list(rows.batches(64, order=order, shuffle_rows=150, skip=skip))
    assert len(rest) == max(len(full) - skip, 0)
    assert not rest or same(full[skip:], rest)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=12),
    pool=st.integers(1, 60),
    cut=st.integers(1, 30),
)
def test_shuffle_loses_nothing_and_ignores_the_cut(sizes: list[int], pool: int, cut: int) -> None:
    values = np.arange(sum(sizes))
    whole = pa.table({"value": values})
    edges = np.cumsum([0, *sizes])
    tables = [whole.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    one = [v for t in shuffled(tables, pool, generator(1, 1)) for v in t["value"].to_pylist()]
    other = [v for t in shuffled(pieces([whole], cut), pool, generator(1, 1)) for v in t["value"].to_pylist()]
    assert one == other
    assert sorted(one) == values.tolist()


def test_shuffle_pool_holds_no_more_than_it_may() -> None:
    taken = 0

    def source() -> Any:
        nonlocal taken
        for _ in range(500):
            taken += 100
            yield pa.table({"value": np.zeros(100)})

    given_out = 0
    for table in shuffled(source(), 1000, generator(0, 0)):
        given_out += table.num_rows
        assert taken - given_out <= 1000
    assert given_out == 50_000


def test_row_groups_are_permuted(tmp_path: Any, rows_of: Any) -> None:
    count = 300_000
    frame = pd.DataFrame({"row": np.arange(count), "y": np.zeros(count)})
    frame.to_parquet(tmp_path / "long.parquet")
    schema = Schema((Input("row", "row", "float"),), "regression", "y")
    for data in (str(tmp_path / "long.parquet"), frame):
        rows = Rows(Source.open(data), schema)
        found = np.concatenate([b.inputs["row"] for b in rows.batches(1000, order=(0, 3), shuffle_rows=1000)])
        assert sorted(found) == list(range(count))
        assert (np.abs(np.diff(found)) > 60_000).sum() > 1
        in_order = np.concatenate([batch.inputs["row"] for batch in rows.batches(1000)])
        np.testing.assert_array_equal(in_order, np.arange(count))


@pytest.mark.parametrize(("fraction", "forms"), [(0.1, ("csv", "parquet")), (0.5, FORMS)])
def test_split_is_disjoint_complete_and_the_same_from_every_format(
    frame: pd.DataFrame, write: Any, rows_of: Any, fraction: float, forms: Sequence[str]
) -> None:
    kept = {}
    for form in forms:
        data = write(frame, form)
        parts = [rows_of(data, split=split, fraction=fraction) for split in ("train", "validation")]
        kept[form] = [[int(r) for b in rows.batches(50) for r in b.inputs["row"]] for rows in parts]
        assert sorted(kept[form][0] + kept[form][1]) == list(range(1000))
        assert [rows.count() for rows in parts] == [len(part) for part in kept[form]]
        shuffled_rows = [int(r) for b in parts[0].batches(50, order=(0, 0)) for r in b.inputs["row"]]
        assert sorted(shuffled_rows) == kept[form][0]
    assert all(part == kept["csv"] for part in kept.values())
    assert abs(len(kept["csv"][1]) - 1000 * fraction) < 60


def test_split_keeps_equal_rows_together_in_any_order(frame: pd.DataFrame, rows_of: Any) -> None:
    doubled = pd.concat([frame, frame.iloc[::-1]], ignore_index=True)
    once = [int(r) for b in rows_of(frame, split="validation", fraction=0.3).batches(9) for r in b.inputs["row"]]
    twice = [int(r) for b in rows_of(doubled, split="validation", fraction=0.3).batches(9) for r in b.inputs["row"]]
    assert sorted(twice) == sorted(once * 2)


def test_split_under_a_filter_agrees_with_the_whole(frame: pd.DataFrame, write: Any, configure: Any) -> None:
    features = [{"type": "numeric", "column": "row"}]
    data = write(frame, "folder")
    found = {}
    for condition in (None, '"row" >= 300 and "row" < 800'):
        config = configure(features, filter=condition)
        source = Source.open(data, filter=condition)
        rows = Rows(source, resolve_schema(config, source), split="validation", fraction=0.2).with_classes(("0", "1"))
        found[condition] = [int(r) for b in rows.batches(64) for r in b.inputs["row"]]
    assert found['"row" >= 300 and "row" < 800'] == [row for row in found[None] if 300 <= row < 800]


def test_types_of_columns(configure: Any) -> None:
    frame = pd.DataFrame(
        {
            "flag": [True, False, None],
            "day": pd.to_datetime(["2020-01-02", None, "2021-12-31"]).date,
            "moment": pd.to_datetime(["2020-01-02 03:04:05", None, "2021-12-31 00:00:01"]),
            "big": pd.array([2**62 + 1, None, -5], dtype="Int64"),
            "huge": np.array([2**64 - 1, 0, 5], dtype=np.uint64),
            "text": pd.Categorical(["x", None, "y"]),
            "number": [np.inf, 1e300, -0.5],
            "y": [1, 0, 1],
        }
    )
    features = [{"type": "categorical", "column": c} for c in frame.columns if c not in ("number", "y")]
    config = configure([*features, {"type": "numeric", "column": "number"}])
    source = Source.open(frame)
    schema = resolve_schema(config, source)
    assert [entry.kind for entry in schema.inputs] == ["string"] * 3 + ["integer"] + ["string"] * 2 + ["float"]
    batch = next(Rows(source, schema).with_classes(("0", "1")).batches(3))
    assert batch.inputs["flag"].tolist() == ["true", "false", ""]
    assert batch.inputs["day"].tolist() == ["2020-01-02", "", "2021-12-31"]
    assert batch.inputs["moment"].tolist() == ["2020-01-02 03:04:05", "", "2021-12-31 00:00:01"]
    assert batch.inputs["big"].tolist() == [2**62 + 1, MISSING_INTEGER, -5]
    assert batch.inputs["huge"].tolist() == [str(2**64 - 1), "0", "5"]
    assert batch.inputs["text"].tolist() == ["x", "", "y"]
    np.testing.assert_array_equal(batch.inputs["number"], np.float32([np.inf, np.nan, -0.5]))


def test_columns_named_like_our_own(configure: Any) -> None:
    frame = pd.DataFrame(
        {"x1": ["a", "b"], "x0": ["c", "d"], "weight": [1.0, 2.0], "label": ["e", "f"], "k0": ["g", "h"], "y": [0, 1]}
    )
    config = configure([{"type": "categorical", "column": c} for c in ("x1", "x0", "label")], weight="weight")
    source = Source.open(frame, filter="x0 <> 'zzz'")
    rows = Rows(source, resolve_schema(config, source), key=("k0", "x0")).with_classes(("0", "1"))
    (batch,) = rows.batches(8)
    assert {name: values.tolist() for name, values in batch.inputs.items()} == {
        "x1": ["a", "b"],
        "x0": ["c", "d"],
        "label": ["e", "f"],
    }
    assert batch.weight is not None
    assert batch.weight.tolist() == [1.0, 2.0]
    assert batch.key is not None
    assert batch.key.to_pydict() == {"k0": ["g", "h"], "x0": ["c", "d"]}


def test_integers_in_csv(tmp_path: Any, configure: Any) -> None:
    (tmp_path / "a.csv").write_text("code,bin,y\n00701,3,0\n,0,1\n-12,,1\n")
    config = configure(
        [
            {"type": "categorical", "column": "code", "dtype": "integer"},
            {"type": "categorical", "column": "bin", "identity": 5},
        ]
    )
    source = Source.open(tmp_path / "a.csv")
    (batch,) = Rows(source, resolve_schema(config, source)).with_classes(("0", "1")).batches(5)
    assert batch.inputs["code"].tolist() == [701, MISSING_INTEGER, -12]
    assert batch.inputs["bin"].tolist() == [3, 0, MISSING_INTEGER]


def test_unlabelled_rows_need_no_label(frame: pd.DataFrame, small_config: Config) -> None:
    labelled = Source.open(frame)
    schema = resolve_schema(small_config, labelled)
    rows = Rows(Source.open(frame.drop(columns="y")), schema, labelled=False, key=("row",))
    batches = list(rows.batches(300))
    assert batches[0].label is None
    assert [row for batch in batches for row in batch.key["row"].to_pylist()] == list(range(1000))  # type: ignore[index]
    element = next(iter(rows.dataset(300)))
    assert set(element) == {"word", "user_id", "number", "row"}


@pytest.mark.parametrize(
    "column", [[0, 1, 1], [False, True, True], ["0", "1", "1"], ["False", "True", "True"], [0.0, 1.0, 1.0]]
)
@pytest.mark.parametrize("classes", [("0", "1"), ("false", "true")])
def test_plain_labels_in_any_type(configure: Any, column: list[Any], classes: tuple[str, ...]) -> None:
    source = Source.open(pd.DataFrame({"c": ["a", "b", "c"], "y": column}))
    schema = resolve_schema(configure([{"type": "categorical", "column": "c"}]), source)
    (batch,) = Rows(source, schema).with_classes(classes).batches(4)
    assert batch.label is not None
    assert batch.label.tolist() == [[0.0], [1.0], [1.0]]


def test_class_weights_multiply_the_weight(configure: Any) -> None:
    frame = pd.DataFrame({"c": ["a", "b", "c"], "y": ["no", "yes", "no"], "w": [1.0, 2.0, 3.0]})
    for weight, expected in ((None, [0.5, 1.0, 0.5]), ("w", [0.5, 2.0, 1.5])):
        config = configure(
            [{"type": "categorical", "column": "c"}], label={"column": "y", "positive": "yes"}, weight=weight
        )
        source = Source.open(frame)
        rows = Rows(source, resolve_schema(config, source)).with_classes(("no", "yes"))
        _, _, w = next(rows.dataset(5, class_weights={"no": 0.5}).as_numpy_iterator())
        assert w.tolist() == expected


def test_multiclass_labels_are_indices(configure: Any) -> None:
    frame = pd.DataFrame({"c": ["a", "b", "c"], "y": [3, 1, 2]})
    config = configure(
        [{"type": "categorical", "column": "c"}], task="multiclass", label={"column": "y", "classes": [3, 2, 1]}
    )
    source = Source.open(frame)
    schema = resolve_schema(config, source)
    assert schema.classes == ("3", "2", "1")
    (batch,) = Rows(source, schema).batches(5)
    assert batch.label is not None
    assert batch.label.dtype == np.int32
    assert batch.label.tolist() == [[0], [2], [1]]
