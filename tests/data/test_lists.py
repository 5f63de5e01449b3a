"""Lists a row: the latest values that are there, their weights beside them, against plain Python."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfwd.data import Rows, Source, resolve_schema
from tfwd.errors import ConfigError, DataError
from tfwd.schema import MISSING_INTEGER, Input, Schema

_WORDS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "città", "年齢", "two words"]), st.text("xyz", max_size=3))
_INTEGERS = st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**63) + 1, 2**63 - 1))
_WEIGHTS = st.one_of(st.none(), st.floats(0, 10, width=32))
_LONG = st.integers(0, 200)


def bags(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Rows of (values, weights), either of them possibly None; lists of up to 200."""

    def row(length: int) -> st.SearchStrategy[Any]:
        exact = {"min_size": length, "max_size": length}
        weights = st.one_of(st.none(), st.lists(_WEIGHTS, **exact))
        return st.one_of(st.tuples(st.lists(values, **exact), weights), st.just((None, None)))

    lengths = st.one_of(st.integers(0, 6), _LONG)
    return st.lists(lengths.flatmap(row), min_size=1, max_size=8)


def kept(row: Any, length: int, missing: Any) -> tuple[list[Any], list[float]]:
    """What a row must give: the latest values that are there, and their weights, both filled up."""
    values, weights = row
    values = values or []
    pairs = zip(values, weights if weights is not None else [None] * len(values), strict=True)
    pairs = [(value, math.nan if weight is None else weight) for value, weight in pairs if value not in (None, "")]
    pairs = pairs[-length:]
    rest = length - len(pairs)
    return [v for v, _ in pairs] + [missing] * rest, [w for _, w in pairs] + [math.nan] * rest


def check(data: Any, rows: list[Any], kind: Any, length: int, delimiter: str | None = None) -> None:
    inputs = (
        Input("bag", "bag", kind, length, delimiter),
        Input("weight", "weight", "float", length, delimiter, weighs="bag"),
    )
    schema = Schema(inputs, "regression", "y")
    reader = Rows(Source.open(data), schema)
    expected = [kept(row, length, "" if kind == "string" else MISSING_INTEGER) for row in rows]
    batches = list(reader.batches(3))
    found = {name: np.concatenate([batch.inputs[name] for batch in batches]) for name in ("bag", "weight")}
    assert found["bag"].tolist() == [values for values, _ in expected]
    np.testing.assert_array_equal(found["weight"], np.float32([weights for _, weights in expected]))
    assert found["bag"].dtype == {"string": object, "integer": np.int64}[kind]
    assert found["weight"].dtype == np.float32
    for (inputs, label), batch in zip(reader.dataset(3).as_numpy_iterator(), batches, strict=True):
        assert inputs["bag"].shape == (len(label), length)
        decoded = [[v.decode() if isinstance(v, bytes) else v for v in row] for row in inputs["bag"].tolist()]
        assert decoded == batch.inputs["bag"].tolist()
        np.testing.assert_array_equal(inputs["weight"], batch.inputs["weight"])


def table(rows: list[Any], value: pa.DataType) -> pa.Table:
    values, weights = zip(*rows, strict=True)
    return pa.table(
        {
            "bag": pa.array(values, pa.list_(value)),
            "weight": pa.array(weights, pa.list_(pa.float32())),
            "y": np.arange(len(rows), dtype=float),
        }
    )


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=bags(_WORDS), length=st.one_of(st.integers(1, 4), _LONG.map(lambda n: n + 1)))
def test_lists_of_text(rows: list[Any], length: int) -> None:
    check(table(rows, pa.string()), rows, "string", length)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=bags(_INTEGERS), length=st.one_of(st.integers(1, 4), _LONG.map(lambda n: n + 1)))
def test_lists_of_integers(rows: list[Any], length: int) -> None:
    check(table(rows, pa.int64()), rows, "integer", length)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=bags(_INTEGERS), length=st.integers(1, 5), delimiter=st.sampled_from(["|", ", ", "'"]))
