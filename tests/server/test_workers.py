"""Processes that answer together: one that cannot start stops the server, one that ends later is replaced."""

from __future__ import annotations

import socket

import pytest

from tfwd.errors import ConfigError
from tfwd.server.launch import work
from tfwd.server.settings import Listening, Settings
from tfwd.server.workers import Workers


def _served() -> None:
    raise AssertionError("it says that it serves")


def test_why_a_worker_cannot_start_is_told_once() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as bound,
        pytest.raises(ConfigError, match="^/nowhere does not exist"),
    ):
        Workers(2, work, (Settings("/nowhere"), Listening(), bound)).run(_served)


def test_a_worker_that_ends_before_it_answers_ends_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="A worker process ended with the code 1 before it could answer"):
        Workers(2, work, ()).run(_served)
    assert "TypeError" in capfd.readouterr().err
