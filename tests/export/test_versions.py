"""Versions of a SavedModel are what TF Serving reads in the names of folders: 64-bit integers."""

from __future__ import annotations

from pathlib import Path

import census_cases
import pytest

from export.savedmodel.writer import next_version, save
from tfwd.errors import ExportError

LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("names", "following"),
    [
        ((), 1),
        (("1", "2", "10"), 11),
        (("1", "9" * 30), 2),
        (("007",), 8),
        (("٣", "²", "-5", "1.5", ".tmp-0a1b2c3d", "latest"), 1),
        ((str(LARGEST - 1),), LARGEST),
        ((str(2**63),), 1),
    ],
)
def test_the_next_version(names: tuple[str, ...], following: int, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == following
    assert next_version(tmp_path / "nowhere") == 1


def test_after_the_last_one_there_is_none(tmp_path: Path) -> None:
    (tmp_path / str(LARGEST)).mkdir()
    with pytest.raises(ExportError, match=f"holds the version {LARGEST}, after which TF Serving takes none"):
        next_version(tmp_path)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (10**19, f"is not a version: TF Serving takes 1 to {LARGEST}. The next free version is 8"),
        (2**63, "is not a version"),
        (0, "is not a version"),
        (-1, "is not a version"),
        (7, "exists already. The next free version is 8"),
    ],
)
def test_a_version_that_cannot_be(version: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "m" / "007").mkdir(parents=True)
    with pytest.raises(ExportError, match=message):
        save(census_cases.trained().model, tmp_path, name="m", version=version)
    assert [entry.name for entry in (tmp_path / "m").iterdir()] == ["007"]
