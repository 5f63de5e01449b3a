"""`load_scorer`: loads a run directory, a `.keras` file, a SavedModel or an `.onnx` file as a scorer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfwd.data.reading import Reading
from tfwd.errors import RunError
from tfwd.inference.scorer import Scorer
from tfwd.inference.tensorflow_scorer import keras_scorer, saved_model_scorer
from tfwd.model.saving import load_model
from tfwd.run_folder.folder import RunFolder


def load_scorer(path: str | Path) -> Scorer:
    """Loads a run directory, a `.keras` file, a SavedModel directory or an `.onnx` file.

    Raises:
        RunError: the path is none of these, or was not made by tfwd.
    """
    path = existing(path)
    if path.suffix == ".onnx":
        from tfwd.inference.onnx_scorer import OnnxScorer

        scorer = OnnxScorer(path)
        return Scorer(scorer.schema, scorer.score, scorer.score_chunk, "onnx", scorer.reading)
    if path.suffix == ".keras":
        return keras_scorer(load_model(path))
    saved = _saved_model_folder(path)
    if saved is not None:
        return saved_model_scorer(saved)
    if (path / "run.json").is_file():
        return run_scorer(RunFolder.open(path))
    raise RunError(
        f"{path} is neither a run directory (run.json), a .keras file, a SavedModel (saved_model.pb) nor an .onnx file."
    )


def existing(path: str | Path) -> Path:
    """Returns the path if it exists.

    Raises:
        RunError: it does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"{path} does not exist. Give a run directory, a .keras file, a SavedModel or an .onnx file.")
    return path


def run_scorer(run: RunFolder) -> Scorer:
    """Returns the scorer of a run's best model, which reads files as the run's configuration says."""
    return dataclasses.replace(keras_scorer(run.model), reading=Reading.of(run.config))


def _saved_model_folder(path: Path) -> Path | None:
    """Returns the folder with saved_model.pb: the path itself, or its highest version."""
    if (path / "saved_model.pb").is_file():
        return path
    versions = [child for child in path.iterdir() if child.name.isdecimal()] if path.is_dir() else []
    for child in sorted(versions, key=lambda child: -int(child.name)):
        if (child / "saved_model.pb").is_file():
            return child
    return None
