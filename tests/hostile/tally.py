"""What became of many attacks: done, refused with an error of tfwd, or a fault."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.progress import track

from tfwd.errors import TfwdError

__all__ = ["Tally", "alarm", "arguments", "files_below", "track"]


class Tally:
    """Counts attacks and keeps the faults: another exception than tfwd's, or one that took too long.

    Args:
        what: is attacked.
        seconds: that one attack may take.
    """

    def __init__(self, what: str, seconds: float) -> None:
        self.what, self.seconds = what, seconds
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self.refusals: list[str] = []
        self.slowest = (0.0, "")

    def attempt(self, name: str, attack: Callable[[], Any]) -> Any:
        """Does one attack; what it returned, or None where it did not come to an end."""
        started = time.perf_counter()
        found = None
        try:
            with alarm(10 * self.seconds):
                found = attack()
            self.done["done"] += 1
        except TfwdError as error:
            self.done[type(error).__name__] += 1
            self.refusals.append(f"{name}: {type(error).__name__}: {error}")
            if not str(error).strip() or "Traceback" in str(error):
                self.fault(name, f"a {type(error).__name__} that says nothing: {error}")
        except Exception:
            self.fault(name, traceback.format_exc(limit=-6))
        took = time.perf_counter() - started
        self.slowest = max(self.slowest, (took, name))
        if took > self.seconds:
            self.fault(name, f"took {took:.1f} s")
        return found

    def fault(self, name: str, text: str) -> None:
        """Keeps a fault."""
        self.faults.append(f"{name}: {text}")

    def close(self, refusals: bool = False) -> int:
        """Prints the count, the faults and, where asked for, what was refused; the exit status of a command."""
        for refusal in self.refusals if refusals else ():
            print(refusal)
        for fault in self.faults:
            print(fault)
        counted = ", ".join(f"{count:,} {name}" for name, count in sorted(self.done.items()))
        print(f"{self.what}: {counted}; slowest {self.slowest[0]:.1f} s ({self.slowest[1]}); {len(self.faults)} faults")
        return 1 if self.faults else 0


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Ends what never ends by itself, by an exception in the main thread."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"hangs: still at it after {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def files_below(folder: Path) -> set[str]:
    """All files and folders below a folder, links not followed."""
    found = set()
    for parent, folders, files in os.walk(folder):
        found |= {os.path.relpath(os.path.join(parent, name), folder) for name in (*folders, *files)}
    return found


def arguments(document: str | None, count: int) -> argparse.Namespace:
    """What each attack takes on the command line: `count`, `first` and `refusals`."""
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--refusals", action="store_true", help="print what was refused, and how")
    return parser.parse_args()
