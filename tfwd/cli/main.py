"""The console command `tfwd`, which reaches `tfwd serve` where the packages of training are not installed."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line."""
    if sys.argv[1:2] == ["serve"]:
        from tfwd.cli.serve import serve
        from tfwd.utils.command_line import run_single

        run_single(serve, "tfwd serve", sys.argv[2:])
    else:
        from tfwd.cli.app import main as run

        run()
