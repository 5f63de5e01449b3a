"""What importing tfwd adds to importing TensorFlow: `python -m benchmarks.start_up`.

Every figure is that of a fresh process, in turn, round after round. *Everything* is what a notebook ends up with: all
public names, and with them pandas, Arrow, DuckDB and the rest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.timing import markdown

STARTS = {
    "nothing": ("-c", "pass"),
    "`import tensorflow`": ("-c", "import tensorflow"),
    "`import tensorflow`, then `import tfwd`": ("-c", "import tensorflow; import tfwd"),
    "`import tensorflow`, then everything of tfwd": ("-c", "import tensorflow; from tfwd import *"),
    "`import tfwd`": ("-c", "import tfwd"),
    "`python -m tfwd.train --help`": ("-m", "tfwd.train", "--help"),
}
BASE = "`import tensorflow`"


@dataclass(frozen=True)
class Start:
    """Seconds of one process: on the clock, and of processor time."""

    wall: float
    cpu: float


def measure(arguments: tuple[str, ...]) -> Start:
    """Runs Python with these arguments.

    Raises:
        CalledProcessError: it failed.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    before, started = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, env=environment, capture_output=True)
    wall, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Start(wall, cpu)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    starts: dict[str, list[Start]] = {name: [] for name in STARTS}
    for number in range(options.rounds + 1):
        for name, arguments in STARTS.items():
            start = measure(arguments)
            # The first round reads files from the disk.
            if number:
                starts[name].append(start)

    def added(name: str, what: str) -> str:
        if not name.startswith(BASE) or name == BASE:
            return ""
        pairs = zip(starts[name], starts[BASE], strict=True)
        return f"{statistics.median(getattr(ours, what) / getattr(base, what) for ours, base in pairs) - 1:+.1%}"

    table = [
        [
            name,
            f"{statistics.median(start.wall for start in rounds):.2f}",
            added(name, "wall"),
            f"{statistics.median(start.cpu for start in rounds):.2f}",
            added(name, "cpu"),
        ]
        for name, rounds in starts.items()
    ]
    print(markdown(["process", "seconds", "added", "processor seconds", "added"], table))


if __name__ == "__main__":
    main()
