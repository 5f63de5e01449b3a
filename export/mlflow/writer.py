"""MLflow models: a folder with the ONNX file, the code that answers rows of a DataFrame, a signature and an example.

`python -m export.mlflow RUN`
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx as onnx_format
import pandas as pd

from export.onnx import writer as onnx
from export.onnx.interface import fingerprints
from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values, ordinary_rows
from export.parity.rows import Rows, as_rows, part
from export.pipeline import Opened, opened, real_rows
from export.quiet import quiet
from tfwd.errors import ExportError
from tfwd.inference.load import load_scorer
from tfwd.inference.prediction import answer_table
from tfwd.inference.scorer import Scorer
from tfwd.model.wide_deep import WideDeep
from tfwd.run import Run
from tfwd.schema import FINGERPRINT_SUFFIX, MISSING_INTEGER, Input
from tfwd.utils.files import (
    disk_errors,
    folder_beside,
    hidden_folder,
    left_beside,
    left_folders,
    refuse_existing,
    remove,
)

PREDICTOR = Path(__file__).with_name("predictor.py")
# What the model needs where it is served, in the versions that it was checked with.
NEEDS = ("mlflow", "numpy", "onnxruntime", "pandas")
_EXAMPLES = 5
_COMPARED = 1_000
_TOLERANCE = 1e-6
# The largest whole number up to which a float holds each.
_EXACT = 2**53
_ONNX = "onnx"


def save(
    source: WideDeep | Run | str | Path,
    output: str | Path | None = None,
    *,
    fingerprint_inputs: bool = False,
    half_tables: bool = False,
    rows: Mapping[str, Any] | None = None,
) -> Path:
    """Writes an MLflow model. Before it appears, it is compared with its ONNX file, and that with the model.

    It answers a DataFrame with a DataFrame; see `export.mlflow.predictor.Predictor`. Its columns are those of the data:
    text, numbers and lists, with None, NaN or NA where a value is missing; a moment is datetime64, seconds since 1970
    or, if the data has it so, ISO 8601 text. The signature names the columns and leaves their types open, since MLflow
    refuses whole numbers in a column of floats, and a missing value among whole numbers.

    The model needs MLflow, ONNX Runtime, NumPy and pandas, but neither tfwd nor TensorFlow. It holds code
    (`predictor.py`) and no pickle.

    Args:
        source: a run, a run directory, a `.keras` file or a model.
        output: the folder to make; `RUN/export/NAME-mlflow`, or `export/wide_deep-mlflow` next to the file, if not
            given.
        fingerprint_inputs: whether hashed features enter as columns `<column>_fingerprint`; see `export.onnx.save`.
        half_tables: whether to store the tables in half precision.
        rows: real raw rows by input for the comparison and the example, in place of the run's.

    Returns:
        The folder.

    Raises:
        ExportError: MLflow is not installed, ONNX cannot compute a feature, or an answer differs.
        RunError: the folder exists already.
    """
    mlflow = import_mlflow()
    found = opened(source)
    folder = Path(output) if output is not None else found.place / f"{found.name}-mlflow"
    refuse_existing(folder, "Remove it, or choose another output (--output).")
    staging = folder.parent / "tmp"
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in (*left_beside(folder), *left_folders(staging, {_ONNX})):
        remove(left)
    with hidden_folder(staging) as own, folder_beside(folder) as made:
        prepared = _prepare(found, own, fingerprint_inputs, half_tables, rows)
        with quiet(), disk_errors(folder):
            mlflow.pyfunc.save_model(str(made), **prepared.described())
        prepared.check(mlflow.pyfunc.load_model(str(made)))
    return folder


def log(
    source: WideDeep | Run | str | Path,
    name: str = "model",
    *,
    registered_model_name: str | None = None,
    fingerprint_inputs: bool = False,
    half_tables: bool = False,
    rows: Mapping[str, Any] | None = None,
) -> Any:
    """Logs an MLflow model to the tracking server, for the active MLflow run if there is one; see `save`.

    Args:
        source: as for `save`.
        name: the model's name.
        registered_model_name: registers it too, as a new version of the registered model of this name.
        fingerprint_inputs: as for `save`.
        half_tables: as for `save`.
        rows: as for `save`.

    Returns:
        MLflow's `ModelInfo`; its `model_uri` is what `mlflow.pyfunc.load_model` and `mlflow models serve` take.

    Raises:
        ExportError: MLflow is not installed, ONNX cannot compute a feature, or an answer differs.
    """
    mlflow = import_mlflow()
    found = opened(source)
    with tempfile.TemporaryDirectory(prefix="tfwd-") as folder:
        made = Path(folder) / "model"
        prepared = _prepare(found, Path(folder), fingerprint_inputs, half_tables, rows)
        with quiet(), disk_errors(made):
            mlflow.pyfunc.save_model(str(made), **prepared.described())
        prepared.check(mlflow.pyfunc.load_model(str(made)))
        return mlflow.pyfunc.log_model(name=name, registered_model_name=registered_model_name, **prepared.described())


def _version(package: str) -> str:
    # Of MLflow itself, as its packages have other names too: mlflow-skinny.
    return str(import_mlflow().__version__) if package == "mlflow" else metadata.version(package)


def import_mlflow() -> ModuleType:
    """Imports MLflow, which reports its use to its vendor unless it is told not to before.

    Raises:
        ExportError: it is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        raise ExportError("MLflow is not installed. Install it with pip install 'tfwd[mlflow]'.") from None
    importlib.import_module("mlflow.pyfunc")
    module: ModuleType = mlflow
    return module


