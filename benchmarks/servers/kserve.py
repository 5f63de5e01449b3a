"""KServe 0.21's own server, on the V1 protocol: a custom model in one process, latency log and access log off."""

from __future__ import annotations

import logging
from typing import Any

from kserve import Model, ModelServer  # type: ignore[import-not-found, unused-ignore]

from benchmarks.servers.session import Session, arguments


class Income(Model):
    """The session as a model of KServe."""

    def __init__(self, session: Session) -> None:
        super().__init__("income")
        self._session = session
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Answers a request of TF Serving's row format."""
        return {"predictions": self._session.answers(payload["instances"])}


def main() -> None:
    """Serves until it is stopped."""
    given = arguments()
    server = ModelServer(
        http_port=given.port, workers=1, enable_grpc=False, enable_latency_logging=False, event_loop="uvloop"
    )
    for name in ("kserve", "uvicorn.access", "kserve.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    server.start([Income(Session(given.folder / "income.onnx"))])


if __name__ == "__main__":
    main()
