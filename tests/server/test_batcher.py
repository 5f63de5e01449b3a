"""What waits for a model: it has an end, and what nobody waits for any more stops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tfwd.server.batcher import Batcher
from tfwd.server.predict_api import Asked
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Batching
from tfwd.server.signature import Signature, Spec, Tensors

SPEC = Spec("x", "float32", (None,))


def asked(rows: int, signature: Signature) -> Asked:
    column: Any = [0.0] * rows if signature.merges else np.zeros(rows, np.float32)
    return Asked({"x": column}, rows if signature.merges else 0, by_row=False)


def answered(signature: Signature, requests: list[int], seconds: float, alone: bool = False) -> list[Any]:
    """The answers to requests of so many rows at one moment, of which five rows may wait; errors by their status."""

    async def run() -> list[Any]:
        with ThreadPoolExecutor(1) as threads:
            batcher = Batcher(signature, Batching(queue=5), seconds, threads, lambda *_: None)
            calls = [batcher.answer(asked(rows, signature), alone) for rows in requests]
            found = await asyncio.gather(*calls, return_exceptions=True)
        return [one.status if isinstance(one, RequestError) else one for one in found]

    return asyncio.run(run())


def test_calls_in_threads_have_a_queue_and_stop_when_nobody_waits() -> None:
    begun, ended = [], threading.Event()

    def run(inputs: Mapping[str, Any], stopped: Callable[[], bool]) -> Tensors:
        begun.append(len(inputs["x"]))
        end = time.monotonic() + 20
        while not stopped():
            assert time.monotonic() < end
            time.sleep(0.01)
        ended.set()
        return {}

    found = answered(Signature("recommend", (SPEC,), (), run, merges=False), [2, 2, 1, 1, 1], 0.2)
    assert found == [504, 504, 504, 503, 503]
    # One thread: what had not begun when its time was over never begins.
    assert begun == [2]
    assert ended.is_set()


@pytest.mark.parametrize("merges", [True, False])
def test_a_request_that_finds_no_other_may_be_as_large_as_it_is(merges: bool) -> None:
    def run(inputs: Mapping[str, Any], *_: Any) -> Tensors:
        return {"y": inputs["x"]}

    (found,) = answered(Signature("s", (SPEC,), (), run, merges=merges), [2000], 10)
    assert len(found["y"]) == 2000


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("work", [8192, 8193, None])
def test_little_work_for_lists_that_nothing_else_waits_for_needs_no_thread(alone: bool, work: int | None) -> None:
    threads = []

    def run(inputs: Mapping[str, Any], *_: Any) -> Tensors:
        threads.append(threading.current_thread())
        return dict(inputs)

    signature = Signature("recommend", (SPEC,), (), run, merges=False, work=lambda inputs: work and work * len(inputs))
    answered(signature, [1], 10, alone)
    assert (threads == [threading.main_thread()]) == (alone and work == 8192)