def test_text_with_a_delimiter(rows: list[Any], length: int, delimiter: str) -> None:
    # A text is empty for no value and for one that is missing: the second has no weight.
    rows = [row if row[0] != [None] else ([None], None) for row in rows]

    def joined(values: list[Any] | None) -> str | None:
        return None if values is None else delimiter.join("" if value is None else repr(value) for value in values)

    # A list of weights that are all missing is a text of delimiters, or for a single value an empty one.
    texts = pa.table(
        {
            "bag": pa.array([joined(values) for values, _ in rows], pa.string()),
            "weight": pa.array([joined(weights) for _, weights in rows], pa.string()),
            "y": np.arange(len(rows), dtype=float),
        }
    )
    check(texts, rows, "integer", length, delimiter)


def sample(count: int = 1000) -> pa.Table:
    """Rows of lists, and of the same lists as text."""
    random = np.random.default_rng(0)
    bags = [
        [["a", "bb", "", "città", None][index] for index in random.integers(0, 5, size)]
        for size in random.integers(0, 9, count)
    ]
    numbers = [random.normal(size=len(bag)).astype(np.float32).tolist() for bag in bags]
    return pa.table(
        {
            "bag": pa.array(bags, pa.list_(pa.string())),
            "number": pa.array(numbers, pa.list_(pa.float32())),
            "text": ["|".join(value or "" for value in bag) for bag in bags],
            "row": np.arange(count, dtype=np.float32),
            "y": random.integers(0, 2, count),
        }
    )


def features(column: str = "bag", **options: Any) -> list[dict[str, Any]]:
    return [
        {"type": "categorical", "column": column, "max_length": 4, **options},
        {"type": "numeric", "column": "row"},
    ]


@pytest.mark.parametrize("form", ["parquet", "csv", "frame", "table"])
@pytest.mark.parametrize("order", [None, (3, 1)])
def test_every_format_gives_the_same(tmp_path: Path, rows_of: Any, configure: Any, form: str, order: Any) -> None:
    whole = sample()
    data: Any = {"frame": whole.to_pandas(), "table": whole}.get(form, str(tmp_path / f"a.{form}"))
    if form == "parquet":
        pq.write_table(whole, data)
    if form == "csv":
        whole.drop(["bag", "number"]).to_pandas().to_csv(data, index=False)
    if form == "csv":
        config = configure(features("text", delimiter="|"))
    else:
        config = configure(features(weights="number"))
    lists, weights = whole["bag"].to_pylist(), whole["number"].to_pylist()
    seen = set()
    for batch in rows_of(data, config).batches(96, order=order, shuffle_rows=300):
        for index, row in enumerate(batch.inputs["row"].astype(int).tolist()):
            values, weight = kept((lists[row], weights[row]), 4, "")
            assert batch.inputs["text" if form == "csv" else "bag"][index].tolist() == values
            if form != "csv":
                np.testing.assert_array_equal(batch.inputs["number"][index], np.float32(weight))
            seen.add(row)
    assert seen == set(range(1000))


def test_lists_of_a_fixed_length_are_lists(rows_of: Any, configure: Any) -> None:
    fixed = pa.array([["a", None, "b"], None, ["c", "", "d"]], pa.list_(pa.string(), 3))
    data = pa.table({"bag": fixed, "row": [0.0, 1.0, 2.0], "y": [0, 1, 0]})
    (batch,) = rows_of(data, configure(features())).batches(9)
    assert batch.inputs["bag"].tolist() == [["a", "b", "", ""], [""] * 4, ["c", "d", "", ""]]


def test_the_split_keeps_lists_whole_and_is_the_same_in_every_order(rows_of: Any, configure: Any) -> None:
    whole, config = sample(), configure(features())
    halves = [
        {row for batch in rows_of(data, config, split="validation", fraction=0.3).batches(64) for row in row_of(batch)}
        for data in (whole, whole.take(np.random.default_rng(1).permutation(1000)))
    ]
    assert halves[0] == halves[1]
    assert 230 < len(halves[0]) < 370
    rest = {row for batch in rows_of(whole, config, split="train", fraction=0.3).batches(64) for row in row_of(batch)}
    assert halves[0] | rest == set(range(1000))
    assert not halves[0] & rest


