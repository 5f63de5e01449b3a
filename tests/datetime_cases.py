"""Taxi rides with a moment of pickup and the day of booking, and a run on them."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from made_once import made

import tfwd
from tfwd.run import Run

FEATURES: list[dict[str, Any]] = [
    {
        "type": "datetime",
        "column": "pickup",
        "parts": ["year", "weekday", "hour"],
        "age_in_days": "2024-06-30",
        "cyclic": ["hour", "month"],
        "embedding": 2,
    },
    {
        "type": "datetime",
        "column": "booked on",
        "name": "booked",
        "format": "%d/%m/%Y",
        "parts": ["weekend"],
        "age_in_days": "pickup",
        "missing_indicator": True,
        "wide": False,
        "one_hot": True,
    },
    {"type": "categorical", "column": "city", "embedding": 2},
    {"type": "cross", "keys": ["pickup_weekday", "city"], "bins": "exact"},
]


@functools.cache
def frame(first: int, last: int, rows: int = 600) -> pd.DataFrame:
    """Rides of the years from `first` to `last`; the tip depends on the weekday and the hour. Some have no moment."""
    generator = np.random.default_rng(first)
    start, stop = (int(np.datetime64(f"{year}-01-01", "s").astype(np.int64)) for year in (first, last + 1))
    pickup = generator.integers(start, stop, rows).astype("datetime64[s]")
    days = generator.integers(0, 20, rows).astype("timedelta64[D]")
    table = pd.DataFrame({"pickup": pickup, "booked on": pd.Series(pickup - days).dt.strftime("%d/%m/%Y")})
    table["city"] = generator.choice(["Bern", "Köln", "Oslo"], rows)
    table["row"] = range(rows)
    evening = table["pickup"].dt.hour.between(17, 22)
    table["tip"] = (evening ^ (table["pickup"].dt.weekday >= 5) ^ (generator.random(rows) < 0.1)).astype(int)
    table.loc[generator.random(rows) < 0.03, "pickup"] = pd.NaT
    table.loc[generator.random(rows) < 0.03, "booked on"] = None
    return table


def values(train: str, **options: Any) -> dict[str, Any]:
    """A configuration for a file of rides."""
    return {
        "data": {"train": train, "label": "tip", "key": ["row"], "validation_fraction": 0.2},
        "features": FEATURES,
        "model": {"hidden_units": [4]},
        "train": {
            "epochs": 2,
            "batch_size": 64,
            "checkpoint_every": 4,
            "deterministic": True,
            "tensorboard": False,
            **options,
        },
        "export": {"formats": []},
    }


class Copies(keras.callbacks.Callback):
    """Copies a run at the begin of its second epoch, as a kill would leave it."""

    def __init__(self, run: Path, to: Path) -> None:
        super().__init__()
        self.run, self.to = run, to

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            shutil.copytree(self.run, self.to)


def _folder() -> Path:
    def make(folder: Path) -> None:
        frame(2019, 2021).to_csv(folder / "old.csv", index=False)
        frame(2021, 2023).to_csv(folder / "new.csv", index=False)
        frame(2021, 2023).to_parquet(folder / "new.parquet", index=False)
        copies = Copies(folder / "run", folder / "broken-off")
        tfwd.fit(tfwd.Config.of(values(str(folder / "old.csv"))), folder / "run", callbacks=[copies])

    return made("datetime-run", make)


@functools.cache
def file(name: str) -> Path:
    """`old.csv` of 2019 to 2021; `new.csv` and `new.parquet` of 2021 to 2023."""
    return _folder() / name


@functools.cache
def trained() -> Run:
    """A run on old.csv."""
    return Run.open(_folder() / "run")


def broken_off() -> Path:
    """What `trained` was at the begin of its second epoch. Whoever goes on with it takes a copy."""
    return _folder() / "broken-off"


@functools.cache
def exported() -> dict[str, Path]:
    """The run as a `.keras` file, a SavedModel and an ONNX file, which were compared as they were written."""

    def make(folder: Path) -> None:
        from export.parity import compare as parity

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parity, "HOSTILE_ROWS", 500)
            tfwd.export_savedmodel(trained(), folder / "saved")
            tfwd.export_onnx(trained(), folder / "rides.onnx", split=True)

    folder = made("datetime-exports", make)
    saved = next(folder.glob("saved/**/saved_model.pb")).parent
    return {"keras": trained().path / "model.keras", "savedmodel": saved, "onnx": folder / "rides.onnx"}
