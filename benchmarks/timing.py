"""Side-by-side timing: every contender in turn, round after round, and the median of each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """The seconds of one contender, a value a round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.seconds)

    def spread(self, unit: float = 1.0) -> str:
        """`median (minimum to maximum)`, each multiplied by `unit`."""
        low, high = min(self.seconds) * unit, max(self.seconds) * unit
        return f"{self.median * unit:.2f} ({low:.2f} to {high:.2f})"


def side_by_side(contenders: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, Timing]:
    """Times contenders in turn, A B C A B C, so that a change in the machine's speed meets them all.

    Args:
        contenders: by name; each does its whole work in one call.
        rounds: counted rounds, after one that is not counted.

    Returns:
        The timings by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, work in contenders.items():
            started = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
