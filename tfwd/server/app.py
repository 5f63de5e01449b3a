"""The ASGI application: routes, errors, headers, counters and log of all requests."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from tfwd.errors import TfwdError
from tfwd.server import authorization, body, rest, v2
from tfwd.server.answer import Answer
from tfwd.server.body import ClientGone, Receive
from tfwd.server.metrics import Counters, Histogram
from tfwd.server.page import Page
from tfwd.server.protocol import Protocol
from tfwd.server.repository import Repository
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Settings

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_LOG = logging.getLogger("tfwd.server")
_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
# TensorFlow's names of what went wrong, by HTTP status.
CODES = {
    200: "OK",
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "OUT_OF_RANGE",
    415: "INVALID_ARGUMENT",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    500: "INTERNAL",
}


class _Counted(NamedTuple):
    """Where the requests for one model are counted."""

    requests: dict[int, int]
    latency: dict[tuple[str, str], Histogram]


class Server:
    """Answers requests over HTTP.

    Args:
        settings: see `Settings`.
    """

    def __init__(self, settings: Settings) -> None:
        # A number beyond float32 is infinite, which every model answers.
        warnings.filterwarnings("ignore", "overflow encountered in cast", RuntimeWarning)
        self.settings = settings
        Protocol.limits = settings.limits
        self.counters = Counters(Path(settings.counters) if settings.counters is not None else None)
        self.repository = Repository(settings, self.counters)
        self._counted: dict[str, _Counted] = {}
        self._polling: asyncio.Task[None] | None = None
        self._page = None if not settings.page else Page(settings.model, settings.token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI asks for it."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)

    async def start(self) -> None:
        """Loads the models and begins to look for new versions."""
        await self.repository.refresh()
        for missing in self.repository.missing():
            _LOG.warning("%s", missing)
        if self._page is not None:
            await self._page.start()
        self._polling = asyncio.create_task(self._poll())

    def close_page(self) -> None:
        """Ends the connections that an open page keeps, before the server waits for requests in progress."""
        if self._page is not None:
            self._page.close()

    async def stop(self) -> None:
        """Ends what runs beside requests."""
        if self._page is not None:
            await self._page.stop()
        if self._polling is not None:
            self._polling.cancel()
        self.repository.close()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            try:
                await self.repository.refresh()
                self.repository.count()
            except (TfwdError, OSError) as error:
                # The folder may be gone for a moment. What is loaded goes on.
                _LOG.warning("%s", error)
            except Exception:  # a fault of ours must not end the search for new versions
                _LOG.exception("The folder of models could not be looked at")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        path: str = scope["path"]
        if self._page is not None and self._page.has(path):
            await self._page(scope, receive, send)
            return
        # Of several with one name the last counts.
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            if path not in ("/healthz", "/readyz"):
                authorization.check(headers.get(b"authorization", b""), self.settings.token)
            answer = await self._answer(scope["method"], path, headers, receive)
        except RequestError as error:
            if error.__cause__ is not None:
                _LOG.error("%s %s failed", scope["method"], path, exc_info=error.__cause__)
            answer = refused(error)
        except ClientGone:
            return
        except Exception:  # a fault of ours must not end the connection without a word
            _LOG.exception("%s %s failed", scope["method"], path)
            answer = refused(RequestError("The server failed. Its log says why.", 500))
        found = [answer.type, (b"content-length", str(len(answer.body)).encode())]
        if answer.version is not None:
            found.append((b"x-model-version", answer.version))
        found += answer.headers
        await send({"type": "http.response.start", "status": answer.status, "headers": found})
        await send({"type": "http.response.body", "body": answer.body})
        self.answered(scope, answer, 1e6 * (time.perf_counter() - begun))

    def answered(self, scope: Scope, answer: Answer, microseconds: float, entrypoint: str = "REST") -> None:
        """Counts a request that has been answered, and logs it.

        Args:
            scope: the `client`, `method` and `path` of the request.
            answer: its answer, of which the content is not looked at.
            microseconds: how long it took.
            entrypoint: over what it came, as TensorFlow Serving's metrics call it: `REST` or `GRPC`.
        """
        if answer.kind:
            self._count(answer, microseconds, entrypoint)
        if self.settings.access_log:
            self._log(scope, answer, microseconds)

    async def _answer(self, method: str, path: str, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        if path.startswith("/v1/"):
            return await rest.answer(self, method, path, headers, receive)
        if path.startswith("/v2"):
            return await v2.answer(self, method, path, headers, receive)
        if path not in ("/healthz", "/readyz", "/metrics"):
            raise RequestError(
                f"There is nothing at {path:.100}. Models are at /v1/models/NAME and /v2/models/NAME.", 404
            )
        if method not in ("GET", "HEAD"):
            raise RequestError(f"{method:.20} is not allowed here. Use GET.", 405, allow="GET")
        if path == "/metrics":
            self.repository.count()
            return Answer(self.counters.exposition(), type=_TEXT)
        if path == "/healthz":
            return Answer(b'{"status":"alive"}')
        if not self.ready:
            raise RequestError(self.repository.unready, 503, wait=1)
        return Answer(b'{"status":"ready"}')

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""
        return not self.repository.unready

    @property
    def alone(self) -> bool:
        """Whether the request that is being answered is the only one."""
        return len(Protocol.requests) <= 1 and not self.settings.batching.microseconds

    async def read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Returns the body of a request, within the limits."""
        return await body.read(headers, receive, self.settings.limits)

    def _count(self, answer: Answer, microseconds: float, entrypoint: str) -> None:
        counted = self._counted.get(answer.model)
        if counted is None:
            counted = self._counted[answer.model] = _Counted({}, {})
        slot = counted.requests.get(answer.status)
        if slot is None:
            code = CODES.get(answer.status, "UNKNOWN")
            slot = self.counters.slot(":tensorflow:serving:request_count", model_name=answer.model, status=code)
            counted.requests[answer.status] = slot
        self.counters.add(slot)
        if answer.status == 200:
            latency = counted.latency.get((answer.kind, entrypoint))
            if latency is None:
                labels = {"model_name": answer.model, "API": answer.kind, "entrypoint": entrypoint}
                latency = self.counters.histogram(":tensorflow:serving:request_latency", **labels)
                counted.latency[answer.kind, entrypoint] = latency
            latency.observe(microseconds)

    def _log(self, scope: Scope, answer: Answer, microseconds: float) -> None:
        client = scope.get("client") or ("", 0)
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "client": client[0],
            "method": scope["method"],
            "path": scope["path"],
            "status": answer.status,
            "milliseconds": round(microseconds / 1e3, 3),
            "model": answer.model,
            "version": None if answer.version is None else answer.version.decode(),
            "rows": answer.rows,
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def refused(error: RequestError) -> Answer:
    """Returns the answer to a request that is refused: `{"error": ...}`."""
    headers = [(b"retry-after", str(error.wait).encode())] if error.wait is not None else []
    if error.allow:
        headers.append((b"allow", error.allow.encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.status in (408, 413):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    text = json.dumps({"error": error.message}, ensure_ascii=False).encode("utf-8", "replace")
    return Answer(text, status=error.status, model=error.model, kind=error.kind, version=error.version, headers=headers)
