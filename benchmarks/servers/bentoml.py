"""BentoML 1.4: a service in one worker process, its access log and metrics off."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bentoml  # type: ignore[import-not-found, unused-ignore]

from benchmarks.servers.session import Answer, Session, arguments

_FOLDER = "BENCHMARK_FOLDER"


@bentoml.service(
    workers=1,
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Income:
    """The session as a service of BentoML."""

    def __init__(self) -> None:
        self._session = Session(Path(os.environ[_FOLDER]) / "income.onnx")

    @bentoml.api(route="/v1/models/income:predict")
    async def predict(self, instances: list[dict[str, Any]]) -> dict[str, list[Answer]]:
        """Answers a request of TF Serving's row format."""
        return {"predictions": self._session.answers(instances)}


def main() -> None:
    """Serves until it is stopped."""
    given = arguments()
    os.environ |= {_FOLDER: str(given.folder), "BENTOML_DO_NOT_TRACK": "True"}
    command = ["bentoml", "serve", "benchmarks.servers.bentoml:Income", "--host", "127.0.0.1", "--quiet"]
    program = Path(sys.executable).with_name("bentoml")
    os.execv(program, [*command, "--port", str(given.port)])


if __name__ == "__main__":
    main()
