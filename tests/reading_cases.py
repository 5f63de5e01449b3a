"""A run that reads its files in every way that a configuration can say, and the exports of it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_once import made

from export.onnx import writer as onnx
from export.parity import compare as parity
from export.savedmodel import writer as savedmodel
from tfwd.config.config import Config
from tfwd.run import Run
from tfwd.training.fit import fit

COLUMNS = {
    "year": r"regexp_extract(title, '\((\d{4})\)', 1)",
    "price": "cast(price as double) * 100",
    "dear": "case when price > 500 then 'yes' else 'no' end",
    "good": "rating >= 4",
}
"""Of another column, of itself, of a computed one, and the label."""

FEATURES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "movie", "embedding": 4},
    {"type": "categorical", "column": "city"},
    {"type": "categorical", "column": "year"},
    {"type": "categorical", "column": "dear"},
    {"type": "numeric", "column": "price", "wide": True},
]


def table(seed: int, rows: int) -> pd.DataFrame:
    """Raw rows, with columns that nothing reads."""
    generator = np.random.default_rng(seed)
    movie = generator.integers(0, 12, rows)
    return pd.DataFrame(
        {
            "user": generator.integers(0, 15, rows).astype(str),
            "movie": [f"m{number}" for number in movie],
            "title": [f"A; film ({1990 + number % 4})" for number in movie],
            "city": generator.choice(np.array(["Oslo", "Rome", None], object), rows),
            "price": (generator.random(rows) * 10).round(2),
            "rating": (generator.integers(1, 6, rows) + (movie % 3 == 0)).clip(1, 5),
            "note": [float("nan")] * rows,
        }
    )


def write(frame: pd.DataFrame, path: Path) -> Path:
    """A file in the dialect of the configuration, with a name that does not say what it is."""
    with path.open("w", encoding="utf-8") as file:
        file.write("written by a program\n")
        frame.to_csv(file, sep=";", na_rep="?", quotechar="'", index=False)
    return path


def values(folder: Path, **data: Any) -> dict[str, Any]:
    """A configuration as a nested dict."""
    return {
        "data": {
            "train": str(write(table(0, 400), folder / "train.data")),
            "test": str(write(table(1, 300), folder / "test.data")),
            "validation_fraction": 0.2,
            "format": "csv",
            "csv": {"delimiter": ";", "quote": "'", "escape": "'", "null": ["?"], "skip": 1},
            "columns": COLUMNS,
            "filter": "rating <> 3 and dear = 'yes'",
            "key": ["user", "year"],
            "label": "good",
            **data,
        },
        "features": FEATURES,
        "model": {"hidden_units": [8]},
        "train": {"epochs": 2, "batch_size": 32, "tensorboard": False},
        "export": {"formats": []},
        "ranking": {"user": "user", "item": "movie", "k": 3},
    }


@functools.cache
def trained() -> Run:
    """The run; its raw test rows are in `run.config.data.test`."""
    return Run.open(made("reading", lambda folder: fit(Config.of(values(folder)), folder / "run")) / "run")


@functools.cache
def kinds() -> dict[str, Path]:
    """The model as everything that scores."""
    run = trained()

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            # The tests compare what they read.
            patch.setattr(parity, "HOSTILE_ROWS", 50)
            onnx.save(run.model, folder / "wide_deep.onnx")
            savedmodel.save(run.model, folder, name="wide_deep")

    folder = made("reading-exports", make)
    exports = {"onnx": folder / "wide_deep.onnx", "savedmodel": folder / "wide_deep" / "1"}
    return {"run": run.path, "keras": run.path / "model.keras", **exports}
