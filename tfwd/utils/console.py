"""The one console: messages to the person at the terminal go to standard error, results to standard output."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)


def load_tensorflow() -> None:
    """Imports TensorFlow without its startup messages, in which a command's own messages would drown.

    They are written before any logger can be silenced, and look like errors if there is no GPU. The errors that its C++
    logs later don't stop it either: those that do are raised. With TF_CPP_MIN_LOG_LEVEL set to 0 or 1 everything is
    shown, and the startup messages are always shown when the import fails.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") in ("0", "1"):
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes, os.fdopen(os.dup(2), "w") as shown:
        os.dup2(notes.fileno(), 2)
        try:
            with Console(file=shown).status("Loading TensorFlow"):
                import tensorflow as tf

                tf.config.list_logical_devices()
        except BaseException:
            notes.seek(0)
            shown.write(notes.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(shown.fileno(), 2)


def progress() -> Progress:
    """Returns the progress bar of all commands: only on a terminal, and removed when done."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


# The seconds after which a waiting person wants to know how long it takes.
_PATIENCE = 2.0


@contextmanager
def progress_when_slow(label: str, total: int) -> Iterator[Callable[[float], None]]:
    """Yields a bar that appears when the work has taken more than two seconds.

    Args:
        label: what is shown before the bar.
        total: the total of what is counted.

    Yields:
        A function to call with how much is done.
    """
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
