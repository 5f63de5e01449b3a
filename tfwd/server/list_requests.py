"""What a request for lists may ask of a model, whichever runtime answers it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from tfwd.server.request_error import RequestError
from tfwd.server.signature import Signature, Tensors

# The most places of a list where the catalogue is smaller, and of all lists of a request together.
LONGEST, MOST_PLACES = 1000, 1_000_000
_CHOICES = ("candidates", "exclude")


def checked(signature: Signature, items: int = 0) -> Signature:
    """Returns a signature of lists that refuses what would be an error of the runtime, or of the machine's memory.

    Args:
        signature: its inputs are those of users, `k`, `candidates` and `exclude`.
        items: the number of items in the catalogue, if it is known.
    """
    users = [spec.name for spec in signature.inputs if spec.name not in ("k", *_CHOICES)]
    longest = max(items, LONGEST)

    def run(inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        rows, places = len(inputs[users[0]]), max(int(inputs["k"]), 0)
        for name in users:
            if len(inputs[name]) != rows:
                raise RequestError(
                    f"The inputs of users must have one number of rows. Received: {rows} of {users[0]!r} and "
                    f"{len(inputs[name])} of {name!r}"
                )
        for name in _CHOICES:
            if len(inputs[name]) not in (1, rows):
                raise RequestError(
                    f"Input {name!r} must have one row, for all users, or {rows}, one for each. Received: "
                    f"{len(inputs[name])}"
                )
        if places > longest:
            raise RequestError(f"Input 'k': a list has at most {longest} places. Received: {places}")
        if rows * places > MOST_PLACES:
            raise RequestError(
                f"{rows} lists of {places} places are more than {MOST_PLACES:,} places. Ask for fewer users at a time."
            )
        return signature.run(inputs)

    return dataclasses.replace(signature, run=run)
