"""Lets tests import the cases they share by name, whatever pytest's import mode."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import made_once

# Files that take longest for their number of tests: begun last, one worker would wait for the other.
FIRST = (
    "test_notebooks.py",
    "page/test_browser.py",
    "training/warm_start/test_carried.py",
    "training/warm_start/test_fit.py",
    "training/test_resume.py",
    "optimizers/test_mirrored.py",
    "server/test_contract.py",
    "export/onnx/test_halves.py",
    "test_registration.py",
    "test_asks_nobody.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the folder of `made_once`, before workers start, which inherit its name."""
    if not hasattr(config, "workerinput"):
        os.environ[made_once.FOLDER] = tempfile.mkdtemp(prefix="tfwd-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes it."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(made_once.FOLDER), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of `FIRST` come first."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(FIRST))


@pytest.fixture(scope="module", autouse=True)
def collected() -> None:
    """Before each file: what earlier ones have left is looked at by the collector once more, and then no longer."""
    gc.collect()
    gc.freeze()


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
