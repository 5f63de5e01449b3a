"""What a contender measures: seconds from the file to the trained model, and the rate once it runs."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers.work import Source, Work, quality

# The steps before the rate is taken: graphs are traced and buffers filled in the first ones.
FIRST = 48


class Clock:
    """Runs from its making, right after the imports.

    Args:
        work: tells how many rows a step has.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._started = self._fit = time.perf_counter()
        self._ended = 0.0
        self._stamps: list[tuple[int, float]] = []

    @property
    def steps(self) -> int:
        """Steps done so far."""
        return self._stamps[-1][0] if self._stamps else 0

    def begin_fit(self) -> None:
        """Everything before this was preparation: reading, vocabularies, encoding."""
        self._fit = time.perf_counter()

    def reached(self, steps: int) -> None:
        """So many steps are done."""
        self._stamps.append((steps, time.perf_counter()))

    def end_fit(self) -> None:
        """The model is trained."""
        self._ended = time.perf_counter()

    def figures(self) -> dict[str, float]:
        """`prepare`, `fit` and `whole` in seconds, `rate` in rows a second once it runs."""
        steps, begun = next(stamp for stamp in self._stamps if stamp[0] >= FIRST)
        last, done = self._stamps[-1]
        return {
            "prepare": self._fit - self._started,
            "fit": self._ended - self._fit,
            "whole": self._ended - self._started,
            "rate": (last - steps) * self._work.batch / (done - begun),
        }


def stamps(callback: type, clock: Clock) -> Any:
    """A callback of Keras that tells the clock what is done.

    Args:
        callback: `keras.callbacks.Callback` of the Keras in use.
        clock: is told.
    """

    class Stamps(callback):
        # Without it Keras 2 copies the metrics out of TensorFlow at every step, for a callback that reads none.
        _supports_tf_logs = True
        before = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.before = clock.steps

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.reached(self.before + batch + 1)

    return Stamps()


def contend(run: Callable[[Work, Clock, Path, Source, int], tuple[Any, Any]]) -> None:
    """The command line of a contender: `FOLDER [--source csv] [--seed N]`. Its last line is JSON.

    Args:
        run: takes the work, a clock, the folder, the kind of the training file and a seed; returns the labels and the
            predicted probabilities of the test rows.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = Work.load(options.folder)
    clock = Clock(work)
    label, probability = run(work, clock, options.folder, options.source, options.seed)
    print(json.dumps({**clock.figures(), **quality(label, probability)}))
