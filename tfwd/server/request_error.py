"""The exception of a request that is answered with an error, and what an error of ours becomes."""

from __future__ import annotations


class RequestError(Exception):
    """A request that gets no answer from a model.

    Args:
        message: why, for the caller.
        status: the HTTP status.
        wait: the seconds after which the caller may try again, for the header Retry-After.
        allow: the method that the route takes, for the header Allow.

    Attributes:
        model: the model that was asked, "" if none.
        kind: what was asked; "" if it is not counted.
        version: the version that was asked, if any.
    """

    def __init__(self, message: str, status: int = 400, wait: int | None = None, allow: str = "") -> None:
        super().__init__(message)
        self.message, self.status, self.wait, self.allow = message, status, wait, allow
        self.model, self.kind = "", ""
        self.version: bytes | None = None


def refusal(error: Exception, model: str, kind: str, version: bytes) -> RequestError:
    """Returns what a request is answered with when it failed; a fault of ours is the cause of a 500.

    Args:
        error: why it failed.
        model: the model that was asked.
        kind: what was asked, as it is counted.
        version: the version that was asked, as the header says it.
    """
    if isinstance(error, RequestError):
        found = error
    else:
        found = RequestError("The server failed. Its log says why.", 500)
        found.__cause__ = error
    found.model, found.kind, found.version = model, kind, version
    return found
