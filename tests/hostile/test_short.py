"""The attacks of this folder in short, some seeds of each. Each has a long form, as `python -m tests.hostile.files`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The attacks are modules of a package, as commands are.
sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.hostile import files, metadata, rows, trainings


def test_awkward_files() -> None:
    assert files.run(30).faults == []


def test_hostile_rows(bag_exports: dict[str, Path]) -> None:
    """Of the model with lists. tests/export/test_onnx.py has as many for the census."""
    assert rows.run(1_000, names=("bags",), made={"bags": bag_exports}).faults == []


def test_random_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seeds: one whose learning rate is refused, and a small model of a list and of truths."""
    monkeypatch.setattr(trainings, "HOSTILE", 100)
    tally = trainings.run(2, first=219)
    assert tally.faults == []
    assert tally.done == {"done": 1, "ConfigError": 1}


def test_tampered_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is exported to be tampered with is compared elsewhere.
    monkeypatch.setattr("export.parity.HOSTILE_ROWS", 50)
    assert metadata.run(1).faults == []
