"""Starts the server's processes: one that answers, or several under one that restarts those that die."""

from __future__ import annotations

import dataclasses
import logging
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from tfwd.errors import ConfigError
from tfwd.server.app import Server
from tfwd.server.protocol import Protocol
from tfwd.server.settings import Settings

_LOG = logging.getLogger("tfwd.server")


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and how.

    Attributes:
        port: the port; 0 takes a free one.
        workers: the number of processes.
        certificate: a file with the certificate for TLS, if any.
        key: the file with its key.
        drain_seconds: how long a server that is told to stop goes on with what it has.
    """

    port: int = 8501
    workers: int = 1
    certificate: str | None = None
    key: str | None = None
    drain_seconds: int = 30


def serve(settings: Settings, listening: Listening) -> None:
    """Answers requests until the process is told to stop.

    Raises:
        ConfigError: the address is in use, or a certificate cannot be read.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="tfwd-server-") as counters, _bound(settings.host, listening.port) as bound:
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        settings = dataclasses.replace(settings, counters=counters)
        settings.to_environment()
        if settings.page:
            _LOG.info("Opening the run for the page, which takes some seconds")
        server = Server(settings) if listening.workers == 1 else None
        config = uvicorn.Config(
            server or "tfwd.server.app:from_environment",
            factory=server is None,
            workers=listening.workers,
            http=Protocol,
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=listening.drain_seconds,
            ssl_certfile=listening.certificate,
            ssl_keyfile=listening.key,
        )
        scheme = "http" if listening.certificate is None else "https"
        _LOG.info("Serving on %s://%s:%d", scheme, shown, bound.getsockname()[1])
        if settings.page:
            _LOG.info("The page is at %s://%s:%d/ui/", scheme, shown, bound.getsockname()[1])
        if server is not None:
            _OneProcess(config, server).run(sockets=[bound])
        else:
            Multiprocess(config, sockets=[bound]).run()


class _OneProcess(uvicorn.Server):
    """A process that ends the connections of open pages when it is told to stop, as they would never end."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._answering = server

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._answering.close_page()
        await super().shutdown(sockets)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        why = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
        raise ConfigError(f"{host}:{port} cannot be listened on: {why}. Choose another --port.") from None
    bound.set_inheritable(True)
    return bound


def token_of(file: Path) -> str:
    """Returns the token in a file, its only line.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read as a token: {error}") from None
    if not token or any(not 33 <= ord(character) <= 126 for character in token):
        raise ConfigError(f"{file} must hold a token: one line of letters, digits and signs, without spaces.")
    return token
