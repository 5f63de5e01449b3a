"""A training that was broken off, at any moment and in any way, ends as one that was left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from census_cases import frame, values

from tfwd.checkpoints import Checkpoints
from tfwd.config import Config
from tfwd.run import Run
from tfwd.training import fit, resume

SCHEDULE = {"name": "lazy_adam", "learning_rate": {"schedule": "cosine", "start": 0.01, "end": 0.1, "warmup": 5}}
COMMON: dict[str, Any] = {
    "epochs": 2,
    "checkpoint_every": 4,
    "deterministic": True,
    "deep_optimizer": SCHEDULE,
    "early_stopping": {"monitor": "auc", "patience": 5},
}
# About 1,600 rows in batches of 100: 16 or 17 steps an epoch, 4 of them a call.
WAYS = {
    "cached": {"cache": "ids"},
    "streaming": {"cache": "none", "shuffle_rows": 300},
    "refit": {"cache": "ids", "refit": True},
}
KILLED = """
import json, os, signal, sys
import keras, pandas
from tfwd.config import Config
from tfwd.training import fit

class Killer(keras.callbacks.Callback):
    ends = 0
    calls = 0
    def on_train_begin(self, logs=None):
        Killer.ends += 1
    def on_train_batch_end(self, batch, logs=None):
        Killer.calls += Killer.ends == {phase}
        if Killer.calls == {calls}:
            os.kill(os.getpid(), signal.SIGKILL)

fit(Config.of(json.loads(sys.argv[1])), sys.argv[3], train=pandas.read_parquet(sys.argv[2]), callbacks=[Killer()])
"""


def configuration(way: str) -> dict[str, Any]:
    return values(**COMMON, **WAYS[way])


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs killed in the middle of the second epoch, or of the refit's: all at once, since each loads TensorFlow."""
    folder = tmp_path_factory.mktemp("killed")
    frame().to_parquet(folder / "train.parquet")
    processes = {}
    for way in WAYS:
        script = KILLED.format(phase=2 if way == "refit" else 1, calls=7)
        command = [sys.executable, "-c", script, json.dumps(configuration(way)), folder / "train.parquet", folder / way]
        processes[way] = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for process in processes.values():
        assert process.wait() == -9
    return {way: folder / way for way in WAYS}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Runs that were left alone."""
    folder, runs = tmp_path_factory.mktemp("alone"), dict[str, Run]()

    def run(way: str) -> Run:
        if way not in runs:
            runs[way] = fit(Config.of(configuration(way)), folder / way, train=frame())
        return runs[way]

    return run


def assert_same(one: Run, other: Run) -> None:
    """Equal models, last states, histories and metrics."""
    for path in (
        "model.keras",
        *(f"checkpoints/{folder.name}/model.keras" for folder in (one.path / "checkpoints").iterdir()),
    ):
        first, second = (keras.saving.load_model(run.path / path) for run in (one, other))
        assert len(first.optimizer.variables) > len(first.trainable_variables)
        for mine, yours in zip(first.variables, second.variables, strict=True):
            np.testing.assert_allclose(mine.numpy(), yours.numpy(), rtol=0, atol=1e-6, err_msg=mine.path)
        for mine, yours in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
            np.testing.assert_allclose(mine.numpy(), yours.numpy(), rtol=0, atol=1e-6, err_msg=mine.path)
    assert (one.path / "history.csv").read_text() == (other.path / "history.csv").read_text()
    assert one.metrics == other.metrics


@pytest.mark.parametrize("way", WAYS)
def test_killed_in_mid_epoch_and_resumed_equals_left_alone(
    way: str, killed: dict[str, Path], alone: Callable[[str], Run]
) -> None:
    _, state = Checkpoints(killed[way] / "checkpoints").load() or (None, None)
    assert state is not None
    assert state.phase == ("refit" if way == "refit" else "fit")
    assert state.evaluations == 1
    assert state.step > state.history[-1]["step"] > 0, "in the middle of the second epoch"
    assert_same(resume(killed[way], train=frame(), callbacks=[]), alone(way))


class Breaks(keras.callbacks.Callback):
    """Breaks a training off at the n-th moment of a kind."""

    def __init__(self, moment: str, count: int) -> None:
        super().__init__()
        self.moment, self.left = moment, count

    def _passed(self, moment: str) -> None:
        self.left -= moment == self.moment
        if self.left == 0 and moment == self.moment:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._passed("epoch begin")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._passed("step")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._passed("epoch end")


@pytest.mark.parametrize(("moment", "count"), [("step", 5), ("epoch end", 1), ("epoch end", 2)])
def test_broken_off_at_any_moment(moment: str, count: int, alone: Callable[[str], Run], tmp_path: Path) -> None:
    """At the last step of an epoch, before its evaluation was kept, and at the very end."""
    with pytest.raises(KeyboardInterrupt):
        fit(
            Config.of(configuration("cached")),
            tmp_path / "run",
            train=frame(),
            callbacks=[Breaks(moment, count)],
        )
    assert Run.open(tmp_path / "run").status == "training"
    assert_same(resume(tmp_path / "run", train=frame(), callbacks=[]), alone("cached"))


def test_leftovers_of_a_kill_are_neither_read_nor_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Config.of(values()), tmp_path / "run", train=frame(), callbacks=[Breaks("step", 1)])
    assert not any((tmp_path / "run" / "checkpoints").iterdir())
    half = tmp_path / "run" / "checkpoints" / ".fit-000000000099-000009-0a1b2c3d"
    half.mkdir()
    (half / "state.json").write_text('{"phase": "fi')
    (tmp_path / "run" / ".model-0a1b2c3d.keras").write_bytes(b"half")
    run = resume(tmp_path / "run", train=frame(), callbacks=[])
    assert run.status == "finished"
    assert list(run.path.rglob(".*")) == []


def test_early_stopping_is_remembered(tmp_path: Path) -> None:
    """A training that had waited long enough is over, even if it was broken off just then."""
    options = values(
        epochs=30, early_stopping={"patience": 1}, deep_optimizer={"name": "lazy_adam", "learning_rate": 0.1}
    )
    run = fit(Config.of(options), tmp_path / "run", train=frame())
    history = (run.path / "history.csv").read_text()
    assert len(history.splitlines()) < 30
    run.set_status("training")
    assert resume(run.path, train=frame()).status == "finished"
    assert (run.path / "history.csv").read_text() == history


def test_resuming_what_is_finished_changes_nothing(tmp_path: Path) -> None:
    run = fit(Config.of(values(epochs=1)), tmp_path / "run", train=frame())
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert resume(run.path, train=frame()).metrics == run.metrics
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
