"""Processes that answer together: one that cannot start stops the server, and all end with their parent."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

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


WAITS = """
import time
from tfwd.server.workers import Workers

def wait(told):
    told.send(None)
    time.sleep(600)

if __name__ == "__main__":
    Workers(2, wait, ()).run(lambda: print("serving", flush=True))
"""


def test_workers_end_when_the_process_that_has_started_them_was_killed(tmp_path: Path) -> None:
    """By a signal that it cannot catch, as a machine out of memory sends; else they would keep its port."""
    (tmp_path / "waits.py").write_text(WAITS)
    with subprocess.Popen([sys.executable, tmp_path / "waits.py"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        process.kill()
        # They have the pipe, too: it ends with the last of them.
        assert process.communicate(timeout=30) == ("", None)
