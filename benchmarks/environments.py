"""Environments of other libraries and servers, each with an interpreter of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path


def interpreter(folder: Path) -> Path:
    """Returns the interpreter of an environment."""
    return folder / "bin" / "python"


def environment(folder: Path, base: str, whose: str) -> Path:
    """Makes an environment, unless it is there.

    Args:
        folder: the environment's.
        base: the interpreter that it is made from.
        whose: who needs it, for messages.

    Returns:
        Its interpreter.

    Raises:
        SystemExit: `base` is no Python 3.11.
    """
    version = subprocess.run([base, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    if not version.startswith("3.11."):
        raise SystemExit(f"{whose} need a Python 3.11. Received: {base}, which is {version}. Give one to --python.")
    if not interpreter(folder).exists():
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
    return interpreter(folder)
