"""The training range of each input, against NumPy; in an ONNX file, that of the run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import small_run_cases

from export.pipeline import training_ranges
from tfwd.analysis.analyze import analyze
from tfwd.config.config import Config
from tfwd.data.rows import Rows
from tfwd.data.schema import resolve_schema
from tfwd.data.source import Source
from tfwd.features.ranges import input_ranges
from tfwd.inference.metadata import of_session
from tfwd.run import Run

FEATURES = [
    {"type": "numeric", "column": "my age", "clip": False},
    {"type": "bucketized", "column": "my age", "name": "old", "boundaries": [65.0]},
    {"type": "bucketized", "column": "price", "quantiles": 3},
    {"type": "numeric", "column": "v", "shape": 2},
    {"type": "numeric", "column": "same"},
    {"type": "categorical", "column": "city"},
    {"type": "categorical", "column": "level", "identity": 9},
    {"type": "datetime", "column": "day", "parts": ["month"], "age_in_days": "2030-01-01"},
]


def test_of_every_number_and_of_nothing_else() -> None:
    generator = np.random.default_rng(3)
    count = 50
    frame = pd.DataFrame(
        {
            "my age": generator.normal(40, 9, count).astype(np.float32),
            "price": generator.normal(0, 1e30, count).astype(np.float32),
            "v": generator.normal(0, 1, (count, 2)).astype(np.float32).tolist(),
            "same": np.full(count, 7, np.int32),
            "city": ["Rome", "Oslo"] * (count // 2),
            "level": generator.integers(0, 9, count),
            "day": pd.date_range("2024-01-01", periods=count),
            "y": [0, 1] * (count // 2),
        }
    )
    finite = frame["my age"].to_numpy().copy()
    frame.loc[:2, "my age"] = [np.nan, np.inf, -np.inf]
    config = Config.of({"data": {"label": "y"}, "features": FEATURES})
    source = Source.open(frame)
    rows = Rows(source, resolve_schema(config, source))
    found = input_ranges(config.features, analyze(rows, config), rows.schema)
    vectors = np.array(frame["v"].tolist())
    assert found == {
        "my_age": (finite[3:].min(), finite[3:].max()),
        "price": (frame["price"].min(), frame["price"].max()),
        "v": (vectors.min(), vectors.max()),
        "same": (7, 7),
    }


def test_of_a_run_in_its_onnx_file(tmp_path: Path) -> None:
    run = small_run_cases.trained()
    file = small_run_cases.exported() / "export" / "wide_deep.onnx"
    found = of_session(onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]), file).ranges
    train = run.config.data.train
    assert isinstance(train, str)
    rows = pd.read_csv(train)
    assert list(found) == ["age", "hours_per_week"]
    for name, (low, high) in found.items():
        # A fifth of the rows is for validation.
        assert rows[name].min() <= low < rows[name].quantile(0.2)
        assert rows[name].quantile(0.8) < high <= rows[name].max()


def test_damaged_statistics_leave_it_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = small_run_cases.copy_of_trained(tmp_path / "run")
    assert training_ranges(Run.open(copy)) == training_ranges(small_run_cases.trained())
    shutil.rmtree(copy / "statistics")
    assert training_ranges(Run.open(copy)) == {}
    assert "without the training range of each number" in " ".join(capsys.readouterr().err.split())
