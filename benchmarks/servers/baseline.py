"""The least that a server can be: Starlette, orjson and the session, without batches, checks or metrics.

The settings of uvicorn are those of `tfwd serve`.
"""

from __future__ import annotations

import orjson  # type: ignore[import-not-found,unused-ignore]
import uvicorn  # type: ignore[import-not-found,unused-ignore]
from starlette.applications import Starlette  # type: ignore[import-not-found,unused-ignore]
from starlette.requests import Request  # type: ignore[import-not-found,unused-ignore]
from starlette.responses import Response  # type: ignore[import-not-found,unused-ignore]
from starlette.routing import Route  # type: ignore[import-not-found,unused-ignore]

from benchmarks.servers.session import Session, arguments


def main() -> None:
    """Serves until it is stopped."""
    given = arguments()
    session = Session(given.folder / "income.onnx")

    async def predict(request: Request) -> Response:
        rows = orjson.loads(await request.body())["instances"]
        return Response(orjson.dumps({"predictions": session.answers(rows)}), media_type="application/json")

    app = Starlette(routes=[Route("/v1/models/income:predict", predict, methods=["POST"])])
    uvicorn.run(
        app, host="127.0.0.1", port=given.port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
