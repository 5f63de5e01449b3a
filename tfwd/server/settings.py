"""What a server was told, as `tfwd serve` hands it to its worker processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Backend = Literal["auto", "onnx", "tensorflow"]


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for.

    Attributes:
        body: bytes of its body.
        rows: rows.
        list_values: values of one list.
        seconds: seconds until its body has come, and until it is answered.
    """

    body: int = 16 * 2**20
    rows: int = 10_000
    list_values: int = 10_000
    seconds: float = 30.0

    @property
    def containers(self) -> int:
        """The most lists and objects in a body of JSON: a row, and what it holds, and never too few for one row."""
        return 50 * max(self.rows, 2000)


@dataclass(frozen=True)
class Batching:
    """How requests are answered together.

    Attributes:
        rows: the most rows of several requests in one call of the model; 0 answers each request alone.
        microseconds: how long a request may wait for others. Those that have come in meanwhile are answered together
            anyway, so that 0 costs no time.
        queue: the most rows that wait; more are refused.
    """

    rows: int = 64
    microseconds: int = 0
    queue: int = 10_000


@dataclass(frozen=True)
class Settings:
    """All settings of a server.

    Attributes:
        model: a run, an .onnx file or a folder of models.
        name: the model's name, if `model` does not say it.
        backend: what computes the answers.
        limits: see `Limits`.
        batching: see `Batching`.
        poll_seconds: how often a folder is looked at for new versions.
        keep_versions: how many of the newest versions are served, beside those that have a label.
        labels: the version of each label, by model.
        token: what a caller must say, if anything.
        access_log: whether each request is logged.
        counters: the folder of the counters that all workers share.
        page: whether `/ui` is served.
    """

    model: str
    name: str | None = None
    backend: Backend = "auto"
    limits: Limits = field(default_factory=Limits)
    batching: Batching = field(default_factory=Batching)
    poll_seconds: float = 1.0
    keep_versions: int = 1
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    access_log: bool = False
    counters: str | None = None
    page: bool = False


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and how.

    Attributes:
        host: the address.
        port: the port; 0 takes a free one.
        workers: the number of processes.
        certificate: a file with the certificate for TLS, if any.
        key: the file with its key.
        grpc_port: the port of the gRPC service, if any.
        drain_seconds: how long a server that is told to stop goes on with what it has.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    workers: int = 1
    certificate: Path | None = None
    key: Path | None = None
    grpc_port: int | None = None
    drain_seconds: int = 30

    def address(self, port: int) -> str:
        """Returns a port at this address, as an URL names it."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"
