"""Runs of every format since 3 are read, and go on, in this version; what they answer is what they answered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tfwd
from tfwd.config.config import Config
from tfwd.run import Run
from tfwd.run_folder.record import FORMATS

FILES = Path(__file__).parent / "files"
VERSIONS = ["0.3.0", "0.4.0", "0.5.0"]


def rows_of(version: str) -> pd.DataFrame:
    """The rows that the run was trained on; those of 0.5.0 have a day."""
    own = FILES / version / "rows.csv"
    return pd.read_csv(own if own.exists() else FILES / "rows.csv")


def answers(version: str) -> dict[str, Any]:
    """What that version answered to the first 40 rows, and its metrics."""
    found: dict[str, Any] = json.loads((FILES / version / "answers.json").read_text())
    return found


def format_of(path: Path) -> int:
    found: int = json.loads((path / "run.json").read_text())["format"]
    return found


DAY = {"type": "datetime", "column": "day", "parts": ["month"]}
AGE = {"type": "numeric", "column": "age"}


@pytest.mark.parametrize(("features", "format"), [([AGE], 3), ([AGE, DAY], 4)])
def test_a_run_is_of_the_oldest_format_that_has_all_of_it(
    features: list[dict[str, Any]], format: int, tmp_path: Path
) -> None:
    """Version 0.4 reads format 3, which has no moments, and nothing else has changed since."""
    config = Config.of({"data": {"label": "y"}, "features": features, "model": {"heads": ["deep"]}})
    run = Run.create(tmp_path / "run", config)
    assert format_of(run.path) == format
    run.set_exported("onnx", "run.onnx")
    run.finish()
    assert format_of(run.path) == format
    assert Run.open(run.path).head.exported == {"onnx": "run.onnx"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_keeps_its_format_where_this_version_writes_to_it(version: str, tmp_path: Path) -> None:
    shutil.copytree(FILES / version / "finished", tmp_path / "run")
    before = format_of(tmp_path / "run")
    with (run := Run.open(tmp_path / "run")).writing():
        run.set_exported("savedmodel", "income")
    assert format_of(tmp_path / "run") == before
    # Who is asked for what cannot be read is the version that wrote it last.
    assert run.head.version == tfwd.__version__


def test_every_format_since_3_has_a_run_here() -> None:
    """A change of the format comes with a run of the format before it in files/."""
    found = {json.loads(path.read_text())["format"] for path in FILES.glob("*/finished/run.json")}
    assert found == set(FORMATS)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_finished_run_answers_as_it_did(version: str) -> None:
    run = tfwd.Run.open(FILES / version / "finished")
    expected = answers(version)
    assert run.head.version == version
    assert run.metrics == expected["metrics"]
    rows = rows_of(version)
    found = run.predict(rows.head(40))["probability"]
    np.testing.assert_allclose(found, expected["probability"], rtol=1e-6)
    assert run.evaluate(rows)["auc"] == pytest.approx(expected["metrics"]["test"]["auc"], abs=1e-9)
    expected_names = {"town", "town_x_job_x_age_buckets", *(["day_month"] if "day" in rows else [])}
    assert expected_names <= set(run.wide_weights()["feature"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_keras_file_answers_as_it_did(version: str) -> None:
    scorer = tfwd.load_scorer(FILES / version / "finished" / "model.keras")
    # A file of 0.3.0 does not say how it reads rows, so that a cell of several tags is for the caller to split.
    rows = rows_of(version).head(40)
    batch = {name: rows[name].to_numpy() for name in ("income", "age", "town", "job")}
    batch["town"] = rows["town"].fillna("").to_numpy()
    batch["tags"] = [text.split("|") if isinstance(text, str) else [] for text in rows["tags"]]
    if "day" in rows:
        batch["day"] = pd.to_datetime(rows["day"]).to_numpy()
    found = scorer.score(batch)["probability"]
    np.testing.assert_allclose(found, answers(version)["probability"], rtol=1e-6)


@pytest.mark.parametrize("version", [pytest.param("0.3.0", marks=pytest.mark.long), "0.4.0"])
def test_a_training_that_an_older_version_began_ends_as_it_would_have_there(version: str, tmp_path: Path) -> None:
    shutil.copy(FILES / "rows.csv", tmp_path)
    path = tmp_path / version / "begun"
    shutil.copytree(FILES / version / "begun", path)
    run = tfwd.resume(path)
    assert run.status == "finished"
    # That version can still open it.
    assert format_of(path) == 3
    expected = answers(version)["metrics"]
    for split, metrics in expected.items():
        assert run.metrics[split] == pytest.approx(metrics, abs=1e-6)
