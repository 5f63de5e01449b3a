"""A disk that soon becomes full."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of a few pages; where this user may mount none, the test is skipped.

    Args:
        path: the folder to make and mount it on.
        size: as tmpfs takes it, as in "64k".
    """
    if shutil.which("mount") is None:
        pytest.skip("no small disk can be mounted here: there is no program to mount one")
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here, which takes root: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
