"""uvicorn's HTTP protocol, which tells how many requests there are."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """The protocol of one connection.

    Attributes:
        requests: the requests that have come in and are not answered. Of those that come in at one moment all are
            here before the first of them runs.
    """

    requests: ClassVar[set[asyncio.Task[None]]] = set()

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        Protocol.requests = self.tasks