@dataclass(frozen=True)
class _Prepared:
    """An ONNX file to wrap.

    Attributes:
        file: the file, in a folder of its own.
        scorer: of the file.
        inputs: what the graph takes.
        rows: raw rows, real ones if there are any.
        hostile: made-up raw rows.
    """

    file: Path
    scorer: Scorer
    inputs: frozenset[str]
    rows: Rows
    hostile: Rows

    def described(self) -> dict[str, Any]:
        """Returns what MLflow's `save_model` and `log_model` take."""
        from mlflow.models import ModelSignature
        from mlflow.types.schema import AnyType, ColSpec, Schema

        example = self.frame(part(self.rows, 0, _EXAMPLES))
        answers = answer_table(self.scorer.schema, self.scorer.score(part(self.rows, 0, 1))).column_names
        columns = [ColSpec(AnyType(), name) for name in example.columns]
        outputs = [ColSpec("string" if name == "predicted" else "float", name) for name in answers]
        return {
            "python_model": str(PREDICTOR),
            "artifacts": {_ONNX: str(self.file.parent)},
            "signature": ModelSignature(inputs=Schema(columns), outputs=Schema(outputs)),
            "input_example": example,
            "pip_requirements": [f"{name}=={_version(name)}" for name in NEEDS],
            "metadata": {
                "tfwd_version": self.scorer.schema.version,
                "columns": {self._column(entry): _type(entry) for entry in self.scorer.schema.inputs},
            },
        }

    def frame(self, rows: Rows) -> pd.DataFrame:
        """Returns raw rows as a client has them: None and NA where a value is missing, lists without padding."""
        made: dict[str, Any] = {}
        for entry in self.scorer.schema.inputs:
            values = rows[entry.name]
            if entry.name not in self.inputs:
                values = fingerprints(values.ravel()).reshape(values.shape)
            if not entry.length:
                made[self._column(entry)] = _scalars(values)
            else:
                by = next((e.name for e in self.scorer.schema.inputs if e.column == entry.weighs), entry.name)
                lengths = np.full(len(values), values.shape[1]) if entry.fixed else _lengths(rows[by])
                made[self._column(entry)] = [row[:n].tolist() for row, n in zip(values, lengths, strict=True)]
        return pd.DataFrame(made)

    def check(self, model: Any) -> None:
        """Compares the answers of an MLflow model with those of the ONNX file.

        Raises:
            ExportError: one differs.
        """
        for kind, rows in {"row": self.rows, "hostile row": self.hostile}.items():
            expected = answer_table(self.scorer.schema, self.scorer.score(rows)).to_pandas()
            found = model.predict(self.frame(rows))
            for name in expected.columns:
                if name == "predicted":
                    # A probability at the threshold may fall on either side of it.
                    continue
                same = np.isclose(found[name], expected[name], rtol=_TOLERANCE, atol=_TOLERANCE)
                if not same.all():
                    row = int(np.argmin(same))
                    raise ExportError(
                        f"The MLflow model disagrees with its ONNX file on {kind} {row}: {name} is {found[name][row]}. "
                        f"Expected: {expected[name][row]}."
                    )

    def _column(self, entry: Input) -> str:
        return entry.column if entry.name in self.inputs else f"{entry.column}{FINGERPRINT_SUFFIX}"


def _prepare(
    found: Opened, folder: Path, fingerprint_inputs: bool, half_tables: bool, rows: Mapping[str, Any] | None
) -> _Prepared:
    model = found.model
    if rows is None and found.run is not None:
        rows = real_rows(found.run)
    file = onnx.save(
        model,
        folder / _ONNX / f"{found.name}.onnx",
        fingerprint_inputs=fingerprint_inputs,
        half_tables=half_tables,
        rows=rows,
    )
    known = known_values(model)
    given = as_rows(model.schema, rows) if rows is not None else ordinary_rows(model.schema, known, _COMPARED)
    return _Prepared(
        file,
        load_scorer(file),
        frozenset(entry.name for entry in onnx_format.load(str(file), load_external_data=False).graph.input),
        part(given, 0, _COMPARED),
        hostile_rows(model.schema, known, _COMPARED),
    )


def _scalars(values: np.ndarray) -> Any:
    """Returns a column; whole numbers that JSON's reader would round beside a missing one keep the number for it."""
    if values.dtype == object:
        return pd.Series([value or None for value in values], dtype=object)
    if values.dtype.kind == "i" and len(values) and abs(values[values != MISSING_INTEGER]).max(initial=0) <= _EXACT:
        return pd.array([None if value == MISSING_INTEGER else value for value in values.tolist()], "Int64")
    return values


def _lengths(values: np.ndarray) -> np.ndarray:
    """Returns how many values a row of a list has, up to the last that is not missing."""
    there = values != "" if values.dtype == object else ~np.isnan(values)
    if values.dtype.kind == "i":
        there = values != MISSING_INTEGER
    return np.asarray((there * np.arange(1, values.shape[1] + 1)).max(axis=1, initial=0))


def _type(entry: Input) -> str:
    if entry.moment is not None:
        return "datetime"
    return f"list of {entry.kind}" if entry.length else entry.kind
