"""A small census, a small configuration of it, and one run trained on it, shared by the tests of training."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from made_once import made

from tfwd.config.config import Config
from tfwd.datasets import census
from tfwd.run import Run
from tfwd.training.fit import fit

FEATURES: list[dict[str, Any]] = [
    {"type": "numeric", "column": "age", "wide": True},
    {"type": "numeric", "column": "hours_per_week", "normalization": ["zscore", "quantile"]},
    {"type": "bucketized", "column": "age", "boundaries": [25.5, 35.5, 50.5], "embedding": 4},
    {"type": "categorical", "column": "education", "embedding": 4},
    {"type": "categorical", "column": "occupation", "one_hot": True},
    {"type": "categorical", "column": "marital_status", "embedding": 4},
    {"type": "cross", "keys": ["education", "occupation"], "bins": 50},
    {"type": "cross", "keys": ["age_buckets", "marital_status"], "bins": "exact"},
]


@functools.cache
def frame(split: str = "train", rows: int = 2000) -> pd.DataFrame:
    """The first rows of the census, numbered, with a weight."""
    table = census.load(split).head(rows).copy()  # type: ignore[arg-type]
    table["id"] = range(len(table))
    table["weight"] = 1.0 + table["education_num"] / 10
    return table


def values(data: dict[str, Any] | None = None, **train: Any) -> dict[str, Any]:
    """A configuration as a nested dict, for `train` and `data` as they are given."""
    return {
        "task": "binary",
        "data": {"label": {"column": "income", "positive": ">50K"}, "validation_fraction": 0.2, **(data or {})},
        "features": FEATURES,
        "model": {"hidden_units": [16, 8], "dropout": 0.3, "embedding_dropout": 0.1},
        "train": {"epochs": 2, "batch_size": 100, "steps_per_execution": 4, "tensorboard": False, **train},
        "export": {"formats": []},
    }


def config(data: dict[str, Any] | None = None, **train: Any) -> Config:
    """`values` as a configuration."""
    return Config.of(values(data, **train))


def small(data: dict[str, Any] | None = None, **train: Any) -> dict[str, Any]:
    """`values` with a number, a category, a one-hot and a cross alone and one layer, which are built sooner."""
    options = {**values(data, **train), "features": [FEATURES[index] for index in (0, 3, 4, 6)]}
    options["model"] = {**options["model"], "hidden_units": [8]}
    return options


@functools.cache
def files() -> dict[str, Path]:
    """The small census as `train.csv`, `test.csv` and `test.parquet`."""

    def make(folder: Path) -> None:
        frame().to_csv(folder / "train.csv", index=False)
        frame("test", 700).to_csv(folder / "test.csv", index=False)
        frame("test", 700).to_parquet(folder / "test.parquet", index=False)

    folder = made("census", make)
    return {name: folder / name for name in ("train.csv", "test.csv", "test.parquet")}


@functools.cache
def trained() -> Run:
    """A run on the files, with key, weight, test rows and TensorBoard. Whoever changes it takes `copy_of_trained`."""
    places = files()
    data = {"train": str(places["train.csv"]), "test": str(places["test.csv"]), "key": ["id"], "weight": "weight"}
    return Run.open(made("census-run", lambda folder: fit(config(data, tensorboard=True), folder / "run")) / "run")


def copy_of_trained(path: Path) -> Path:
    """A copy of `trained`, to be damaged."""
    shutil.copytree(trained().path, path)
    return path
