"""What takes long to make and several files of tests read: made once, by whichever worker of pytest-xdist is first."""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

# The folder of all workers, which conftest.py makes and removes.
FOLDER = "TFWD_TESTS_FOLDER"


def made(name: str, make: Callable[[Path], object]) -> Path:
    """A folder that all workers share, as `make` has filled it; whoever else wants it waits meanwhile."""
    folder = Path(os.environ.get(FOLDER) or _own().name) / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        whole = folder / "whole"
        if not whole.exists():
            make(folder)
            whole.touch()
    return folder


@functools.cache
def _own() -> tempfile.TemporaryDirectory[str]:
    """Where no test runs, but a script that uses what tests do."""
    return tempfile.TemporaryDirectory(prefix="tfwd-tests-")
