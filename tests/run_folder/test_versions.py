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
from tfwd.run_folder.record import FORMAT

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


def test_every_format_since_3_has_a_run_here() -> None:
    """A change of the format comes with a migration, and with a run of the format before it in files/."""
    found = {json.loads(path.read_text())["format"] for path in FILES.glob("*/finished/run.json")}
    assert found == set(range(3, FORMAT + 1))


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


def test_a_training_that_0_3_0_began_ends_as_it_would_have_there(tmp_path: Path) -> None:
    shutil.copy(FILES / "rows.csv", tmp_path)
    shutil.copytree(FILES / "0.3.0" / "begun", tmp_path / "runs" / "0.3.0" / "begun")
    (tmp_path / "runs" / "rows.csv").symlink_to(tmp_path / "rows.csv")
    run = tfwd.resume(tmp_path / "runs" / "0.3.0" / "begun")
    assert run.status == "finished"
    expected = answers("0.3.0")["metrics"]
    for split, metrics in expected.items():
        assert run.metrics[split] == pytest.approx(metrics, abs=1e-6)
