"""A run on the small census with four features and without a cross, and its exports, which take a third of the time."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pytest
from census_cases import files
from made_once import made

import tfwd
from tfwd.run import Run

FEATURES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "education", "embedding": 4},
    {"type": "categorical", "column": "occupation"},
    {"type": "numeric", "column": "age", "wide": True},
    {"type": "numeric", "column": "hours_per_week"},
]


@functools.cache
def trained() -> Run:
    """With key, weight and test rows. Whoever changes it takes `copy_of_trained`."""
    places = files()

    def make(folder: Path) -> None:
        config = {
            "task": "binary",
            "data": {
                "train": str(places["train.csv"]),
                "test": str(places["test.csv"]),
                "label": {"column": "income", "positive": ">50K"},
                "key": ["id"],
                "weight": "weight",
                "validation_fraction": 0.2,
            },
            "features": FEATURES,
            "model": {"hidden_units": [8]},
            "train": {"epochs": 3, "batch_size": 64, "tensorboard": False},
            "export": {"formats": []},
        }
        tfwd.fit(tfwd.Config.of(config), folder / "run")

    return Run.open(made("small-run", make) / "run")


def copy_of_trained(path: Path) -> Path:
    """A copy of `trained`, to be damaged."""
    shutil.copytree(trained().path, path)
    return path


@functools.cache
def exported() -> Path:
    """A copy of `trained` whose ONNX file and SavedModel lie where no place was given for them."""

    def make(folder: Path) -> None:
        from export.parity import compare as parity

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parity, "HOSTILE_ROWS", 200)
            run = Run.open(copy_of_trained(folder / "run"))
            # Of a run, and of the folder of one.
            tfwd.export_onnx(run)
            tfwd.export_savedmodel(run.path)

    return made("small-run-exports", make) / "run"
