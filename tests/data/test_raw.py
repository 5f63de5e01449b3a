"""Raw batches by name, as every scorer takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tfwd.data.raw import raw_arrays
from tfwd.errors import DataError
from tfwd.schema import MISSING_INTEGER, Input, Schema

INPUTS = (
    Input("job_title", "job title", "string"),
    Input("store", "store", "integer"),
    Input("age", "age", "float"),
    Input("tags", "tags", "string", 3),
    Input("shares", "shares", "float", 3, weighs="tags"),
)
SCHEMA = Schema(INPUTS, "binary", "bought", ("0", "1"))
BATCH: dict[str, Any] = {
    "shares": [[0.5, 2.0], [1.0, 1.0]],
    "tags": [["a", "b"], ["c", ""]],
    "age": [39.5, 40.0],
    "store": [3, 4],
    "job_title": ["clerk", "cook"],
}


def one(kind: str, value: Any, length: int = 0) -> list[Any]:
    entry = Input("x", "x", kind, length)  # type: ignore[arg-type]
    array = raw_arrays(Schema((entry,), "binary", "y"), {"x": value})["x"]
    assert array.dtype == {"string": object, "integer": np.int64, "float": np.float32}[kind]
    return [None if isinstance(item, float) and np.isnan(item) else item for item in array.ravel().tolist()]


def test_by_name_whatever_else_is_there_and_in_whatever_order() -> None:
    expected = raw_arrays(SCHEMA, BATCH)
    assert list(expected) == [entry.name for entry in INPUTS]
    assert expected["tags"].tolist() == [["a", "b"], ["c", ""]]
    received = raw_arrays(SCHEMA, {"aaa": [0.0] * 9, **BATCH, "bought": [0, 1], 7: None})
    for name, values in expected.items():
        np.testing.assert_array_equal(received[name], values)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", np.array(["a", "b\0"], object), ["a", "b\0"]),
        ("string", ["a", None, "b\0", float("nan"), pd.NA, b"\xc3\xa4"], ["a", "", "b\0", "", "", "ä"]),
        ("string", np.array([["a"], ["b"]]), ["a", "b"]),
        ("string", np.array([b"a"]), ["a"]),
        ("string", pd.Series(["a", None]), ["a", ""]),
        ("string", pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
        ("string", pa.array(["a", None]), ["a", ""]),
        ("integer", [1, None, 2**62 + 1], [1, MISSING_INTEGER, 2**62 + 1]),
        ("integer", np.float64([1, np.nan]), [1, MISSING_INTEGER]),
        ("integer", pd.Series([2**62 + 1, pd.NA], dtype="Int64"), [2**62 + 1, MISSING_INTEGER]),
        ("integer", pa.array([2**62 + 1, None]), [2**62 + 1, MISSING_INTEGER]),
        ("integer", np.int32([[1], [2]]), [1, 2]),
        ("integer", [True, False], [1, 0]),
        ("float", [1, None, 2.5, np.float32(0.5), pd.NA], [1.0, None, 2.5, 0.5, None]),
        ("float", np.ma.MaskedArray([1.0, 2.0], [True, False]), [None, 2.0]),
        ("float", [1e300], [np.inf]),
        ("float", np.zeros((0,)), []),
    ],
)
def test_what_is_taken(kind: str, value: Any, expected: list[Any]) -> None:
    assert one(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("string", [1, 2], "takes text. Received: 1 in row 1"),
        ("string", np.array([1.5]), "takes text. Received: float64 values, such as 1.5"),
        ("string", ["a", "\ud800"], r"takes text. Received: '\\ud800' in row 2, which is not valid Unicode"),
        ("string", [b"a", b"\xff"], r"takes text. Received: b'\\xff' in row 2, which is not valid UTF-8"),
        (
            "string",
            [["a", "b"], ["c"]],
            r"takes one value per row, \(B,\) or \(B, 1\). Received: lists of different len",
        ),
        ("string", "a", r"takes one value per row, \(B,\) or \(B, 1\). Received: str 'a'"),
        ("integer", [1.0, 3.7], "takes whole numbers. Received: 3.7 in row 2, which is not a 64-bit integer"),
        (
            "integer",
            [1, 2**63],
            "takes whole numbers. Received: 9223372036854775808 in row 2, which does not fit in 64 bits",
        ),
        ("integer", np.array([2**63], np.uint64), "takes whole numbers. Received: 9223372036854775808 in row 1"),
        ("integer", ["1"], "takes whole numbers. Received: '1' in row 1"),
        ("integer", [np.inf], "takes whole numbers. Received: inf in row 1"),
        ("float", ["39"], "takes numbers. Received: '39' in row 1"),
        ("float", np.array(["2020-01-01"], "M8[D]"), r"takes numbers. Received: datetime64\[D\] values, such as 2020"),
        ("float", np.zeros((2, 2)), r"takes one value per row, \(B,\) or \(B, 1\). Received: shape \(2, 2\)"),
        ("float", 39, r"takes one value per row, \(B,\) or \(B, 1\). Received: int 39"),
    ],
)
def test_what_is_refused(kind: str, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"The input 'x' {message}"):
        one(kind, value)


def test_lists_of_any_length_are_padded() -> None:
    ragged = [["a", None, "b"], None, [], ("c",)]
    assert one("string", ragged, 2) == ["a", "", "b", "", "", "", "", "", "", "c", "", ""]
    objects = np.empty(4, object)
    objects[:] = ragged
    assert one("string", objects, 2) == one("string", ragged, 2)
    assert one("integer", [np.array([1, 2]), np.array([3])], 2) == [1, 2, 3, MISSING_INTEGER]
    assert one("float", [3.0, 4.0], 2) == [3.0, 4.0]
    with pytest.raises(DataError, match="takes whole numbers. Received: 2.5 in row 2"):
        one("integer", [[1], [1, 2.5]], 2)
    with pytest.raises(DataError, match=r"takes one list per row, \(B, K\). Received: shape \(1, 1, 1\)"):
        one("integer", np.zeros((1, 1, 1), int), 2)


@pytest.mark.parametrize("weights", [[[0.5, 2.0], []], [[0.5, 2.0], None]])
def test_a_row_without_weights_weighs_its_values_by_one(weights: Any) -> None:
    made = raw_arrays(SCHEMA, {**BATCH, "tags": [["a", "b"], ["c", "d"]], "shares": weights})["shares"]
    np.testing.assert_array_equal(made, np.float32([[0.5, 2.0], [np.nan, np.nan]]))


@pytest.mark.parametrize(
    ("tags", "shares", "found"),
    [
        ([["a", "b"], ["c"]], [[1.0, 2.0], [1.0, 2.0]], "2 weights for 1 values in row 2"),
        ([["a", "b"], ["c"]], [[1.0], [1.0]], "1 weights for 2 values in row 1"),
        (np.array([["a", "b"], ["c", "d"]]), np.ones((2, 3)), "3 weights for 2 values in row 1"),
        (np.array([["a", "b"], ["c", "d"]]), [[1.0], [1.0, 2.0, 3.0]], "3 weights for 2 values in row 2"),
    ],
)
def test_weights_of_another_length_are_refused(tags: Any, shares: Any, found: str) -> None:
    with pytest.raises(DataError, match=f"'shares' takes a weight for each value of 'tags'. Received: {found}"):
        raw_arrays(SCHEMA, {**BATCH, "tags": tags, "shares": shares})


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({**BATCH, "stroe": [1, 2], "store": None}, "The batch has no input 'store'. Did you mean 'stroe'?"),
        (
            {**BATCH, "job title": ["clerk", "cook"], "job_title": None},
            "no input 'job_title'. The data's column 'job title' is the input 'job_title': give it under that name.",
        ),
        ({**BATCH, "age": [1.0]}, "one number of rows. Received: 2 of 'job_title' and 1 of 'age'"),
        ([1, 2], r"A batch is a dict of inputs by name, \{'job_title', 'store', 'age', ...\}.* Received: list"),
        (pd.DataFrame(BATCH), "A batch is a dict of inputs by name.* Received: DataFrame"),
    ],
)
def test_a_batch_that_is_none_of_the_schemas(batch: Any, message: str) -> None:
    given = {name: value for name, value in batch.items() if value is not None} if isinstance(batch, dict) else batch
    with pytest.raises(DataError, match=message):
        raw_arrays(SCHEMA, given)


def test_whole_numbers_beside_floats_keep_their_digits() -> None:
    schema = Schema((Input("i", "i", "integer"),), "regression", "y")
    given = [2**53 + 1, 1.0, None, 2]
    assert raw_arrays(schema, {"i": given})["i"].tolist() == [2**53 + 1, 1, MISSING_INTEGER, 2]
    with pytest.raises(DataError, match=r"1\.5 in row 2"):
        raw_arrays(schema, {"i": [2**53 + 1, 1.5]})


@pytest.mark.parametrize("nothing", [[], np.zeros(0, object), np.zeros((0, 3))])
def test_no_rows_of_vectors(nothing: Any) -> None:
    schema = Schema((Input("v", "v", "float", 3, fixed=True),), "regression", "y")
    assert raw_arrays(schema, {"v": nothing})["v"].shape == (0, 3)
