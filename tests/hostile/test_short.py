"""The attacks of this folder in short, some seeds of each. Each has a long form, as `python -m tests.hostile.files`."""

from __future__ import annotations

import sys
from pathlib import Path

# The attacks are modules of a package, as commands are.
sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.hostile import files, metadata, rows, trainings


def test_awkward_files() -> None:
    assert files.run(60).faults == []


def test_hostile_rows() -> None:
    assert rows.run(2_000).faults == []


def test_random_trainings() -> None:
    tally = trainings.run(4, first=20)
    assert tally.faults == []
    assert tally.done["done"] >= 2


def test_tampered_metadata() -> None:
    assert metadata.run(1).faults == []
