"""How much one request for lists may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tfwd.server import list_requests
from tfwd.server.list_requests import LONGEST, MOST_SCORES, checked
from tfwd.server.request_error import RequestError
from tfwd.server.signature import Signature, Spec

INPUTS = (
    Spec("user", "string", (None,), ""),
    Spec("k", "int32", ()),
    *(Spec(name, "int64", (None, None), -1) for name in ("candidates", "exclude")),
)
Inputs = Mapping[str, Any]


def ask(users: int, k: int = 10, usual: int = 10, items: int | None = 5, candidates: Any = ((-1,),)) -> str:
    """Says "listed", or why not."""

    def run(inputs: Inputs, stopped: Callable[[], bool]) -> dict[str, np.ndarray]:
        assert stopped is list_requests.never
        return {"items": np.array("listed")}

    defaults = {"k": np.array(usual, np.int32)}
    signature = checked(Signature("recommend", INPUTS, (), run, merges=False, defaults=defaults), items)
    given = {
        "user": np.full(users, "", object),
        "k": np.array(k, np.int32),
        "candidates": np.array(candidates),
        "exclude": np.full((1, 1), -1),
    }
    try:
        return str(signature.run(given)["items"])
    except RequestError as error:
        return error.message


def test_the_longest_list() -> None:
    """That of the whole catalogue, and of the default, which a request that leaves out `k` asks for."""
    for items, usual in ((5, 10), (None, 10), (5, 2000), (2000, 10), (None, 2000)):
        longest = max(items or 0, usual, LONGEST)
        assert ask(1, k=longest, usual=usual, items=items) == "listed"
        assert f"at most {longest} places" in ask(1, k=longest + 1, usual=usual, items=items)


def test_what_a_request_asks_for() -> None:
    """Scores and places; nothing if it will be refused, and unknown where the catalogue is."""

    def work(users: int, items: int | None, candidates: Any, k: int = 10) -> int | None:
        given = {
            "user": np.full(users, "", object),
            "k": np.array(k, np.int32),
            "candidates": np.array(candidates),
            "exclude": np.full((1, 1), -1),
        }
        signature = Signature("recommend", INPUTS, (), lambda *_: {}, merges=False)
        return checked(signature, items).work(given)

    assert work(3, 100, [[-1]]) == 3 * (100 + 10)
    assert work(3, 100, [[4, -1]]) == 3 * (2 + 10)
    assert work(3, 100, [[4, 5], [-1, -1], [5, -1]], k=0) == 2 + 100 + 2
    assert work(1, 100, [[-1]], k=-5) == 100
    assert work(3, 100, [[1], [2]]) == 0
    assert work(3, None, [[1]]) is None


def test_a_request_scores_a_bounded_number_of_items() -> None:
    half = MOST_SCORES // 2
    assert ask(2, items=half) == "listed"
    assert "Ask for fewer users at a time" in ask(3, items=half)
    assert "3 users with up to 1,000,000 items each are 3,000,000 scores" in ask(3, items=half)
    # One user may always be answered, and who scores few items may be many.
    assert ask(1, items=10 * MOST_SCORES) == "listed"
    assert ask(3, items=half, candidates=[[1, 2]]) == "listed"
    assert ask(3, items=half, candidates=[[1, -1], [-1, -1], [-1, 2]]) == "listed"
    assert "scores" in ask(3, items=half, candidates=[[1, -1], [-1, -1], [-1, -1]])
    assert ask(5000, items=None) == "listed"


@pytest.mark.parametrize("rows", [2, 4])
def test_candidates_for_some_users_only(rows: int) -> None:
    assert f"'candidates' must have one row, for all users, or one for each. Received: {rows} rows for 3 users" in ask(
        3, candidates=[[1]] * rows
    )
