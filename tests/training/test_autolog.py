"""MLflow's autologging: one run a training, with parameters and metrics. Needs MLflow, which tfwd does not install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tfwd


@pytest.mark.parametrize("active", [False, True])
def test_one_run_with_metrics(active: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow: Any = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path}/mlflow")
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"city": random.choice(["a", "b"], 300), "age": random.normal(40, 9, 300)})
    frame["bought"] = (frame["age"] > 40).astype(int)
    features = [{"type": "categorical", "column": "city"}, {"type": "numeric", "column": "age"}]
    config = tfwd.Config.of(
        {
            "data": {"label": "bought"},
            "features": features,
            "model": {"heads": ["wide"]},
            "train": {"epochs": 2, "batch_size": 64, "refit": False},
        }
    )
    mlflow.keras.autolog()
    try:
        if active:
            mlflow.start_run()
        run = tfwd.fit(config, tmp_path / "run", train=frame, validation=frame, test=frame)
        assert (mlflow.active_run() is not None) == active
    finally:
        mlflow.keras.autolog(disable=True)
        mlflow.end_run()
    (logged,) = mlflow.search_runs(output_format="list")
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["test_auc"] == pytest.approx(run.metrics["test"]["auc"])
    history = mlflow.MlflowClient().get_metric_history(logged.info.run_id, "val_auc")
    expected = pd.read_csv(run.path / "history.csv")["val_auc"]
    assert [(entry.step, entry.value) for entry in history] == [(i, pytest.approx(v)) for i, v in enumerate(expected)]
    assert ("train.epochs" in logged.data.params) != active
