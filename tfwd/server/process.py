"""One process that answers, over HTTP and gRPC, from its start to its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from tfwd.server.app import Server
from tfwd.server.protocol import Protocol
from tfwd.server.settings import Listening, Settings


class Process(uvicorn.Server):
    """Answers until it is told to stop: `run`.

    Args:
        settings: see `Settings`.
        listening: see `Listening`; the sockets for HTTP are given to `run`.
        serving: is called when requests are answered.
    """

    def __init__(self, settings: Settings, listening: Listening, serving: Callable[[], None]) -> None:
        self._server, self._listening, self._serving = Server(settings), listening, serving
        self._grpc: Any = None
        super().__init__(_config(self._server, listening))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Loads the models, then begins to answer.

        Raises:
            TfwdError: it cannot.
        """
        await self._server.start()
        if self._listening.grpc_port is not None:
            from tfwd.server import grpc_service  # it imports TensorFlow

            self._grpc = await grpc_service.start(self._server, self._listening)
        await super().startup(sockets)
        self._serving()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no new request, and answers those in progress; what is open without an end is closed."""
        self._server.close_page()
        ending = asyncio.create_task(self._end_grpc())
        await super().shutdown(sockets)
        await ending
        await self._server.stop()

    async def _end_grpc(self) -> None:
        if self._grpc is None:
            return
        draining = asyncio.create_task(self._grpc.stop(self._listening.drain_seconds))
        while not draining.done() and not self.force_exit:
            await asyncio.sleep(0.1)
        await self._grpc.stop(None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops on a signal; a second Ctrl-C does not wait.

        uvicorn would raise the signal again in the end, which leaves undone what the caller of `run` has to do then.
        """
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def _config(server: Server, listening: Listening) -> uvicorn.Config:
    return uvicorn.Config(
        server,
        http=Protocol,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        log_config=None,
        access_log=False,
        lifespan="off",  # `Process` does itself what would be done then
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=listening.drain_seconds,
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
    )
