"""A training killed at a random moment by a signal that nobody can catch, and a disk that becomes full."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from census_cases import copy_of_trained, files, values
from test_resume import COMMON, assert_same, small

from export import onnx, savedmodel
from export.pipeline import export_run
from tfwd.config import Config
from tfwd.run import Run, save_model
from tfwd.training import fit, resume

TRAIN = """
import json, sys
from tfwd.config import Config
from tfwd.training import fit
print("begun", flush=True)
fit(Config.of(json.loads(sys.argv[1])), sys.argv[2], overwrite=True)
"""


def test_killed_at_a_random_moment_and_resumed_equals_left_alone(tmp_path: Path) -> None:
    """Where it fails, the seed says when it was."""
    seed = int.from_bytes(os.urandom(4), "little")
    options = small(
        {"train": str(files()["train.csv"])}, **{**COMMON, "epochs": 4, "evaluate_every": 10, "early_stopping": None}
    )
    alone = fit(Config.of(options), tmp_path / "alone")
    moment = random.Random(seed).uniform(0.05, 2.5)
    command = [sys.executable, "-c", TRAIN, json.dumps(options), str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "run" / "rows.json").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moment)
        process.kill()
        process.wait()
    run = resume(tmp_path / "run")
    assert run.status == "finished", seed
    assert_same(run, alone)
    assert list(run.path.rglob(".*")) == [], seed
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["alone", "run"]
    # An evaluation is a line; the epoch is the pass that it stands in, of 16 steps.
    with (run.path / "history.csv").open() as lines:
        found = [(int(line["epoch"]), int(line["step"])) for line in csv.DictReader(lines)]
    assert found == [(-(-step // 16), step) for step in (*range(10, 64, 10), 64)]


EXPORT = """
import os, signal, sys
import export.pipeline as pipeline
from tfwd.run import Run
pipeline.savedmodel.parity.check_savedmodel = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
pipeline.export_run(Run.open(sys.argv[1]))
"""


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["between", "within"])
def test_an_export_that_was_killed_is_not_written_twice(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two files a kill leaves what an interrupt leaves; within one, what nobody could remove."""
    monkeypatch.setattr("export.parity.HOSTILE_ROWS", 50)
    path = copy_of_trained(tmp_path / "run")
    config = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(config.replace("formats: []", "formats: [savedmodel, onnx]"))
    if moment == "within":
        command = [sys.executable, "-c", EXPORT, str(path)]
        assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == -9
    else:
        with monkeypatch.context() as patch:
            patch.setattr("export.pipeline.onnx.save", interrupted)
            with pytest.raises(KeyboardInterrupt):
                export_run(Run.open(path))
    models = path / "export" / "wide_deep"
    left = sorted(entry.name for entry in models.iterdir())
    assert len(left) == 1
    assert left[0] == "1" if moment == "between" else left[0].startswith(".tmp-")
    written = export_run(Run.open(path))
    assert written == [models / "1", path / "export" / "wide_deep.onnx"]
    assert [entry.name for entry in models.iterdir()] == ["1"]
    assert list(path.rglob(".*")) == []
    # Nor is what is there already.
    before = (models / "1" / "saved_model.pb").stat().st_mtime_ns
    assert export_run(Run.open(path)) == written
    assert [entry.name for entry in models.iterdir()] == ["1"]
    assert (models / "1" / "saved_model.pb").stat().st_mtime_ns == before


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of some kilobytes, where this user may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_error_and_the_training_goes_on_when_there_is_room(tmp_path: Path) -> None:
    options = values({"train": str(files()["train.csv"])}, epochs=2, tensorboard=True)
    with small_disk(tmp_path / "disk", "4m") as disk:
        fill = disk / "fill"
        fill.write_bytes(b"\0" * (3 * 2**20 + 900 * 2**10))
        with pytest.raises(OSError, match="No space left on device"):
            fit(Config.of(options), disk / "run")
        fill.unlink()
        run = resume(disk / "run")
        assert run.status == "finished"
        model = run.model
        # Every writer of an export says the same of it.
        (disk / "out" / "m").mkdir(parents=True)
        for left in (0, 64):
            free = os.statvfs(disk).f_bavail * 4096
            fill.write_bytes(b"\0" * max(free - left * 1024, 0))
            with pytest.raises(OSError, match=r"No space left on device") as caught:
                save_model(model, disk / "model.keras")
            assert caught.type is OSError
            exports = (
                lambda: savedmodel.save(model, disk / "out", name="m"),
                lambda: onnx.save(model, disk / "out" / "m.onnx"),
            )
            for export in exports if left else ():
                with pytest.raises(OSError, match=r"No space left on device"):
                    export()
            fill.unlink()
        assert [entry.name for entry in (disk / "out").rglob("*")] == ["m"]
