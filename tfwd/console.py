"""The one console: what is said to the person at the terminal goes to standard error, results to standard output."""

from __future__ import annotations

import os
import sys
import tempfile

from rich.console import Console

console = Console(stderr=True, highlight=False, soft_wrap=True)


def load_tensorflow() -> None:
    """Imports TensorFlow without the notes of its start, which a command's own words would drown in.

    They are written before any logger can be asked to be quiet, in the tone of errors where there is no GPU. What its
    C++ writes later as an error is none that stops it either: those that do are raised. Whoever sets
    TF_CPP_MIN_LOG_LEVEL to 0 or 1 sees all of it, and everybody sees the notes when the import fails.
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
