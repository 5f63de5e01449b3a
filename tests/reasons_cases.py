"""A small run that ranks, with features of either side whose names begin alike, and its catalogue."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from made_once import made

from tfwd.config.config import Config
from tfwd.run import Run
from tfwd.training.fit import fit

# An item's column with an equals sign.
ITEM = "the=item"


def items() -> pd.DataFrame:
    """One row an item, titled by a letter."""
    return pd.DataFrame({ITEM: list("012345"), "name": list("abcdef"), "price": 0.1, "age_of_item": [0.0, 0.9] * 3})


@functools.cache
def trained() -> Run:
    """A run on a Parquet file, without its catalogue. Whoever changes it takes a copy."""

    def make(folder: Path) -> None:
        generator = np.random.default_rng(0)
        rows = pd.DataFrame(
            {
                "user": generator.integers(0, 5, 80).astype(str),
                ITEM: generator.integers(0, 6, 80).astype(str),
                "price": generator.random(80),
                "price_limit": generator.random(80) + 3.0,
                "age": generator.integers(20, 60, 80).astype(float),
                "age_of_item": generator.random(80),
            }
        )
        rows["label"] = (rows["price"] < 0.5).astype(int)
        rows["name"] = "Item No. " + rows[ITEM]
        rows.to_parquet(folder / "train.parquet", index=False)
        two = {"normalization": ["zscore", "minmax"], "missing_indicator": True}
        config = {
            "data": {"train": str(folder / "train.parquet"), "label": "label"},
            "features": [
                {"type": "categorical", "column": ITEM},
                {"type": "numeric", "column": "price", "wide": True, "deep": False, **two},
                {"type": "numeric", "column": "price_limit", "wide": True, "deep": False, **two},
                {"type": "numeric", "column": "age", "wide": True, "deep": False},
                {"type": "numeric", "column": "age_of_item", "wide": True, "deep": False},
            ],
            "model": {"heads": ["wide"]},
            "train": {"epochs": 2, "batch_size": 8, "tensorboard": False},
            "export": {"formats": []},
            "ranking": {"user": "user", "item": ITEM, "title": "name", "item_columns": ["price", "age_of_item"]},
        }
        fit(Config.of(config), folder / "run")

    return Run.open(made("reasons", make) / "run")
