"""A training that was broken off, at any moment and in any way, ends as one that was left alone."""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from census_cases import FEATURES, frame, values

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
# Where a training is broken off: its way, and the n-th moment of a kind.
MOMENTS = {
    "mid-epoch, cached": ("cached", "step", 7),
    "mid-epoch, streaming": ("streaming", "step", 7),
    "mid-epoch, refit": ("refit", "refit step", 7),
    "last step of an epoch": ("cached", "step", 5),
    "before an evaluation is kept": ("cached", "epoch end", 1),
    "at the very end": ("cached", "epoch end", 2),
}


def small(data: dict[str, Any] | None = None, **train: Any) -> dict[str, Any]:
    """`values` with a number, a category, a one-hot and a cross alone, which are built sooner."""
    return {**values(data, **train), "features": [FEATURES[index] for index in (0, 3, 4, 6)]}


def configuration(way: str) -> dict[str, Any]:
    return small(**COMMON, **WAYS[way])


class Moments(keras.callbacks.Callback):
    """Counts the moments of a training by their kind."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = Counter[str]()
        self.trainings = 0

    def happens(self, kind: str, count: int) -> None:
        """The moment is the n-th of its kind."""

    def _passed(self, kind: str) -> None:
        self.passed[kind] += 1
        self.happens(kind, self.passed[kind])

    def on_train_begin(self, logs: Any = None) -> None:
        self.trainings += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._passed("step" if self.trainings == 1 else "refit step")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._passed("epoch end")


class Copies(Moments):
    """Copies a run at the moments of `MOMENTS`, as a kill would leave it: test_kills.py kills one."""

    def __init__(self, way: str, folder: Path) -> None:
        super().__init__()
        self.way, self.folder = way, folder

    def happens(self, kind: str, count: int) -> None:
        for name, moment in MOMENTS.items():
            if moment == (self.way, kind, count):
                shutil.copytree(self.folder / self.way, self.folder / name)


class Breaks(Moments):
    """Breaks a training off at its first step."""

    def happens(self, kind: str, count: int) -> None:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Runs that were left alone; beside each stand its copies."""
    folder, runs = tmp_path_factory.mktemp("alone"), dict[str, Run]()

    def run(way: str) -> Run:
        if way not in runs:
            options, copies = Config.of(configuration(way)), Copies(way, folder)
            runs[way] = fit(options, folder / way, train=frame(), callbacks=[copies])
        return runs[way]

    return run


@functools.cache
def loaded(path: Path) -> keras.Model:
    return keras.saving.load_model(path)


def assert_same(one: Run, other: Run) -> None:
    """Equal models, last states, histories and metrics."""
    for path in (
        "model.keras",
        *(f"checkpoints/{folder.name}/model.keras" for folder in (one.path / "checkpoints").iterdir()),
    ):
        first, second = (loaded(run.path / path) for run in (one, other))
        assert len(first.optimizer.variables) > len(first.trainable_variables)
        for mine, yours in zip(first.variables, second.variables, strict=True):
            np.testing.assert_allclose(mine.numpy(), yours.numpy(), rtol=0, atol=1e-6, err_msg=mine.path)
        for mine, yours in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
            np.testing.assert_allclose(mine.numpy(), yours.numpy(), rtol=0, atol=1e-6, err_msg=mine.path)
    assert (one.path / "history.csv").read_text() == (other.path / "history.csv").read_text()
    assert one.metrics == other.metrics


@pytest.mark.parametrize("moment", MOMENTS)
def test_broken_off_at_any_moment_and_resumed_equals_left_alone(moment: str, alone: Callable[[str], Run]) -> None:
    way, _, _ = MOMENTS[moment]
    whole = alone(way)
    path = whole.path.parent / moment
    assert Run.open(path).status == "training"
    if moment.startswith("mid-epoch"):
        _, state = Checkpoints(path / "checkpoints").load() or (None, None)
        assert state is not None
        assert state.phase == ("refit" if way == "refit" else "fit")
        assert state.evaluations == 1
        assert state.step > state.history[-1]["step"] > 0, "in the middle of the second epoch"
    assert_same(resume(path, train=frame(), callbacks=[]), whole)


def test_leftovers_of_a_kill_are_neither_read_nor_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Config.of(small(epochs=1)), tmp_path / "run", train=frame(), callbacks=[Breaks()])
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
    options = small(
        epochs=30, early_stopping={"patience": 1}, deep_optimizer={"name": "lazy_adam", "learning_rate": 0.1}
    )
    run = fit(Config.of(options), tmp_path / "run", train=frame())
    history = (run.path / "history.csv").read_text()
    assert len(history.splitlines()) < 30
    run.set_status("training")
    assert resume(run.path, train=frame()).status == "finished"
    assert (run.path / "history.csv").read_text() == history


def test_resuming_what_is_finished_changes_nothing(alone: Callable[[str], Run]) -> None:
    run = alone("cached")
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert resume(run.path, train=frame(), callbacks=[]).metrics == run.metrics
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
