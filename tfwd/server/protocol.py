"""uvicorn's HTTP protocol, with limits on what comes before a request is read, and a count of the requests."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tfwd.server.settings import Limits

# Bytes of a request line and headers.
_HEAD = 65_536
# Bytes on the wire for each byte of the largest body: chunks have heads, and may have headers after them.
_BODIES = 4


class Protocol(HttpToolsProtocol):
    """The protocol of one connection.

    Attributes:
        requests: the requests that have come in and are not answered. Of those that come in at one moment all are
            here before the first of them runs.
        limits: how much may come, and how long the head of a request may take.
    """

    requests: ClassVar[set[asyncio.Task[None]]] = set()
    limits: ClassVar[Limits] = Limits()

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        Protocol.requests = self.tasks
        self._came = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for a first request, not for ever."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.limits.seconds, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait."""
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads what came, and refuses a request whose head is too long or too slow, or whose body never ends."""
        super().data_received(data)
        cycle = self.cycle
        in_head = cycle is None or cycle.scope is not self.scope
        if not in_head:
            if self._late is not None:
                self._in_time()
            if not cycle.more_body:
                self._came = 0
                return
        elif self._late is None:
            self._late = self.loop.call_later(self.limits.seconds, self._too_late)
        self._came += len(data)
        if in_head and self._came > _HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The headers are larger than {_HEAD:,} bytes.")
        elif self._came > _HEAD + _BODIES * self.limits.body:
            self.transport.close()

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if self._came:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"The headers did not arrive within {self.limits.seconds:g} s.")
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if self.transport.is_closing():
            return
        body = json.dumps({"error": message}).encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()
