"""The page of a run beside the models: `/ui`, which `tfwd serve --ui` serves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from tfwd.server.authorization import opens_page
from tfwd.utils.console import load_tensorflow

_PLACE = "/ui"
_REFUSED = b"Give the server's token as the password, with any name."


class Page:
    """The page as an ASGI application, in front of which the server's token is asked for.

    A browser sends no header of its own, so the token is the password that a browser asks for (RFC 7617).

    Args:
        run: the run directory.
        token: the server's token, if any.

    Raises:
        RunError: it is not a run, is damaged, or was changed after the training.
        ConfigError: Gradio is not installed.
    """

    def __init__(self, run: str, token: str | None) -> None:
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
        if not opens_page(dict(scope["headers"]).get(b"authorization", b""), self._token):
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
