"""MLServer 1.7: a custom runtime in the server's own process, on the Open Inference Protocol, logs and metrics off."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from mlserver import MLModel  # type: ignore[import-not-found, unused-ignore]
from mlserver.codecs import NumpyCodec, StringCodec  # type: ignore[import-not-found, unused-ignore]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found, unused-ignore]

from benchmarks.servers.session import Session, arguments, free_port


class Income(MLModel):
    """The session as a runtime of MLServer."""

    async def load(self) -> bool:
        """Opens the file."""
        self._session = Session(Path(self.settings.parameters.uri))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answers tensors."""
        arrays = {
            each.name: np.array(StringCodec.decode_input(each), object)
            if each.datatype == "BYTES"
            else NumpyCodec.decode_input(each).reshape(-1)
            for each in payload.inputs
        }
        found = zip(Session.outputs, self._session.run(arrays), strict=True)
        outputs = [NumpyCodec.encode_output(name, values) for name, values in found]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def main() -> None:
    """Serves until it is stopped."""
    given = arguments()
    folder = Path(tempfile.mkdtemp(prefix="mlserver-"))
    settings = {
        "host": "127.0.0.1",
        "http_port": given.port,
        "grpc_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
        "metrics_endpoint": None,
        "use_structured_logging": False,
    }
    model = {
        "name": "income",
        "implementation": "benchmarks.servers.mlserver.Income",
        "parameters": {"uri": str(given.folder / "income.onnx")},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    program = Path(sys.executable).with_name("mlserver")
    os.execv(program, ["mlserver", "start", str(folder)])


if __name__ == "__main__":
    main()
