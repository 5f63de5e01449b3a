"""Work in a thread, one step ahead."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Generator[T, None, None]) -> Iterator[T]:
    """Yields the items of a generator, each made in a thread while the one before is used.

    The generator runs in that thread from its start to its end, and is closed there when the caller stops early.
    """
    end = object()
    with ThreadPoolExecutor(1) as maker:
        try:
            following = maker.submit(next, items, end)
            while (item := following.result()) is not end:
                following = maker.submit(next, items, end)
                yield item  # type: ignore[misc]
        finally:
            maker.submit(items.close).result()
