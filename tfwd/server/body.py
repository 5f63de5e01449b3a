"""The body of a request: read within limits of size and time, and unpacked."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from tfwd.server.request_error import RequestError
from tfwd.server.settings import Limits

# What is read of a body that is too large, in seconds and in times the largest body.
_PATIENCE, _PATIENT_BODIES = 5.0, 4

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGone(Exception):  # noqa: N818
    """The client has closed its connection: nobody waits for an answer."""


async def read(headers: dict[bytes, bytes], receive: Receive, limits: Limits) -> bytes:
    """Returns the body.

    Args:
        headers: those of the request, in lower case.
        receive: ASGI's function.
        limits: how large it may be, unpacked too, and how long it may take to come.

    Raises:
        RequestError: it is too large, too slow, or not packed as it says.
        ClientGone: the client has gone.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > limits.body:
        if headers.get(b"expect", b"").lower() != b"100-continue":
            await _discard(receive, limits)
        raise _too_large(limits)
    # uvicorn's request knows whether the body is here, as it nearly always is; a timer takes longer than reading it.
    if getattr(getattr(receive, "__self__", None), "more_body", True):
        try:
            async with asyncio.timeout(limits.seconds):
                body = await _all(receive, limits)
        except TimeoutError:
            raise RequestError(f"The body did not arrive within {limits.seconds:g} s.", 408) from None
    else:
        body = await _all(receive, limits)
    encoding = headers.get(b"content-encoding")
    return body if encoding is None else _unpacked(body, encoding.decode("latin-1").strip().lower(), limits)


async def _all(receive: Receive, limits: Limits) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limits.body:
            await _discard(receive, limits)
            raise _too_large(limits)
        if not message.get("more_body", False):
            return part if len(parts) == 1 else b"".join(parts)


async def _discard(receive: Receive, limits: Limits) -> None:
    """Reads on for a while: a client that is still sending when the connection is closed never sees the answer."""
    size = 0
    try:
        async with asyncio.timeout(_PATIENCE):
            while size < _PATIENT_BODIES * limits.body:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _too_large(limits: Limits) -> RequestError:
    return RequestError(f"The body is larger than the server's limit of {limits.body:,} bytes (--max-body-mb).", 413)


def _unpacked(body: bytes, encoding: str, limits: Limits) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise RequestError(f"Content-Encoding must be gzip, deflate or identity. Received: {encoding:.40}", 415)
    found = b""
    while body:
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # finds out by itself whether it is gzip or zlib
        try:
            found += unpack.decompress(body, limits.body + 1 - len(found))
        except zlib.error:
            raise RequestError(f"The body is not {encoding}, as its Content-Encoding says.") from None
        if len(found) > limits.body:
            raise _too_large(limits)
        if not unpack.eof:
            raise RequestError(f"The body ends before its {encoding} does.")
        # gzip may have several members, one after the other (RFC 1952, section 2.2).
        body = unpack.unused_data
    return found
