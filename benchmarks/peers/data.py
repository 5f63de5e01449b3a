"""Writes the works: synthetic clicks of a given number of rows, and the census."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from benchmarks.peers.work import Work, quality
from benchmarks.throughput import CROSSES
from tfwd.datasets import census, clicks

TEST_ROWS = 100_000


def write_clicks(folder: Path, rows: int) -> float:
    """Writes the clicks of `benchmarks.throughput`, and test rows that follow the same rule.

    Args:
        folder: to make.
        rows: training rows.

    Returns:
        The AUC of the true probabilities on the test rows: no model can expect more.
    """
    folder.mkdir(parents=True)
    clicks.write(folder / "all.parquet", rows + TEST_ROWS, with_probability=True)
    table = pyarrow.parquet.read_table(folder / "all.parquet")
    (folder / "all.parquet").unlink()
    test = table.slice(0, TEST_ROWS)
    best = quality(test["clicked"].to_numpy(), test["probability"].to_numpy())["auc"]
    table = table.drop_columns("probability")
    work = Work(
        categories=tuple(f"c{i}" for i in range(1, 9)),
        numbers=tuple(f"x{i}" for i in range(1, 6)),
        crosses=tuple(CROSSES),
        bins=1_000_000,
        label="clicked",
        embedding=16,
        hidden=(256, 128, 64),
        batch=1024,
        epochs=1,
        rows=rows,
    )
    _write(folder, work, table.slice(TEST_ROWS), table.slice(0, TEST_ROWS))
    return best


def write_census(folder: Path) -> None:
    """Writes the census, official split: 8 categories, 5 numbers, 6 crosses, 3 epochs."""
    folder.mkdir(parents=True)
    work = Work(
        categories=(
            "workclass",
            "education",
            "marital_status",
            "occupation",
            "relationship",
            "race",
            "sex",
            "native_country",
        ),
        numbers=("age", "education_num", "capital_gain", "capital_loss", "hours_per_week"),
        crosses=(
            ("education", "occupation"),
            ("education", "workclass"),
            ("education", "relationship"),
            ("occupation", "relationship"),
            ("occupation", "workclass"),
            ("marital_status", "relationship", "sex"),
        ),
        bins=10_000,
        label="income",
        embedding=16,
        hidden=(128, 64),
        batch=512,
        epochs=3,
        rows=32_561,
    )

    def table(split: census.Split) -> pa.Table:
        raw = pyarrow.parquet.read_table(census.path(split))
        columns = {name: pc.fill_null(raw[name].cast(pa.string()), "unknown") for name in work.categories}
        columns |= {name: raw[name].cast(pa.float32()) for name in work.numbers}
        return pa.table(columns | {work.label: pc.equal(raw[work.label].cast(pa.string()), ">50K").cast(pa.int32())})

    _write(folder, work, table("train"), table("test"))


def _write(folder: Path, work: Work, train: pa.Table, test: pa.Table) -> None:
    work.save(folder)
    pyarrow.parquet.write_table(train, folder / "train.parquet", compression="zstd")
    pyarrow.csv.write_csv(train, folder / "train.csv")
    pyarrow.parquet.write_table(test, folder / "test.parquet", compression="zstd")
