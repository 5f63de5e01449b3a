"""Work in a thread, one step ahead."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from tfwd.inference.ahead import ahead


def test_all_items_in_order() -> None:
    assert list(ahead(number for number in range(100))) == list(range(100))
    assert list(ahead(number for number in range(0))) == []


def test_the_next_item_is_made_while_one_is_used() -> None:
    begun = threading.Event()

    def items() -> Generator[int, None, None]:
        yield 1
        begun.set()
        yield 2

    taken = ahead(items())
    assert next(taken) == 1
    assert begun.wait(10)
    assert list(taken) == [2]


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise KeyError("two")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(KeyError, match="two"):
        next(taken)


def test_the_generator_lives_and_ends_in_one_thread() -> None:
    places: list[int] = []

    def items() -> Generator[int, None, None]:
        try:
            for number in range(1000):
                places.append(threading.get_ident())
                yield number
        finally:
            places.append(threading.get_ident())

    for item in ahead(items()):
        if item == 3:
            break
    assert 5 <= len(places) <= 7
    assert len(set(places)) == 1
    assert places[0] != threading.get_ident()
