"""Files that change or go between one reading and the next, and what is not a file of rows at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tfwd.analysis.analyze import analyze
from tfwd.config.config import Config
from tfwd.data import Rows, Source, resolve_schema
from tfwd.data.dataset import original_errors
from tfwd.errors import ConfigError, DataError
from tfwd.training.splits import open_splits

Configure = Callable[..., Config]
NUMBER = {"type": "numeric", "column": "number"}


def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"number": range(rows), "y": [n % 2 for n in range(rows)]})


def write(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)


def grown(path: Path) -> None:
    write(frame(60), path)


def cut(path: Path) -> None:
    write(frame(20), path)


def of_other_columns(path: Path) -> None:
    write(frame(40).iloc[:, ::-1], path)


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("change", [grown, cut, of_other_columns, gone])
def test_a_file_that_changes_while_it_is_trained_on(
    tmp_path: Path, configure: Configure, change: Callable[[Path], None], form: str
) -> None:
    paths = [tmp_path / f"{name}.{form}" for name in "ab"]
    for path in paths:
        write(frame(40), path)
    source = Source.open(paths)
    rows = Rows(source, resolve_schema(configure([NUMBER]), source)).with_classes(("0", "1"))
    assert rows.count() == sum(len(batch.inputs["number"]) for batch in rows.batches(8, order=(0, 0))) == 80
    os.utime(paths[1], ns=(1, 1))
    source = Source.open(paths)
    rows = Rows(source, rows.schema)
    change(paths[1])
    wanted = r"b\.\w+ no longer exists: it existed" if change is gone else r"b\.\w+ has changed since it was opened"
    for order in (None, (0, 0)):
        with pytest.raises(DataError, match=wanted):
            list(rows.batches(8, order=order))
    with pytest.raises(DataError, match=wanted), original_errors():
        list(rows.dataset(8, order=(0, 0)))


def test_what_is_no_file_of_rows(tmp_path: Path, configure: Configure) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    write(frame(4), tmp_path / "a.csv")
    for path, wanted in {
        tmp_path / "pipe.csv": r"pipe\.csv is a pipe, and rows are read several times: write them to a file first",
        tmp_path / "device.csv": r"device\.csv is a device, and rows are read several times",
        "/dev/null": "is a device",
        "~nobody/x": "There is no file ~nobody/x",
        "x" * 5000: "There is no file x{497}",
        "http://somewhere/x.csv": "is a URL, and only local files are read",
        "s3://bucket/x.parquet": "is a URL",
        "a\0b.csv": "There is no file",
    }.items():
        with pytest.raises(DataError, match=wanted):
            Source.open(path)
    for path, wanted in {
        tmp_path: "is a folder: expected",
        tmp_path / "pipe.csv": "a pipe",
        "/dev/zero": "a device",
    }.items():
        word = {"type": "categorical", "column": "number", "embedding": 2, "vocabulary_file": str(path)}
        source = Source.open(tmp_path / "a.csv")
        config = configure([word])
        rows = Rows(source, resolve_schema(config, source))
        with pytest.raises(ConfigError, match=rf"The vocabulary_file of 'number', .* is {wanted.removeprefix('is ')}"):
            analyze(rows, config)


def test_too_few_rows_that_differ(configure: Configure) -> None:
    config = configure([NUMBER], validation_fraction=0.1)
    same = pd.DataFrame({"number": [1] * 50, "y": [0, 1] * 25})
    with pytest.raises(DataError, match=r"of its 50 rows 2 are not a copy of another\. Set data\.validation"):
        open_splits(config, train=same).check()
    with pytest.raises(DataError, match=r"of too few rows\.$"):
        open_splits(config, train=frame(2)).check()


def test_a_class_that_training_has_not_seen(configure: Configure) -> None:
    config = configure([NUMBER], task="multiclass")
    source = Source.open(frame(4).assign(y=["a", "b", "c", "new"]))
    rows = Rows(source, resolve_schema(config, source)).with_classes(("a", "b", "c"))
    with pytest.raises(
        DataError, match=r"'new' is not one of .*\. A class is in the training rows, or named in data\.label\."
    ):
        list(rows.batches(4))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_label_of_fractions_is_to_be_predicted_as_a_number(configure: Configure, task: str) -> None:
    config = configure([NUMBER], task=task)
    source = Source.open(frame(30).assign(y=[n / 29 for n in range(30)]))
    with pytest.raises(DataError, match="task: regression"):
        analyze(Rows(source, resolve_schema(config, source)), config)
    named: Any = configure([NUMBER], task="multiclass", label={"column": "y", "classes": ["0.5", "1"]})
    source = Source.open(frame(8).assign(y=[0.5, 1.0] * 4))
    assert analyze(Rows(source, resolve_schema(named, source)), named).label.classes == ("0.5", "1")


@pytest.mark.parametrize(
    "column", [[1, -(2**63)], ["1", "-9223372036854775808"], ["1", "-09223372036854775808"], [1.0, -(2.0**63)]]
)
def test_the_number_that_stands_for_a_missing_one(configure: Configure, column: list[Any]) -> None:
    word = {"type": "categorical", "column": "number", "embedding": 2, "dtype": "integer"}
    source = Source.open(pd.DataFrame({"number": column, "y": [0, 1]}))
    if isinstance(column[0], float):
        source = Source.open(pd.DataFrame({"number": list(map(int, column)), "y": [0, 1]}).astype({"number": "object"}))
    rows = Rows(source, resolve_schema(configure([word]), source)).with_classes(("0", "1"))
    with pytest.raises(DataError, match=r"row 2, column 'number': expected a 64-bit integer, .* stands for a missing"):
        list(rows.batches(4))
    near = Source.open(pd.DataFrame({"number": [None, -(2**63) + 1], "y": [0, 1]}, dtype="Int64"))
    (batch,) = Rows(near, rows.schema).batches(4)
    assert batch.inputs["number"].tolist() == [-(2**63), -(2**63) + 1]
