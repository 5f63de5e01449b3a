"""Starts the server's processes: one that answers, or several under one that replaces those that end."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection

from tfwd.errors import ConfigError, TfwdError
from tfwd.server.certificate import check_certificate
from tfwd.server.process import Process
from tfwd.server.settings import Listening, Settings
from tfwd.server.workers import Workers

_LOG = logging.getLogger("tfwd.server")


def serve(settings: Settings, listening: Listening) -> None:
    """Answers requests until the process is told to stop, by SIGTERM or SIGINT.

    Raises:
        ConfigError: an address is in use, a certificate cannot be used, or the server cannot start.
    """
    _log()
    if listening.certificate is not None and listening.key is not None:
        check_certificate(listening.certificate, listening.key)
    with (
        _leaves_on_sigterm(),
        tempfile.TemporaryDirectory(prefix="tfwd-server-") as counters,
        _bound(listening.host, listening.port, "--port") as bound,
    ):
        if listening.grpc_port is not None:
            # The processes bind it themselves: here it is known at once whether it is free.
            _bound(listening.host, listening.grpc_port, "--grpc-port").close()
        settings = dataclasses.replace(settings, counters=counters)
        listening = dataclasses.replace(listening, port=bound.getsockname()[1])
        if settings.page:
            _LOG.info("Opening the run for the page, which takes some seconds")
        if listening.workers == 1:
            Process(settings, listening, lambda: _say(settings, listening)).run([bound])
        else:
            workers = Workers(listening.workers, work, (settings, listening, bound))
            workers.run(lambda: _say(settings, listening))


def work(settings: Settings, listening: Listening, bound: socket.socket, told: Connection) -> None:
    """Answers in a worker process; tells the process that has started it when it does, or why it cannot."""
    _log()
    try:
        Process(settings, listening, lambda: told.send(None)).run([bound])
    except (TfwdError, OSError) as error:
        told.send(str(error))
        sys.exit(2)


def _log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _say(settings: Settings, listening: Listening) -> None:
    url = f"{'http' if listening.certificate is None else 'https'}://{listening.address(listening.port)}"
    _LOG.info("Serving on %s", url)
    if settings.page:
        _LOG.info("The page is at %s/ui/", url)
    if listening.grpc_port is not None:
        _LOG.info("gRPC is at %s", listening.address(listening.grpc_port))


@contextlib.contextmanager
def _leaves_on_sigterm() -> Iterator[None]:
    """Lets SIGTERM end what is inside as an exit does, so that what it has made is removed."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _bound(host: str, port: int, option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        why = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
        raise ConfigError(f"{host}:{port} cannot be listened on: {why}. Choose another {option}.") from None
    bound.set_inheritable(True)
    return bound
