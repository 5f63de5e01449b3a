"""A training that was broken off, at any moment and in any way, ends as one that was left alone; so does an export."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest
from census_cases import FEATURES, files, small
from small_run_cases import copy_of_trained

from export.pipeline import export_run
from tfwd.config.config import Config
from tfwd.run import Run
from tfwd.training.checkpoints import Checkpoints
from tfwd.training.fit import fit, resume

SCHEDULE = {"name": "lazy_adam", "learning_rate": {"schedule": "cosine", "start": 0.01, "end": 0.1, "warmup": 5}}
COMMON: dict[str, Any] = {
    "epochs": 2,
    "steps_per_execution": 8,
    "checkpoint_every": 8,
    "deterministic": True,
    "deep_optimizer": SCHEDULE,
    "early_stopping": {"monitor": "auc", "patience": 5},
}
# 1,596 rows in batches of 100: 16 steps an epoch, 8 of them a call. The refit is of 2,000 rows in batches of 90.
WAYS: dict[str, dict[str, Any]] = {
    "cached": {"cache": "ids"},
    "streaming": {"cache": "none", "shuffle_rows": 300, "evaluate_every": 12},
    "refit": {"cache": "ids", "refit": True, "batch_size": 90, "checkpoint_every": 16},
}
# Where a training is broken off: its way, and the n-th moment of a kind. Between the last step of an epoch and the
# moment that its evaluation is kept nothing is written.
MOMENTS = {
    "mid-epoch, cached": ("cached", "step", 3),
    "mid-epoch, streaming": ("streaming", "step", 3),
    "mid-epoch, refit": ("refit", "refit step", 5),
    "before an evaluation is kept": ("cached", "epoch end", 1),
    "at the very end": ("cached", "end", 1),
}


def configuration(way: str) -> dict[str, Any]:
    """Of a number and a category, which both heads read."""
    options = small({"train": str(files()["train.csv"])}, **{**COMMON, **WAYS[way]})
    return {**options, "features": [FEATURES[0], FEATURES[3]]}


class Copies(keras.callbacks.Callback):
    """Copies a run at the moments of `MOMENTS`, as a kill would leave it."""

    def __init__(self, way: str, folder: Path) -> None:
        super().__init__()
        self.way, self.folder = way, folder
        self.passed = Counter[str]()
        self.trainings = 0

    def _passed(self, kind: str) -> None:
        self.passed[kind] += 1
        for name, moment in MOMENTS.items():
            if moment == (self.way, kind, self.passed[kind]):
                shutil.copytree(self.folder / self.way, self.folder / name)

    def on_train_begin(self, logs: Any = None) -> None:
        self.trainings += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._passed("step" if self.trainings == 1 else "refit step")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._passed("epoch end")

    def on_train_end(self, logs: Any = None) -> None:
        self._passed("end")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Runs that were left alone; beside each stand its copies."""
    folder, runs = tmp_path_factory.mktemp("alone"), dict[str, Run]()

    def run(way: str) -> Run:
        if way not in runs:
            options, copies = Config.of(configuration(way)), Copies(way, folder)
            runs[way] = fit(options, folder / way, callbacks=[copies])
        return runs[way]

    return run


@functools.cache
def saved(path: Path) -> dict[str, np.ndarray]:
    """All that a `.keras` file holds of variables, those of the optimizer among them."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset):
            found[name] = entry[()]

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(keep)
    return found


def assert_same(one: Run, other: Run) -> None:
    """Equal models, last states, histories and metrics."""
    for path in (
        "model.keras",
        *(f"checkpoints/{folder.name}/model.keras" for folder in (one.path / "checkpoints").iterdir()),
    ):
        first, second = (saved(run.path / path) for run in (one, other))
        slots = [name for name in first if name.startswith("optimizer/")]
        assert len(slots) > len([name for name in first if name.startswith("layers/functional_1/")])
        assert set(first) == set(second)
        for name, mine in first.items():
            np.testing.assert_allclose(mine, second[name], rtol=0, atol=1e-6, err_msg=name)
    assert (one.path / "history.csv").read_text() == (other.path / "history.csv").read_text()
    assert one.metrics == other.metrics


def leave_halves(run: Path) -> None:
    """What a kill leaves half-written."""
    half = run / "checkpoints" / ".fit-000000000099-000009-0a1b2c3d"
    half.mkdir()
    (half / "state.json").write_text('{"phase": "fi')
    (run / ".model-0a1b2c3d.keras").write_bytes(b"half")


@pytest.mark.parametrize(
    "moment", [pytest.param(name, marks=pytest.mark.long) if "streaming" in name else name for name in MOMENTS]
)
def test_broken_off_at_any_moment_and_resumed_equals_left_alone(moment: str, alone: Callable[[str], Run]) -> None:
    way, _, _ = MOMENTS[moment]
    whole = alone(way)
    path = whole.path.parent / moment
    assert Run.open(path).status == "training"
    state = Checkpoints(path / "checkpoints").state()
    assert state is not None
    if moment.startswith("mid-epoch"):
        assert state.phase == ("refit" if way == "refit" else "fit")
        assert state.evaluations == 1
        assert state.step > state.history[-1]["step"] > 0, "after an evaluation"
        epoch = 23 if way == "refit" else 16
        assert epoch < state.step < 2 * epoch, "in the middle of the second epoch"
    if moment == "at the very end":
        assert state.step == state.total
    # Neither read nor kept.
    leave_halves(path)
    run = resume(path, callbacks=[])
    assert_same(run, whole)
    assert list(run.path.rglob(".*")) == []


# Imports once what takes seconds, and runs each order, a function with its arguments, in a process of its own.
# TensorFlow has not run anything by then, so that a fork is a whole process.
PROCESSES = """
import json, os, signal, sys

