"""The way from tfwd to its package export: the names of Python, and another `export` in front of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_run_cases as small
from census_cases import frame

import tfwd
from export.parity import compare as parity

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "HOSTILE_ROWS", 200)


def answers(path: Path) -> np.ndarray:
    rows = tfwd.Rows(tfwd.Source.open(frame("test", 50)), small.trained().model.schema)
    return tfwd.load_scorer(path).score(next(rows.batches(50)).inputs)["probability"]


def test_a_run_exports_to_where_it_lies(tmp_path: Path) -> None:
    place = small.exported() / "export"
    assert {path.name for path in place.iterdir()} >= {"wide_deep.onnx", "wide_deep"}
    for path in (place / "wide_deep.onnx", place / "wide_deep" / "1"):
        np.testing.assert_allclose(answers(path), answers(small.trained().path), rtol=0, atol=1e-6)
    run = small.trained()
    assert tfwd.export_savedmodel(run, tmp_path / "models", name="income", version=7) == tmp_path / "models/income/7"


def test_a_file_and_a_model_export_to_a_path(tmp_path: Path) -> None:
    model = small.trained().model
    model.save(tmp_path / "model.keras")
    assert tfwd.export_onnx(tmp_path / "model.keras") == tmp_path / "export" / "wide_deep.onnx"
    assert tfwd.export_onnx(model, tmp_path / "half.onnx", half_tables=True) == tmp_path / "half.onnx"
    np.testing.assert_allclose(
        answers(tmp_path / "export/wide_deep.onnx"), answers(small.trained().path), rtol=0, atol=1e-6
    )
    for export in (tfwd.export_onnx, tfwd.export_savedmodel):
        with pytest.raises(tfwd.ExportError, match=r"A model in memory has no folder .*: give a path"):
            export(model)
        with pytest.raises(tfwd.RunError, match="absent"):
            export(tmp_path / "absent")
        with pytest.raises(tfwd.RunError, match="absent.keras does not exist"):
            export(tmp_path / "absent.keras")


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )


@pytest.mark.parametrize("place", ["export.py", "export/__init__.py", "export/notes.txt"])
def test_another_export_is_named_and_not_run(place: str, tmp_path: Path) -> None:
    """A module and a package come before tfwd's own; a folder without Python in it does not."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("print('was run')\n")
    shown = python(tmp_path, "-m", "tfwd", "export", "onnx", "absent", "--output", "x.onnx")
    assert shown.returncode == 2
    assert shown.stdout == ""
    if place.endswith(".py"):
        assert shown.stderr.startswith(f"Error: {tmp_path / place} is found in place of tfwd's package")
        assert "Rename it" in shown.stderr
        assert shown.stderr.count("\n") == 1
    else:
        assert shown.stderr.startswith("Error: absent is not")


def test_another_export_is_said_before_a_training_and_in_python(tmp_path: Path) -> None:
    (tmp_path / "export.py").write_text("print('was run')\n")
    shown = python(tmp_path, "-m", "tfwd.train", "--output", "run")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith(f"Error: {tmp_path / 'export.py'} is found in place of")
    assert not (tmp_path / "run").exists()
    program = "import tfwd\ntry:\n    tfwd.export_onnx\nexcept tfwd.ExportError as error:\n    print(error)"
    shown = python(tmp_path, "-c", program)
    assert shown.stdout.startswith(f"{tmp_path / 'export.py'} is found in place of"), shown.stderr
    # Already imported, as by a program of this name.
    shown = python(tmp_path, "-c", f"import export\n{program}")
    assert shown.stdout.startswith(f"was run\n{tmp_path / 'export.py'} is found in place of"), shown.stderr


def test_tfwd_knows_export_in_two_places_only() -> None:
    knowing = set()
    for path in (ROOT / "tfwd").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if re.search(r"^\s*(from export\b|import export\b)|\bexport_module\(", text, re.MULTILINE):
            knowing.add(path.relative_to(ROOT / "tfwd").as_posix())
    assert knowing == {"cli/app.py", "cli/exporting.py", "cli/train.py"}


def test_what_is_there_is_looked_for_where_it_was_named() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'export_tflite'"):
        tfwd.export_tflite  # noqa: B018
