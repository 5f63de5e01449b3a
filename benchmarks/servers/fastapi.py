"""What most tutorials do: FastAPI, pydantic and Keras' `model.predict`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import uvicorn  # type: ignore[import-not-found, unused-ignore]
from fastapi import FastAPI  # type: ignore[import-not-found, unused-ignore]
from pydantic import BaseModel

import tfwd
from benchmarks.servers.session import arguments


class Rows(BaseModel):
    """A request of TF Serving's row format."""

    instances: list[dict[str, Any]]


def main() -> None:
    """Serves until it is stopped."""
    given = arguments()
    model = tfwd.load_model(given.folder / "run" / "model.keras")
    names = [entry.name for entry in model.schema.inputs]
    app = FastAPI()

    @app.post("/v1/models/income:predict")
    def predict(rows: Rows) -> dict[str, Any]:
        tensors = {name: tf.constant([row[name] for row in rows.instances]) for name in names}
        probability = model.predict(tensors, verbose=0)
        return {"predictions": [{"probability": value} for value in probability.ravel().tolist()]}

    uvicorn.run(app, host="127.0.0.1", port=given.port, loop="uvloop", http="httptools", access_log=False)


if __name__ == "__main__":
    main()
