"""Lets tests import the cases they share by name, whatever pytest's import mode."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import made_once


def pytest_configure(config: pytest.Config) -> None:
    """Makes the folder of `made_once`, before workers start, which inherit its name."""
    if not hasattr(config, "workerinput"):
        os.environ[made_once.FOLDER] = tempfile.mkdtemp(prefix="tfwd-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes it."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(made_once.FOLDER), ignore_errors=True)


@pytest.fixture(scope="module")
def started() -> None:
    """TensorFlow has said what it says at its start before anybody listens."""
    from census_cases import trained

    trained().model  # noqa: B018


@pytest.fixture(scope="session")
def bag_exports() -> dict[str, Path]:
    """The SavedModel and the ONNX file, with its halves, of the model of `bag_cases`: the same in every worker."""
    import bag_cases

    return bag_cases.exported()
