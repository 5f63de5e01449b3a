"""Answers requests together: those that come in while the model is busy make the next batch.

Everything happens on the event loop. A request that has been read waits until the others that can be read at that
moment have been read too, and all are answered in one call, so that waiting costs no time. With `microseconds` it waits
longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from numpy.typing import NDArray

from tfwd.errors import first_line
from tfwd.server import values
from tfwd.server.predict_api import Asked
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Batching
from tfwd.server.signature import Signature, Tensors

# Rows in one call, and scores and places of lists, from which the event loop would stand still too long: such calls go
# to a thread. A thread, and the way back from it, take about a millisecond.
_MANY, _MUCH = 1024, 8192


class _Waiting(NamedTuple):
    asked: Asked
    answer: asyncio.Future[Tensors]
    since: float


class Batcher:
    """Answers the requests for one signature of one version of a model.

    Args:
        signature: the signature.
        batching: how much is answered together.
        seconds: how long a request may wait.
        threads: where large calls are made.
        called: is told of each call: its rows, and the microseconds that each of its requests waited.
    """

    def __init__(
        self,
        signature: Signature,
        batching: Batching,
        seconds: float,
        threads: ThreadPoolExecutor,
        called: Callable[[int, list[float]], None],
    ) -> None:
        self.signature, self._batching, self._seconds = signature, batching, seconds
        self._threads, self._called = threads, called
        self._queue: deque[_Waiting] = deque()
        # Rows that wait in the queue, and rows that a thread computes or will.
        self._rows, self._computing = 0, 0
        self._scheduled = False

    async def answer(self, asked: Asked, alone: bool = False) -> Tensors:
        """Returns the outputs for a request.

        Args:
            asked: the request.
            alone: whether there is no other request to wait for.

        Raises:
            RequestError: too many rows wait, it waited too long, or the model cannot answer it.
        """
        merges = self.signature.merges
        rows = asked.rows if merges else max(len(found) for found in asked.columns.values() if found.ndim)
        waiting = self._rows + self._computing
        if waiting and waiting + rows > self._batching.queue:
            raise RequestError("The server has as many requests as it can hold (--queue-rows). Try again.", 503, wait=1)
        if not merges:
            if alone and not self._computing and _is_little(self.signature, asked):
                return self._run(asked.columns)
            stopped = threading.Event()
            try:
                return await self._in_thread(rows, lambda: self._run(asked.columns, stopped.is_set))
            finally:
                stopped.set()
        if (alone and not self._queue) or rows > self._batching.rows:
            arrays = self._arrays([asked])
            self._called(rows, [0.0])
            if rows < _MANY:
                return self._run(arrays)
            return await self._in_thread(rows, lambda: self._run(arrays))
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Tensors] = loop.create_future()
        self._queue.append(_Waiting(asked, answer, time.monotonic()))
        self._rows += rows
        if self._rows >= self._batching.rows or not self._batching.microseconds:
            self._schedule(loop, 0)
        else:
            self._schedule(loop, self._batching.microseconds / 1e6)
        return await answer

    def _schedule(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        if seconds:
            if not self._scheduled:
                loop.call_later(seconds, self._flush)
        else:
            loop.call_soon(self._flush)
        self._scheduled = True

    def _flush(self) -> None:
        self._scheduled = False
        if not self._queue:
            return
        batch, rows, now = [], 0, time.monotonic()
        while self._queue and rows + self._queue[0].asked.rows <= max(self._batching.rows, self._queue[0].asked.rows):
            waiting = self._queue.popleft()
            self._rows -= waiting.asked.rows
            if waiting.answer.done():  # its request was cancelled
                continue
            if now - waiting.since > self._seconds:
                waiting.answer.set_exception(_too_late(self._seconds))
                continue
            batch.append(waiting)
            rows += waiting.asked.rows
        if self._queue:
            self._schedule(asyncio.get_running_loop(), 0)
        if batch:
            self._called(rows, [1e6 * (now - waiting.since) for waiting in batch])
            self._answer_all(batch)

    def _answer_all(self, batch: list[_Waiting]) -> None:
        try:
            outputs = self._run(self._arrays([waiting.asked for waiting in batch]))
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            # One of them may be at fault: the others have nothing to do with it.
            for waiting in batch:
                self._answer_all([waiting])
            return
        start = 0
        for waiting in batch:
            stop = start + waiting.asked.rows
            waiting.answer.set_result({name: found[start:stop] for name, found in outputs.items()})
            start = stop

    def _arrays(self, requests: list[Asked]) -> Tensors:
        arrays = {}
        for spec in self.signature.inputs:
            if len(requests) == 1:
                column = requests[0].columns[spec.name]
            else:
                column = []
                for asked in requests:
                    column += asked.columns[spec.name]
            arrays[spec.name] = values.array(spec, column)
        return arrays

    def _run(self, inputs: Mapping[str, NDArray[Any]], *stopped: Callable[[], bool]) -> Tensors:
        try:
            return self.signature.run(inputs, *stopped)
        except RequestError:
            raise
        except Exception as error:  # that of a runtime, which has its own classes
            raise RequestError(f"The model could not answer: {first_line(error):.300}", 500) from None

    async def _in_thread(self, rows: int, run: Callable[[], Tensors]) -> Tensors:
        """Runs a large call; its rows wait until it ends, also when nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        call = self._threads.submit(run)
        self._computing += rows
        call.add_done_callback(lambda _: self._computed(loop, rows))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(call), self._seconds)
        except TimeoutError:
            raise _too_late(self._seconds) from None

    def _computed(self, loop: asyncio.AbstractEventLoop, rows: int) -> None:
        def done() -> None:
            self._computing -= rows

        with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(done)


def _is_little(signature: Signature, asked: Asked) -> bool:
    work = signature.work(asked.columns)
    return work is not None and work <= _MUCH


def _too_late(seconds: float) -> RequestError:
    return RequestError(f"The request was not answered within {seconds:g} s (--timeout).", 504)
