"""What every server is asked: a model of the census and rows that it was not trained on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.servers.session import Session

# The sizes of a request, and how many different ones of each are sent in turn.
SIZES = {1: 512, 200: 16}
# How the rows of a request are written: in TF Serving's row format, or as tensors of the Open Inference Protocol.
Dialect = Literal["instances", "tensors"]
_DATATYPES = {object: "BYTES", np.float32: "FP32", np.int64: "INT64"}
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Work:
    """A folder with `income.onnx`, the run in `run`, and what is asked.

    Attributes:
        folder: the folder.
        rows: values by input.
        session: of the file.
    """

    folder: Path
    rows: list[dict[str, Any]]
    session: Session

    @classmethod
    def of(cls, folder: Path) -> Work:
        """Opens the folder; trains and exports the model first if it is not there."""
        file = folder / "income.onnx"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            short = ("--set", "train.epochs=3", "--set", "train.refit=false", "--set", "export.formats=[]")
            _python("tfwd.train", "--config", "census", "--output", str(folder / "run"), *short)
            _python("export.onnx", str(folder / "run"), "--output", str(file))
        from tfwd.datasets import census

        session = Session(file)
        frame = census.load("test").head(max(size * count for size, count in SIZES.items()))
        columns = {
            name: frame[name].fillna("") if dtype is object else frame[name].astype(float)
            for name, dtype in session.dtypes.items()
        }
        listed = {name: column.tolist() for name, column in columns.items()}
        rows = [dict(zip(listed, values, strict=True)) for values in zip(*listed.values(), strict=True)]
        return cls(folder, rows, session)

    def requests(self, size: int) -> list[list[dict[str, Any]]]:
        """Returns the rows of each request of a size."""
        return [self.rows[start : start + size] for start in range(0, size * SIZES[size], size)]

    def body(self, rows: list[dict[str, Any]], dialect: Dialect) -> bytes:
        """Returns a request in JSON."""
        if dialect == "instances":
            return json.dumps({"instances": rows}).encode()
        tensors = [
            {"name": name, "shape": [len(rows), 1], "datatype": _DATATYPES[dtype], "data": [row[name] for row in rows]}
            for name, dtype in self.session.dtypes.items()
        ]
        return json.dumps({"inputs": tensors}).encode()

    def check(
        self, rows: list[dict[str, Any]], answer: Any, dialect: Dialect, outputs: Sequence[str], name: str
    ) -> None:
        """Compares a server's answer with ONNX Runtime's.

        Args:
            rows: of the request.
            answer: what came back, parsed.
            dialect: of both.
            outputs: what it should hold.
            name: the server's, for the message.

        Raises:
            SystemExit: a probability or a logit differs.
        """
        expected = self.session.answers(rows)
        try:
            for output in outputs:
                found = np.array(_column(answer, output, dialect), np.float64)
                wanted = np.array([each[output] for each in expected])
                if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
                    raise SystemExit(f"{name} answers {output} = {found[:3]}... Expected: {wanted[:3]}...")
        except (LookupError, TypeError) as error:
            raise SystemExit(f"{name} answers {str(answer)[:300]}, which is not understood: {error!r}") from None


def _column(answer: Any, output: str, dialect: Dialect) -> list[float]:
    if dialect == "instances":
        return [each[output] for each in answer["predictions"]]
    return next(tensor["data"] for tensor in answer["outputs"] if tensor["name"] == output)


def _python(module: str, *arguments: str) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