def row_of(batch: Any) -> list[int]:
    rows: list[int] = batch.inputs["row"].astype(int).tolist()
    return rows


def schema_of(data: Any, config: Any) -> dict[str, Input]:
    return {entry.name: entry for entry in resolve_schema(config, Source.open(data)).inputs}


def test_the_schema_of_lists(configure: Any) -> None:
    data = pa.table(
        {
            "bag": pa.array([["a"]]),
            "ids": pa.array([[1]], pa.list_(pa.int32())),
            "text": ["1|2"],
            "number": pa.array([[0.5]]),
            "y": [1],
        }
    )
    several = [
        {"type": "categorical", "column": "bag", "max_length": 3, "weights": "number"},
        {"type": "categorical", "column": "bag", "name": "longer", "max_length": 7},
        {"type": "categorical", "column": "ids", "max_length": 2},
        {"type": "categorical", "column": "text", "max_length": 5, "delimiter": "|"},
        {"type": "categorical", "column": "text", "name": "numbers", "max_length": 2, "delimiter": "|"},
    ]
    found = schema_of(data, configure(several))
    assert found == {
        "bag": Input("bag", "bag", "string", 7),
        "number": Input("number", "number", "float", 7, weighs="bag"),
        "ids": Input("ids", "ids", "integer", 2),
        "text": Input("text", "text", "string", 5, "|"),
    }
    whole = [{**several[3], "dtype": "integer"}]
    assert schema_of(data, configure(whole))["text"] == Input("text", "text", "integer", 5, "|")


def test_the_weight_of_a_single_value(rows_of: Any, configure: Any) -> None:
    data = pd.DataFrame({"word": ["a", None, "b"], "w": [0.5, 2.0, np.nan], "row": [0.0, 1, 2], "y": [0, 1, 0]})
    one = [{"type": "categorical", "column": "word", "weights": "w"}, {"type": "numeric", "column": "row"}]
    (batch,) = rows_of(data, configure(one)).batches(9)
    np.testing.assert_array_equal(batch.inputs["w"], np.float32([0.5, 2, np.nan]))


DATA = pa.table(
    {
        "bag": pa.array([["a"]]),
        "other": pa.array([["a"]]),
        "ids": pa.array([[1]]),
        "nested": pa.array([[["a"]]]),
        "parts": pa.array([[1.5]]),
        "text": ["1|2"],
        "id": [1],
        "number": pa.array([[0.5]]),
        "one": [0.5],
        "y": [1],
    }
)


def bag(column: str = "bag", **options: Any) -> dict[str, Any]:
    return {"type": "categorical", "column": column, "max_length": 3, **options}


