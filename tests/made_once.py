"""What takes long to make and several files of tests read: made once, by whichever worker of pytest-xdist is first."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def folder_of_all(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A folder that all workers share, held by this one alone: who finds nothing in it makes what belongs there."""
    several = "PYTEST_XDIST_WORKER" in os.environ
    folder = factory.getbasetemp().parent / name if several else factory.getbasetemp() / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
