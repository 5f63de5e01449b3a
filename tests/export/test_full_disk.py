"""A full disk, as every writer of a model says it. A training on one is in tests/cli/test_bad_input.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_disk import small_disk
from small_run_cases import trained

from export.onnx import writer as onnx
from export.savedmodel import writer as savedmodel
from tfwd.model.saving import save_model


def test_every_writer_says_the_same_and_leaves_nothing(tmp_path: Path) -> None:
    model = trained().model
    with small_disk(tmp_path / "disk", "1m") as disk:
        fill = disk / "fill"
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