@pytest.mark.parametrize(
    ("features", "parts"),
    [
        ([{"type": "categorical", "column": "bag"}], ["'bag'", "VARCHAR[]", "max_length"]),
        ([{"type": "numeric", "column": "number"}], ["'number'", "DOUBLE[]", "shape, how many numbers"]),
        ([{"type": "bucketized", "column": "ids", "quantiles": 3}], ["BIGINT[]", "one number per row"]),
        ([bag("text")], ["'text'", "VARCHAR", "a delimiter"]),
        ([bag("id")], ["'id'", "BIGINT", "one list per row"]),
        ([bag("id", delimiter="|")], ["'id'", "BIGINT", "one list per row"]),
        ([bag("parts")], ["DOUBLE[]", "fraction"]),
        ([bag("nested")], ["VARCHAR[][]", "string or whole number"]),
        ([bag("text", delimiter="|"), bag("text", name="b", delimiter=",")], ["'text' and 'b'", "'|'", "','"]),
        ([bag("text", delimiter="|"), {"type": "categorical", "column": "text", "name": "b"}], ["both max_length"]),
        ([bag(weights="one")], ["'one'", "DOUBLE", "one list per row"]),
        ([bag(weights="other")], []),
        ([bag(weights="text")], ["'text'", "a delimiter"]),
        ([bag(weights="nested")], ["'nested'", "list of numbers"]),
        (
            [{"type": "categorical", "column": "id", "weights": "number"}],
            ["'number'", "DOUBLE[]", "one number per row"],
        ),
        ([bag(weights="number"), bag("other", weights="number")], ["'bag' and 'other'", "own column"]),
        ([bag(weights="bag")], ["both read 'bag'"]),
        ([bag(), bag("ids", vocabulary_of="bag")], ["'ids'", "'bag'", "integer", "string", "same dtype"]),
        ([bag(weights="absent")], ["no column 'absent'"]),
    ],
)
def test_what_lists_cannot_be(configure: Any, features: list[dict[str, Any]], parts: list[str]) -> None:
    if not parts:
        assert schema_of(DATA, configure(features))["other"].weighs == "bag"
        return
    with pytest.raises((ConfigError, DataError)) as caught:
        schema_of(DATA, configure(features))
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"weight": [[1.0], [1.0, 2.0]]}, "row 2, column 'weight': expected a weight for each value of 'bag', found 2"),
        ({"weight": [[1.0], []]}, "row 2, column 'weight': expected a weight for each value of 'bag', found 0 weights"),
        ({"bag": [["1"], None], "weight": [[1.0], [2.0]]}, "found 1 weights for 0 values"),
        ({"bag": [["1"], ["2", "", "x"]]}, "row 2, column 'bag': expected a 64-bit integer, found 'x'"),
        ({"bag": [["1"], ["2", "3.0"]]}, "row 2, column 'bag': expected a 64-bit integer, found '3.0'"),
        ({"bag": [["1"], [str(2**63)]]}, f"found '{2**63}'"),
        ({"bag": [[1.0], [2.5]]}, "row 2, column 'bag': expected a 64-bit integer, found '2.5'"),
        ({"bag": [1, 2]}, "Column 'bag' is BIGINT in DataFrame, and the model takes lists"),
        ({"bag": ["1", "2"]}, "Column 'bag' is VARCHAR in DataFrame, and the model takes lists for it"),
        ({"weight": [["1"], ["x"]]}, "row 2, column 'weight': expected a number, found 'x'"),
    ],
)
def test_rows_that_do_not_fit_are_named(replaced: dict[str, Any], message: str) -> None:
    inputs = (Input("bag", "bag", "integer", 2), Input("weight", "weight", "float", 2, weighs="bag"))
    data = pa.table({"bag": [["1"], ["2"]], "weight": [[1.0], [2.0]], "y": [1.0, 2.0], **replaced})
    with pytest.raises(DataError) as caught:
        list(Rows(Source.open(data), Schema(inputs, "regression", "y")).batches(4))
    assert message in str(caught.value)


@pytest.mark.parametrize("nothing", [[None, None], []], ids=["all missing", "no rows"])
def test_a_column_without_a_value_has_no_lists(nothing: list[None]) -> None:
    """Of a frame its type is that of anything, as of the request of somebody who has no history."""
    inputs = (Input("bag", "bag", "string", 2), Input("weight", "weight", "float", 2, weighs="bag"))
    data = pd.DataFrame({"bag": nothing, "weight": nothing}, dtype=object)
    batches = list(Rows(Source.open(data), Schema(inputs, "regression", "y"), labelled=False).batches(4))
    assert sum(len(batch.inputs["bag"]) for batch in batches) == len(nothing)
    for batch in batches:
        assert set(batch.inputs["bag"].ravel().tolist()) <= {""}


def test_a_list_where_the_model_takes_one_value() -> None:
    schema = Schema((Input("bag", "bag", "string"),), "regression", "y")
    with pytest.raises(DataError, match=r"'bag' is VARCHAR\[\] in DataFrame, .* one value per row"):
        Rows(Source.open(pa.table({"bag": [["1"]], "y": [1.0]})), schema)
