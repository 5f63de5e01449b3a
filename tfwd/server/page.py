"""The page of a run beside the models: `/ui`, which `tfwd serve --ui` serves."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
from typing import Any

from tfwd.utils.console import load_tensorflow

_PLACE = "/ui"
_REFUSED = b"Give the server's token as the password, with any name."


class Page:
    """The page as an ASGI application, in front of which the server's token is asked for.

    A browser sends no header of its own, so the token is the password that a browser asks for (RFC 7617).

    Args:
        run: the run directory.
        token: what requests to the server have to carry as their header `Authorization`, if anything.

    Raises:
        RunError: it is not a run, is damaged, or was changed after the training.
        ConfigError: Gradio is not installed.
    """

    def __init__(self, run: str, token: bytes | None) -> None:
        # The server runs without the packages that the page needs.
        load_tensorflow()
        from starlette.applications import Starlette

        from tfwd.page.mount import mount

        self._app = Starlette()
        mount(self._app, run, _PLACE)
        self._token = token
        self._open: set[asyncio.Task[Any]] = set()
        self._life = contextlib.AsyncExitStack()

    @staticmethod
    def has(path: str) -> bool:
        """Returns whether a path belongs to the page."""
        return path == _PLACE or path.startswith(f"{_PLACE}/") or path == "/favicon.ico"

    async def start(self) -> None:
        """Starts what the page runs beside requests."""
        await self._life.enter_async_context(self._app.router.lifespan_context(self._app))

    async def stop(self) -> None:
        """Ends what the page runs beside requests."""
        await self._life.aclose()

    def close(self) -> None:
        """Ends the requests in progress: an open page keeps one for as long as it is open."""
        for task in self._open:
            task.cancel()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request, as ASGI asks for it."""
        if not self._allowed(dict(scope["headers"]).get(b"authorization", b"")):
            headers = [(b"www-authenticate", b'Basic realm="tfwd", charset="UTF-8"'), (b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSED})
            return
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._open.discard(task)

    def _allowed(self, given: bytes) -> bool:
        if self._token is None:
            return True
        scheme, _, credentials = given.partition(b" ")
        if scheme.lower() == b"basic":
            try:
                _, _, password = base64.b64decode(credentials, validate=True).partition(b":")
            except binascii.Error:
                return False
            given = b"Bearer " + password
        return hmac.compare_digest(given, self._token)
