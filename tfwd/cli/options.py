"""Options that several commands share, and what they do with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfwd.errors import ConfigError
from tfwd.utils.console import load_tensorflow

if TYPE_CHECKING:
    from tfwd.inference.scorer import Scorer


RunPath = Annotated[str, typer.Argument(help="A run directory, a .keras file, a SavedModel or an .onnx file.")]


DataPath = Annotated[str, typer.Option("--data", help="A CSV or Parquet file, a folder, a glob, or census:test.")]


Delimiter = Annotated[str | None, typer.Option(help="The delimiter of CSV data; by default as in training.")]


def refuse_own_input(output: Path, read: Iterable[str | Path]) -> None:
    """Refuses to write to a file that the command reads.

    Raises:
        ConfigError: the output is one of these files, under whatever name.
    """
    if output.exists() and any(Path(file).exists() and output.samefile(file) for file in read):
        raise ConfigError(f"{output} is what is read: choose another --output.")


def scorer_of(run: str, data: str, output: Path | None) -> Scorer:
    """Returns the scorer; missing or overwritten paths are refused before TensorFlow's import, which takes seconds."""
    from tfwd.data.files import find_files
    from tfwd.inference.load import existing, load_scorer

    path = existing(run)
    read = find_files(data)
    if output is not None:
        refuse_own_input(output, read)
    load_tensorflow()
    return load_scorer(path)
