"""What a training run exports when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export import onnx, savedmodel
from export.conversion import HashedFeatureError
from tfwd.console import console
from tfwd.errors import DataError
from tfwd.run import Run

# Rows of a run's own data on which its exports are compared with its model, beside made-up ones.
REAL_ROWS = 20_000


def real_rows(run: Run) -> Mapping[str, Any] | None:
    """Raw rows of a run's data by input, at most `REAL_ROWS`; None where there are none, which is said."""
    try:
        return run.sample(REAL_ROWS)
    except DataError as error:
        # A run may outlive the data that it was trained on.
        console.print(f"Compared on made-up rows only: {error}", markup=False)
        return None


def export_run(run: Run) -> list[Path]:
    """Exports a run in the formats of its configuration, to `RUN/export`.

    A model that ONNX can take only with fingerprints for inputs is left out there, with a message.

    Args:
        run: a finished run.

    Returns:
        What was written.
    """
    folder, config, rows = run.path / "export", run.config.export, real_rows(run)
    written: list[Path] = []
    if "savedmodel" in config.formats:
        written.append(savedmodel.save(run.model, folder, name=config.name, rows=rows))
    if "onnx" in config.formats:
        try:
            written.append(onnx.save(run.model, folder / f"{config.name}.onnx", rows=rows))
        except HashedFeatureError as error:
            console.print(f"No ONNX file: {error}", markup=False)
    return written
