"""The model that the benchmarks of scoring share, in all its forms."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tfwd
from benchmarks import throughput
from benchmarks.throughput import BATCH
from export.onnx import writer as onnx
from export.savedmodel import writer as savedmodel
from tfwd.datasets import clicks
from tfwd.training.stream import StreamedRows

STEPS = 64


@dataclasses.dataclass(frozen=True)
class Scored:
    """Clicks, and the work of `benchmarks.throughput` trained on them for some steps.

    Attributes:
        rows: the Parquet file.
        model: as it is in memory.
        keras: `.keras` file.
        saved: SavedModel.
        onnx: ONNX file.
    """

    rows: Path
    model: tfwd.WideDeep
    keras: Path
    saved: Path
    onnx: Path


def prepare(folder: Path, rows: int, split: bool = False) -> Scored:
    """Writes the clicks and trains, saves and exports the model; `split`: also as two ONNX files."""
    path = folder / "clicks.parquet"
    clicks.write(path, rows)
    work = throughput.prepare(str(path))
    model = work.model
    streamed = StreamedRows(model, work.rows, BATCH, 0, 100_000, None)
    model.fit(streamed.steps(0, min(STEPS, streamed.steps_per_epoch)), verbose=0)
    model.save(folder / "model.keras")
    return Scored(
        path,
        model,
        folder / "model.keras",
        savedmodel.save(model, folder, name="saved"),
        onnx.save(model, folder / "model.onnx", split=split),
    )
