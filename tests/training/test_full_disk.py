"""A disk that becomes full. What is killed is in test_resume.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from census_cases import FEATURES, files, small
from small_disk import small_disk

from export.onnx import writer as onnx
from export.savedmodel import writer as savedmodel
from tfwd.config.config import Config
from tfwd.model.saving import save_model
from tfwd.training.fit import fit, resume


def test_a_full_disk_is_one_error_and_the_training_goes_on_when_there_is_room(tmp_path: Path) -> None:
    options = small({"train": str(files()["train.csv"])}, epochs=1, tensorboard=True)
    options["features"] = [FEATURES[0], FEATURES[3]]
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
