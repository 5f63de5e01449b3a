"""The servers that are measured, and how one is started, asked and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.servers import setup
from benchmarks.servers.session import Session, free_port
from benchmarks.servers.work import Dialect

ROOT = Path(__file__).parents[2]
V1, V2 = "/v1/models/income:predict", "/v2/models/income/infer"
_START_SECONDS = 120
# How long is looked whether a server rests.
_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Contender:
    """A server.

    Attributes:
        key: on the command line.
        name: in the tables.
        environment: of `setup`.
        path: where it answers.
        dialect: of its requests.
        module: of `benchmarks.servers`; None for `tfwd.serve`.
        options: after the module's own arguments.
        outputs: what it answers.
    """

    key: str
    name: str
    environment: str
    path: str = V1
    dialect: Dialect = "instances"
    module: str | None = None
    options: tuple[str, ...] = ()
    outputs: tuple[str, ...] = Session.outputs

    def command(self, folder: Path, port: int) -> list[str]:
        """Returns how it is started.

        Args:
            folder: of the environments and the work.
            port: of 127.0.0.1.
        """
        python = setup.python(folder, self.environment)
        if not python.exists():
            raise SystemExit(
                f"{self.name} has no environment. Run python -m benchmarks.servers.setup {self.environment}"
            )
        if self.module is None:
            own = ["-m", "tfwd.serve", str(folder / "work" / "income.onnx"), "--port", str(port), *self.options]
        else:
            own = ["-m", f"benchmarks.servers.{self.module}", str(folder / "work"), str(port), *self.options]
        return [str(python), "-W", "ignore", *own]


CONTENDERS = (
    Contender("tfwd", "tfwd serve", "serve"),
    Contender("single", "tfwd serve, batching off", "serve", options=("--batch-rows", "0")),
    Contender("baseline", "Starlette + orjson + ONNX Runtime", "serve", module="baseline"),
    Contender("kserve", "KServe 0.21", "kserve", module="kserve"),
    Contender("triton", "Triton 2.51, Python backend", "triton", V2, "tensors", "triton"),
    Contender("mlserver", "MLServer 1.7", "mlserver", V2, "tensors", "mlserver"),
    Contender("litserve", "LitServe 0.2", "litserve", module="litserve"),
    Contender("bentoml", "BentoML 1.4", "bentoml", module="bentoml"),
    Contender("fastapi", "FastAPI + `model.predict`", "fastapi", module="fastapi", outputs=("probability",)),
)


class Running(NamedTuple):
    """A server that answers.

    Attributes:
        contender: what it is.
        url: where it answers.
        process: the one that was started.
        started: seconds until its first right answer.
    """

    contender: Contender
    url: str
    process: psutil.Popen
    started: float

    def ask(self, body: bytes) -> Any:
        """Returns the answer to one request, parsed."""
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def processor(self) -> float:
        """Returns the processor seconds that all its processes have taken."""
        times = [each.cpu_times() for each in _family(self.process)]
        return float(sum(each.user + each.system for each in times))

    def rest(self) -> None:
        """Waits until it rests: some go on with requests that nobody waits for, while another server is measured.

        Raises:
            SystemExit: it works for minutes.
        """
        for _ in range(600):
            before = self.processor()
            time.sleep(_LOOK_SECONDS)
            if self.processor() - before < _LOOK_SECONDS / 20:
                return
        raise SystemExit(f"{self.contender.name} does not come to rest.")

    def memory(self) -> float:
        """Returns the resident memory of all its processes, in MB."""
        return sum(each.memory_info().rss for each in _family(self.process)) / 1e6


@contextlib.contextmanager
def running(contender: Contender, folder: Path, body: bytes, log: Path) -> Iterator[Running]:
    """Starts a server, waits until it answers, and stops it and what it started at the end.

    Args:
        contender: what to start.
        folder: of the environments and the work.
        body: a request.
        log: the file for what it says.

    Raises:
        SystemExit: it ended, or does not answer.
    """
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    begun = time.perf_counter()
    with log.open("w") as out:
        process = psutil.Popen(
            contender.command(folder, port), cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}{contender.path}"
        started = Running(contender, url, process, 0.0)
        while True:
            try:
                started.ask(body)
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                over = time.perf_counter() - begun > _START_SECONDS
                if process.poll() is not None or over:
                    text = log.read_text(errors="replace")[-3000:]
                    said = error.read().decode(errors="replace") if isinstance(error, urllib.error.HTTPError) else error
                    raise SystemExit(f"{contender.name} does not answer: {said}\n{text}") from None
            time.sleep(0.02)
        yield started._replace(started=time.perf_counter() - begun)
    finally:
        _stop(process)


def chosen(keys: Sequence[str] | None) -> list[Contender]:
    """Returns the servers of these keys, or all.

    Raises:
        SystemExit: there is no such server.
    """
    known = {each.key: each for each in CONTENDERS}
    unknown = sorted(set(keys or ()) - set(known))
    if unknown:
        raise SystemExit(f"There is no server {', '.join(unknown)}. There are {', '.join(known)}.")
    return [each for each in CONTENDERS if not keys or each.key in keys]


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _stop(process: psutil.Popen) -> None:
    family = _family(process)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=10)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, timeout=5)
