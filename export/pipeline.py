"""What a training run exports when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export import onnx, savedmodel
from export.conversion import HashedFeatureError
from tfwd.console import console
from tfwd.run import Run


def export_run(run: Run, rows: Mapping[str, Any] | None = None) -> list[Path]:
    """Exports a run in the formats of its configuration, to `RUN/export`.

    A model that ONNX can take only with fingerprints for inputs is left out there, with a message.

    Args:
        run: a finished run.
        rows: real raw rows by input, for the warm-up and the comparison.

    Returns:
        What was written.
    """
    folder, config = run.path / "export", run.config.export
    written: list[Path] = []
    if "savedmodel" in config.formats:
        written.append(savedmodel.save(run.model, folder, name=config.name, rows=rows))
    if "onnx" in config.formats:
        try:
            written.append(onnx.save(run.model, folder / f"{config.name}.onnx", rows=rows))
        except HashedFeatureError as error:
            console.print(f"No ONNX file: {error}", markup=False)
    return written
