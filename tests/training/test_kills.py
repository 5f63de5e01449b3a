"""An export that is killed, and a disk that becomes full. A training that is killed is in test_resume.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from census_cases import files, small
from small_disk import small_disk
from small_run_cases import copy_of_trained

from export.onnx import writer as onnx
from export.pipeline import export_run
from export.savedmodel import writer as savedmodel
from tfwd.config.config import Config
from tfwd.model.saving import save_model
from tfwd.run import Run
from tfwd.training.fit import fit, resume

EXPORT = """
import os, signal, sys
import export.pipeline as pipeline
from tfwd.run import Run
pipeline.savedmodel.parity.check_savedmodel = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
pipeline.export_run(Run.open(sys.argv[1]))
"""


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_export_that_was_killed_is_not_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a file a kill leaves what nobody could remove; between two, what an interrupt leaves."""
    monkeypatch.setattr("export.parity.compare.HOSTILE_ROWS", 50)
    path = copy_of_trained(tmp_path / "run")
    config = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(config.replace("formats: []", "formats: [savedmodel, onnx]"))
    models = path / "export" / "wide_deep"
    command = [sys.executable, "-c", EXPORT, str(path)]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == -9
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


def test_a_full_disk_is_one_error_and_the_training_goes_on_when_there_is_room(tmp_path: Path) -> None:
    options = small({"train": str(files()["train.csv"])}, epochs=1, tensorboard=True)
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
        for left in (0, 16):
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
