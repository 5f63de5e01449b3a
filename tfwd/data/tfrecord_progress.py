"""A progress bar for work that mostly takes no time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds after which somebody who waits wants to know for how long.
_PATIENCE = 2.0


@contextmanager
def progress_when_slow(label: str, total: int) -> Iterator[Callable[[float], None]]:
    """A bar that appears when the work has taken more than two seconds.

    Args:
        label: what is shown before the bar.
        total: of what is counted.

    Yields:
        A function to be told how much is done.
    """
    from tfwd.callbacks import progress

    bar = progress()
    task = bar.add_task(label, total=total)
    begun, shown = time.monotonic(), False

    def show(done: float) -> None:
        nonlocal shown
        bar.update(task, completed=done)
        if not shown and not bar.disable and time.monotonic() - begun > _PATIENCE:
            bar.start()
            shown = True

    try:
        yield show
    finally:
        if shown:
            bar.stop()
