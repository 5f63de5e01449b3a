"""Frames in memory: by name, with what is missing and what nothing reads, and a frame back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from census_cases import files, frame, trained

from tfwd.errors import DataError


def rows() -> pd.DataFrame:
    """Forty rows with missing values of every kind, columns in another order and columns that nothing reads."""
    table = frame("test", 700).head(40).astype({"age": float}).copy()
    table.loc[2, "age"] = np.nan
    table["education"] = table["education"].astype(object)
    table.loc[[3, 4], "education"] = [None, np.nan]
    table["mixed"] = [1, "a", None, [2]] * 10
    table["when"] = pd.Timestamp("2020-01-01", tz="Asia/Tokyo")
    table = table[table.columns[::-1]]
    table.index = pd.Index([f"row {number}" for number in range(40)], name="row")
    return table


def expected(table: pd.DataFrame) -> np.ndarray:
    """What the Keras model says of the columns as arrays."""
    inputs: dict[str, Any] = {}
    for entry in trained().model.schema.inputs:
        column = table[entry.column]
        text = column.where(column.notna(), "").astype(object)
        inputs[entry.name] = text.to_numpy() if entry.kind == "string" else column.to_numpy(np.float32)
    from tfwd.inference.tensorflow_scorer import keras_scorer

    return keras_scorer(trained().model).score(inputs)["probability"]


def test_a_frame_is_answered_row_by_row_under_its_index() -> None:
    table, run = rows(), trained()
    found = run.predict(table)
    assert list(found.columns) == ["id", "probability", "logit", "predicted"]
    assert found.index.equals(table.index)
    assert found["id"].tolist() == table["id"].tolist()
    np.testing.assert_allclose(found["probability"], expected(table), rtol=0, atol=1e-6)
    assert list(run.predict(table, key=["sex", "weight"]).columns)[:2] == ["sex", "weight"]
    assert list(run.predict(table, key=[]).columns) == ["probability", "logit", "predicted"]
    assert "mixed" in table.columns, "the frame is left as it is"


def test_one_row_none_and_a_list_of_them() -> None:
    table, run = rows(), trained()
    assert len(run.predict(table.head(0))) == 0
    one = run.predict(table.iloc[[7]])
    assert one.index.tolist() == ["row 7"]
    assert one["probability"].iloc[0] == pytest.approx(expected(table)[7], abs=1e-6)
    nothing = table.head(2).assign(**dict.fromkeys(("age", "education", "occupation")))
    assert np.isfinite(run.predict(nothing)["probability"]).all()


def test_arrow_tables_and_files_are_answered_alike() -> None:
    table, run = rows(), trained()
    probability = run.predict(table)["probability"].to_numpy()
    whole = table.drop(columns="mixed").reset_index(drop=True)
    np.testing.assert_array_equal(run.predict(pa.Table.from_pandas(whole))["probability"], probability)
    assert len(run.predict(str(files()["test.csv"]))) == 700


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    table, run = rows().drop(columns="mixed").reset_index(drop=True), trained()
    found = run.predict(polars.from_pandas(table))
    assert isinstance(found, polars.DataFrame)
    np.testing.assert_array_equal(found["probability"].to_numpy(), run.predict(table)["probability"])


def test_whole_numbers_that_pandas_made_floats_are_their_texts() -> None:
    """A column of whole numbers in which one is missing is float64; the training read text of a CSV file."""
    import reading_cases

    run = reading_cases.trained()
    table = reading_cases.table(1, 6)
    as_text = table.assign(city=["1", "22", "1", None, "0", "-3"])
    as_float = table.assign(city=[1.0, 22.0, 1.0, np.nan, -0.0, -3.0])
    pd.testing.assert_frame_equal(run.predict(as_float), run.predict(as_text))
    nullable = table.assign(city=pd.array([1, 22, 1, None, 0, -3], "Int64"))
    pd.testing.assert_frame_equal(run.predict(nullable), run.predict(as_text))
    with pytest.raises(DataError, match=r"row 3, column 'city': expected text or a whole number.*found '1\.5'"):
        run.predict(table.assign(city=[1.0, 2.0, 1.5, 4.0, 5.0, 6.0]))


def test_evaluation_of_a_frame_is_that_of_the_file() -> None:
    run = trained()
    assert run.evaluate(frame("test", 700)) == pytest.approx(run.metrics["test"], abs=1e-6)


def test_what_is_not_there_is_named() -> None:
    run = trained()
    with pytest.raises(DataError, match="DataFrame has no column 'age', which the input 'age' reads"):
        run.predict(rows().drop(columns="age"))
    with pytest.raises(DataError, match="DataFrame has no column 'income', which the label reads"):
        run.evaluate(rows().drop(columns="income"))
    with pytest.raises(DataError, match="no column 'idd', which data.key reads"):
        run.predict(rows(), key=["idd"])
    with pytest.raises(DataError, match=r"row 8, column 'age': expected a number, found 'old'"):
        run.predict(rows().assign(age=["1"] * 7 + ["old"] * 33))
    with pytest.raises(DataError, match=r"pandas\.Series"):
        run.predict(rows()["age"])
    with pytest.raises(DataError, match="Data must be a path"):
        run.predict({"age": [1]})


def test_keys_come_back_in_the_types_that_they_came_in() -> None:
    table = (
        rows()
        .head(3)
        .assign(
            number=pd.array([2**53 + 1, None, 3], "Int64"),
            span=pd.to_timedelta([1, 2, 3], "D"),
            month=pd.period_range("2020-01", periods=3, freq="M"),
        )
    )
    key = ["number", "span", "month", "when"]
    found = trained().predict(table, key=key)
    pd.testing.assert_frame_equal(found[key], table[key])
    pd.testing.assert_frame_equal(trained().predict(table.head(0), key=key)[key], table.head(0)[key])
    whole = pa.table({name: table[name] for name in table.columns if name != "mixed"})
    assert trained().predict(whole, key=["number"])["number"].tolist() == [2**53 + 1, None, 3]


def test_a_key_is_one_name_or_several_each_once() -> None:
    table = rows().head(2)
    assert list(trained().predict(table, key="sex").columns)[:2] == ["sex", "probability"]
    assert list(trained().predict(table, key=["sex", "sex"]).columns)[:2] == ["sex", "probability"]


@pytest.mark.parametrize("odd", [2**64 - 1, 2**70, Decimal("Infinity")])
def test_objects_that_no_column_can_hold_are_refused(odd: Any) -> None:
    table = rows().head(2)
    table["age"] = pd.Series([odd, Decimal(1)], dtype=object, index=table.index)
    with pytest.raises(DataError, match="'age'"):
        trained().predict(table)
