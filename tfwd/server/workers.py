"""Several processes that do the same, of which each that ends is replaced."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any

from tfwd.errors import ConfigError

_LOG = logging.getLogger("tfwd.server")
_SPAWN = multiprocessing.get_context("spawn")
# How long a signal waits at most until it is seen; how long a place stays empty of which the last worker never began.
_LOOK_SECONDS, _PAUSE_SECONDS = 0.5, 1.0


class Workers:
    """Processes that answer together.

    What they are given reaches them through a pipe, where nobody else can read it.

    Args:
        count: how many.
        work: what each of them does.
        given: its arguments. It gets one more: the end of a pipe, into which it sends None when it has begun, or else
            why it cannot.
    """

    def __init__(self, count: int, work: Callable[..., None], given: tuple[Any, ...]) -> None:
        self._count, self._work, self._given = count, work, given
        self._workers: list[_Worker] = []
        self._stopped = False

    def run(self, serving: Callable[[], None]) -> None:
        """Works until the process is told to stop, by SIGTERM or SIGINT.

        Args:
            serving: is called once, when all workers have begun.

        Raises:
            ConfigError: a worker ended before all had begun.
        """
        with self._stopped_by_signals():
            try:
                for _ in range(self._count):
                    self._workers.append(_Worker(self._work, self._given))
                self._watch(serving)
            finally:
                for worker in self._workers:
                    worker.process.terminate()
                for worker in self._workers:
                    worker.process.join()

    def _watch(self, serving: Callable[[], None]) -> None:
        all_begun = False
        while not self._stopped:
            wait([source for worker in self._workers for source in worker.sources], _LOOK_SECONDS)
            for place, worker in enumerate(self._workers):
                alive = worker.process.is_alive()
                worker.listen()
                if alive or self._stopped:
                    continue
                if not worker.begun:
                    if not all_begun:
                        raise ConfigError(worker.failure)
                    time.sleep(_PAUSE_SECONDS)
                _LOG.warning("Worker %s ended with the code %s: another starts", worker.process.pid, worker.exit_code)
                self._workers[place] = _Worker(self._work, self._given)
            if not all_begun and all(worker.begun for worker in self._workers):
                all_begun = True
                serving()

    @contextlib.contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        def stop(*_: Any) -> None:
            self._stopped = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _begin(work: Callable[..., None], *given: Any) -> None:
    """Works in a process of its own, until the one that has started it ends, however that ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(*given)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


class _Worker:
    """One process, and what it has told."""

    def __init__(self, work: Callable[..., None], given: tuple[Any, ...]) -> None:
        self.begun, self._why = False, ""
        self._heard, told = _SPAWN.Pipe(duplex=False)
        self.process = _SPAWN.Process(target=_begin, args=(work, *given, told))
        self.process.start()
        told.close()

    @property
    def sources(self) -> list[Any]:
        """What can be waited for: its end, and what it tells."""
        return [self.process.sentinel] if self._heard.closed else [self.process.sentinel, self._heard]

    @property
    def exit_code(self) -> int | None:
        return self.process.exitcode

    @property
    def failure(self) -> str:
        """Why it could not begin."""
        return self._why or f"A worker process ended with the code {self.exit_code} before it could answer."

    def listen(self) -> None:
        """Reads what it has told, which is once."""
        if self._heard.closed or not self._heard.poll():
            return
        with contextlib.suppress(EOFError):
            said = self._heard.recv()
            self.begun, self._why = said is None, said or ""
        self._heard.close()
