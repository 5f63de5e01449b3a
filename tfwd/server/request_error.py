"""The one exception of a request that is answered with an error."""

from __future__ import annotations


class RequestError(Exception):
    """A request that gets no answer from a model.

    Args:
        message: why, for the caller.
        status: the HTTP status.
        wait: the seconds after which the caller may try again, for the header Retry-After.

    Attributes:
        model: the model that was asked, "" if none.
        kind: what was asked; "" if it is not counted.
        version: the version that was asked, if any.
    """

    def __init__(self, message: str, status: int = 400, wait: int | None = None) -> None:
        super().__init__(message)
        self.message, self.status, self.wait = message, status, wait
        self.model, self.kind = "", ""
        self.version: bytes | None = None
