"""The command `tfwd` in this process, for the tests of what it says."""

from __future__ import annotations

from tfwd.cli.app import app


def tfwd(*arguments: object) -> int:
    """Runs `tfwd` in this process; the exit code."""
    try:
        app([str(argument) for argument in arguments])
    except SystemExit as exit:
        return int(exit.code or 0)
    return 0