from export import pipeline
from tfwd.config.config import Config
from tfwd.run import Run
from tfwd.training.fit import fit

def train(options, output):
    fit(Config.of(options), output, overwrite=True)

def export(run):
    pipeline.savedmodel.parity.check_savedmodel = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    pipeline.export_run(Run.open(run))

for line in sys.stdin:
    name, *arguments = json.loads(line)
    process = os.fork()
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        try:
            globals()[name](*arguments)
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Processes:
    """Trainings and exports in processes that can be killed, one after the other."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-c", PROCESSES],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def begin(self, name: str, *arguments: Any) -> int:
        """The process, which runs."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps([name, *arguments]).encode() + b"\n")
        return self._answer()

    def ended(self, seconds: float) -> bool:
        """Whether it does not run any more, or ends within some time."""
        return bool(select.select([self._parent.stdout], [], [], seconds)[0])

    def exit_code(self) -> int:
        """Waits for its end."""
        return self._answer()

    def close(self) -> None:
        self._parent.communicate()

    def _answer(self) -> int:
        assert self._parent.stdout is not None
        return int(self._parent.stdout.readline())


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    found = Processes()
    yield found
    found.close()


def test_killed_at_a_random_moment_and_resumed_equals_left_alone(
    alone: Callable[[str], Run], processes: Processes, tmp_path: Path
) -> None:
    """By a signal that nobody can catch. Where it fails, the seed says when it was."""
    seed = int.from_bytes(os.urandom(4), "little")
    moment = random.Random(seed).uniform(0.05, 2.5)
    process = processes.begin("train", configuration("cached"), str(tmp_path / "run"))
    while not (tmp_path / "run" / "rows.json").exists():
        assert not processes.ended(0.01)
    if not processes.ended(moment):
        os.kill(process, signal.SIGKILL)
    assert processes.exit_code() in (0, -signal.SIGKILL)
    run = resume(tmp_path / "run")
    assert run.status == "finished", seed
    assert_same(run, alone("cached"))
    assert list(run.path.rglob(".*")) == [], seed
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_export_that_was_killed_is_not_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: Processes
) -> None:
    """Within a file a kill leaves what nobody could remove; between two, what an interrupt leaves."""
    monkeypatch.setattr("export.parity.compare.HOSTILE_ROWS", 50)
    path = copy_of_trained(tmp_path / "run")
    config = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(config.replace("formats: []", "formats: [savedmodel, onnx]"))
    models = path / "export" / "wide_deep"
    processes.begin("export", str(path))
    assert processes.exit_code() == -signal.SIGKILL
    (left,) = models.iterdir()
    assert left.name.startswith(".tmp-")
    with monkeypatch.context() as patch:
        patch.setattr("export.pipeline.onnx.write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export_run(Run.open(path))
    assert [entry.name for entry in models.iterdir()] == ["1"]
    assert list(path.rglob(".*")) == []
    # What is there already is not written again.
    before = (models / "1" / "saved_model.pb").stat().st_mtime_ns
    for _ in range(2):
        assert export_run(Run.open(path)) == [models / "1", path / "export" / "wide_deep.onnx"]
        assert [entry.name for entry in models.iterdir()] == ["1"]
        assert (models / "1" / "saved_model.pb").stat().st_mtime_ns == before
    assert list(path.rglob(".*")) == []


def test_refit_learns_from_all_rows_for_the_chosen_epochs(alone: Callable[[str], Run]) -> None:
    run = alone("refit")
    with (run.path / "history.csv").open() as file:
        lines = list(csv.DictReader(file))
    fitted = [line for line in lines if line["phase"] == "fit"]
    refitted = [line for line in lines if line["phase"] == "refit"]
    best = max(fitted, key=lambda line: float(line["val_auc"]))
    steps = math.ceil(2000 / 90) * int(best["epoch"])
    assert int(refitted[-1]["step"]) == steps == int(run.model.optimizer.iterations)
    assert run.metrics["validation"]["auc"] == pytest.approx(float(best["val_auc"]))


@pytest.mark.long
def test_an_epoch_is_the_pass_that_an_evaluation_stands_in(alone: Callable[[str], Run]) -> None:
    """Of 16 steps; an evaluation is a line."""
    with (alone("streaming").path / "history.csv").open() as file:
        found = [(int(line["epoch"]), int(line["step"])) for line in csv.DictReader(file)]
    assert found == [(1, 12), (2, 24), (2, 32)]


def test_resuming_what_is_finished_changes_nothing(alone: Callable[[str], Run]) -> None:
    run = alone("cached")
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert resume(run.path, callbacks=[]).metrics == run.metrics
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
