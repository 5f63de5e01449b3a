"""A real `tfwd serve` in a process of its own, and the models that the tests of the server ask."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from made_once import made

ROOT = Path(__file__).parent.parent


class Reply(NamedTuple):
    """An answer over HTTP."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Served(NamedTuple):
    """A server that listens."""

    port: int
    process: subprocess.Popen[str]
    log: Path

    def ask(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str | None = None
    ) -> Reply:
        """Asks once, over a connection of its own; a value is sent as JSON, bytes as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, content, headers or {})
            found = connection.getresponse()
            return Reply(found.status, {key.lower(): value for key, value in found.getheaders()}, found.read())
        finally:
            connection.close()


@contextmanager
def served(
    model: str | Path,
    *options: str,
    python: str = sys.executable,
    ready: bool = True,
    program: tuple[str, str] = ("-m", "tfwd.serve"),
) -> Iterator[Served]:
    """Starts a server on a free port, waits until it is ready, and stops it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [python, *program, str(model), "--port", "0", *options],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            )
        try:
            server = Served(_port(process, log), process, log)
            if ready:
                wait_until(lambda: _status(server) == 200, process, log)
            yield server
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _port(process: subprocess.Popen[str], log: Path) -> int:
    wait_until(lambda: "Serving on" in log.read_text(), process, log)
    found = re.search(r"Serving on https?://.*:(\d+)", log.read_text())
    assert found is not None
    return int(found[1])


def _status(server: Served) -> int:
    try:
        return server.ask("/readyz").status
    except OSError:
        return 0


def wait_until(true: Any, process: subprocess.Popen[str] | None = None, log: Path | None = None) -> None:
    """Waits for something that a process will do, for at most two minutes."""
    end = time.monotonic() + 120
    while not true():
        said = log.read_text() if log is not None else ""
        assert process is None or process.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.05)


def models() -> Path:
    """A folder as TensorFlow Serving polls it, of SavedModels with their ONNX files: the census, and one of lists."""

    def make(folder: Path) -> None:
        import bag_cases
        import pytest
        from census_cases import trained

        from export.onnx import writer
        from export.parity import compare
        from export.savedmodel import writer as savedmodel

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compare, "HOSTILE_ROWS", 20)
            savedmodel.save(trained().model, folder / "models", name="census")
            writer.save(trained().model, folder / "models" / "census" / "1" / "model.onnx")
        bags = folder / "models" / "bags" / "1"
        shutil.copytree(bag_cases.exported()["savedmodel"], bags)
        shutil.copy(bag_cases.exported()["onnx"], bags / "model.onnx")

    return made("served", make) / "models"


def census_version() -> Path:
    """The folder of the only version of the census; call it in tests alone, as every worker collects all files."""
    return models() / "census" / "1"


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def port_in_use() -> Iterator[int]:
    """A port of 127.0.0.1 that is listened on, and that would be shared with whoever asks for the same."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def copied(source: Path, target: Path) -> None:
    """Puts a version into place as a deployment does: written beside, then renamed."""
    beside = target.with_name(f".{target.name}")
    shutil.copytree(source, beside)
    beside.rename(target)
