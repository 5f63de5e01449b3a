"""LitServe 0.2: an API in front of one worker process."""

# No annotations as strings: LitServe takes that of `decode_request` for the type of the body.
from pathlib import Path
from typing import Any

import litserve  # type: ignore[import-not-found, unused-ignore]

from benchmarks.servers.session import Answer, Session, arguments


class Income(litserve.LitAPI):
    """The session as an API of LitServe."""

    def __init__(self, file: Path) -> None:
        super().__init__(api_path="/v1/models/income:predict")
        self._file = file

    def setup(self, device: str) -> None:
        """Opens the file in the worker."""
        self._session = Session(self._file)

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Returns the rows."""
        return request["instances"]

    def predict(self, x: Any) -> list[Answer]:
        """Answers the rows."""
        return self._session.answers(x)

    def encode_response(self, output: list[Answer]) -> Any:
        """Answers as TF Serving does."""
        return {"predictions": output}


def main() -> None:
    """Serves until it is stopped."""
    given = arguments()
    server = litserve.LitServer(Income(given.folder / "income.onnx"), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=given.port,
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
