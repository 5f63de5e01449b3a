"""A warm start as a training: broken off and resumed, refitted, refused, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from command_line import tfwd
from warm_start_cases import SMALL, begun, scores, small, small_frame, small_run, tower, tower_run

from tfwd.config.config import Config
from tfwd.errors import RunError
from tfwd.run import Run
from tfwd.training.fit import fit, resume


class Copies(keras.callbacks.Callback):
    """Copies a run after its second call, as a kill would leave it."""

    calls = 0

    def __init__(self, run: Path, to: Path) -> None:
        super().__init__()
        self.run, self.to = run, to

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls += 1
        if self.calls == 2:
            shutil.copytree(self.run, self.to)


def copied(run: Run, path: Path) -> Path:
    shutil.copytree(run.path, path)
    return path


def test_resumed_without_the_old_run_it_ends_as_one_that_was_left_alone(tmp_path: Path) -> None:
    options = Config.of(small(SMALL[:2], deterministic=True, evaluate_every=10, checkpoint_every=5))
    old, table = copied(small_run(), tmp_path / "old"), small_frame("new")
    copies = Copies(tmp_path / "alone", tmp_path / "run")
    alone = fit(options, tmp_path / "alone", train=table, callbacks=[copies], warm_start_from=old)
    assert Run.open(tmp_path / "run").status == "training"
    shutil.rmtree(old)
    run = resume(tmp_path / "run", train=table, callbacks=[])
    assert (run.path / "history.csv").read_text() == (alone.path / "history.csv").read_text()
    for mine, theirs in zip(run.model.optimizer.variables, alone.model.optimizer.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=0, atol=1e-6, err_msg=mine.path)
    assert not (run.path / "origin").exists(), "nothing of the old run is kept"


@pytest.mark.long
def test_broken_off_before_anything_and_refitted_it_goes_on_from_the_old_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With next to no learning rate the end of the refit is where it began: at the old run."""

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    still = {"name": "sgd", "learning_rate": 1e-9}
    values = small(SMALL[:2], wide_optimizer=still, deep_optimizer=still, refit=True)
    start, statistics, _ = begun(values, small_frame("new"), tower_run(), tower())
    old = copied(tower_run(), tmp_path / "old")
    monkeypatch.setattr(Run, "save_statistics", broken)
    with pytest.raises(KeyboardInterrupt):
        fit(Config.of(values), tmp_path / "run", train=small_frame("new"), tower=tower(), warm_start_from=old)
    monkeypatch.undo()
    assert Run.open(tmp_path / "run").status == "created"
    shutil.rmtree(old)
    run = resume(tmp_path / "run", train=small_frame("new"), tower=tower())
    assert run.statistics == statistics
    assert pd.read_csv(run.path / "history.csv")["phase"].iloc[-1] == "refit"
    rows = small_frame("new")
    np.testing.assert_allclose(scores(run.model, rows), scores(start, rows), rtol=0, atol=1e-5)
    report = json.loads((run.path / "warm_start.json").read_text())
    assert report["from"] == run.config.train.warm_start_from == str(old)
    assert [entry["carried"] for entry in report["tower"]] == ["yes"] * 7


def test_a_tower_of_your_own_is_carried_whatever_its_layers_are_called() -> None:
    old, table = tower_run(), small_frame("old")
    model, _, report = begun(small(SMALL[:2]), table, old, tower())
    assert [entry["carried"] for entry in report.tower] == ["yes"] * 7
    np.testing.assert_allclose(scores(model, table), scores(old.model, table), rtol=0, atol=1e-5)
    _, _, other = begun(small(SMALL[:2]), table, old, tower(6))
    assert [entry["carried"] for entry in other.tower] == ["no", "no", "no", "yes", "yes", "yes", "yes"]


def damaged(path: Path, what: str) -> Path:
    if what == "none":
        return path
    run = Run.open(copied(small_run(), path))
    if what == "unfinished":
        run.set_status("training")
    if what == "format":
        (path / "run.json").write_text('{"format": 1, "version": "0.1.0", "status": "finished"}')
    if what == "model":
        (path / "model.keras").write_bytes(b"half")
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("none", "is not a run directory"),
        ("unfinished", "is not finished .* --resume"),
        ("format", "written by tfwd 0.1.0 in run format 1"),
        ("model", "cannot be read as a Keras model"),
        ("task", "was trained for task binary, and this is regression"),
    ],
)
def test_what_cannot_be_gone_on_from_is_refused_before_any_work(what: str, message: str, tmp_path: Path) -> None:
    values = small() | ({"task": "regression"} if what == "task" else {})
    old = damaged(tmp_path / "old", what)
    with pytest.raises(RunError, match=f"train.warm_start_from: .*{message}"):
        # The rows are not looked at.
        fit(Config.of(values), tmp_path / "run", train=pd.DataFrame(), warm_start_from=old)
    assert not (tmp_path / "run").exists()


def test_yesterday_and_a_range_of_time_on_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = small_frame("new").drop(columns=["liked"])
    table["time"] = pd.Timestamp("2000-12-01") + pd.to_timedelta(np.arange(len(table)) * 172.8, unit="s")
    table.to_parquet(tmp_path / "log.parquet")
    values = small(SMALL[:2])
    values["data"] |= {"train": "log.parquet", "time": "time", "validation_fraction": 0.2}
    (tmp_path / "config.yaml").write_text(json.dumps(values))
    command = ["train", "--config", tmp_path / "config.yaml", "--output", tmp_path / "run"]
    command += ["--warm-start-from", small_run().path, "--from", "2000-12-02", "--to", "2000-12-03"]
    assert tfwd(*command) == 0
    said = capfd.readouterr().err
    assert f"Warm start from {small_run().path}" in said
    assert "wide optimizer: carried" in said
    run = Run.open(tmp_path / "run")
    kept = pd.read_parquet(run.path / "data" / "train.parquet")["time"]
    assert (kept.min(), kept.max(), len(kept)) == (pd.Timestamp("2000-12-02"), table["time"].iloc[-1], 500)
    assert (run.config.data.since, run.config.data.until) == ("2000-12-02", "2000-12-03")
    assert run.config.train.warm_start_from == str(small_run().path)
    # A day does not have all items: what is known of the others stays.
    assert set(small_run().statistics.vocabularies["item"].values) < set(run.statistics.vocabularies["item"].values)
    report = json.loads((run.path / "warm_start.json").read_text())
    assert report["vocabularies"] == "grow"
    assert report["tables"]["wide"]["item"]["gone"] == 0
    assert tfwd("train", "--output", tmp_path / "run", "--resume", "--from", "2000-12-02") == 2
    assert "leave all other options out" in capfd.readouterr().err
