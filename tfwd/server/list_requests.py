"""What a request for lists may ask of a model, whichever runtime answers it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.server.request_error import RequestError
from tfwd.server.signature import Signature, Spec, Tensors

# The most places of a list where the catalogue is smaller, and of all lists of a request together.
LONGEST, MOST_PLACES = 1000, 1_000_000
# The most items that are scored for the users of a request together: seconds of one core.
MOST_SCORES = 2_000_000
CHOICES = ("candidates", "exclude")


def never() -> bool:
    """What a caller says who waits for all lists."""
    return False


def row_fault(users: Sequence[Spec], inputs: Mapping[str, NDArray[Any]]) -> str | None:
    """Returns what is wrong with the numbers of rows of a request, None if nothing.

    Args:
        users: the inputs of users.
        inputs: these, `candidates` and `exclude`.
    """
    first = users[0].name
    rows = len(inputs[first])
    for name in [spec.name for spec in users]:
        if len(inputs[name]) != rows:
            return (
                f"The inputs of users must have one number of rows. Received: {rows} of {first!r} and "
                f"{len(inputs[name])} of {name!r}"
            )
    for name in CHOICES:
        if len(inputs[name]) not in (1, rows):
            return (
                f"The input {name!r} must have one row, for all users, or one for each. Received: "
                f"{len(inputs[name])} rows for {rows} users"
            )
    return None


def checked(signature: Signature, items: int | None) -> Signature:
    """Returns a signature of lists that refuses what would be an error of the runtime, or take too long or too much.

    Args:
        signature: its inputs are those of users, `k`, `candidates` and `exclude`.
        items: the number of items in the catalogue; None if it is not known.
    """
    users = [spec for spec in signature.inputs if spec.name not in ("k", *CHOICES)]
    (none,) = (spec.missing for spec in signature.inputs if spec.name == "candidates")
    usual = int(signature.defaults["k"]) if "k" in signature.defaults else 0
    longest = max(items or 0, LONGEST, usual)

    def work(inputs: Mapping[str, NDArray[Any]]) -> int | None:
        if items is None:
            return None
        if row_fault(users, inputs) is not None:
            return 0  # it will be refused
        rows = len(inputs[users[0].name])
        return _scores(rows, items, inputs["candidates"], none) + rows * max(int(inputs["k"]), 0)

    def run(inputs: Mapping[str, NDArray[Any]], stopped: Callable[[], bool] = never) -> Tensors:
        fault = row_fault(users, inputs)
        if fault is not None:
            raise RequestError(f"{fault}.")
        rows, places = len(inputs[users[0].name]), max(int(inputs["k"]), 0)
        if places > longest:
            raise RequestError(f"Input 'k': a list has at most {longest} places. Received: {places}")
        if rows * places > MOST_PLACES:
            raise RequestError(
                f"{rows} lists of {places} places are more than {MOST_PLACES:,} places. Ask for fewer users at a time."
            )
        if items is not None and rows > 1:
            scores = _scores(rows, items, inputs["candidates"], none)
            if scores > MOST_SCORES:
                raise RequestError(
                    f"{rows} users with up to {items:,} items each are {scores:,} scores, more than the server's limit "
                    f"of {MOST_SCORES:,} for one request. Ask for fewer users at a time, or give candidates."
                )
        return signature.run(inputs, stopped)

    return dataclasses.replace(signature, run=run, work=work)


def _scores(rows: int, items: int, candidates: NDArray[Any], none: Any) -> int:
    """Returns how many items are scored for so many users together."""
    some = np.asarray(candidates != none, bool).any(axis=1)
    each = np.where(some, min(candidates.shape[1], items), items)
    return int(each.sum()) if len(each) == rows else rows * int(each[0])
