"""What every server runs: the exported file in ONNX Runtime, and rows as its arrays."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

# A row's answer: its probability and its logit, by name.
Answer = dict[str, float]
_DTYPES = {"tensor(string)": object, "tensor(float)": np.float32, "tensor(int64)": np.int64}


class Arguments(NamedTuple):
    """What a server is started with.

    Attributes:
        folder: of `work.Work`.
        port: of 127.0.0.1.
    """

    folder: Path
    port: int


def arguments() -> Arguments:
    """Reads the command line of a server: `FOLDER PORT`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    return Arguments(given.folder, given.port)


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Session:
    """The file on one thread, as in `tfwd serve`.

    Args:
        file: of a model whose inputs are scalars.
    """

    outputs = ("probability", "logit")

    def __init__(self, file: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.dtypes = {entry.name: _DTYPES[entry.type] for entry in self._session.get_inputs()}

    def run(self, arrays: Mapping[str, Any]) -> list[Any]:
        """Returns the arrays of `outputs`, `(B,)` each.

        Args:
            arrays: by input, `(B,)`; strings are an `object` array of `str`.
        """
        found: list[Any] = self._session.run(self.outputs, arrays)
        return found

    def answers(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Returns the answer to each row, as TF Serving writes it.

        Args:
            rows: values by input.
        """
        arrays = {name: np.array([row[name] for row in rows], dtype) for name, dtype in self.dtypes.items()}
        probability, logit = self.run(arrays)
        return [{"probability": p, "logit": z} for p, z in zip(probability.tolist(), logit.tolist(), strict=True)]
