"""Reasons are told by which feature makes a number, not by how its name begins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tfwd.config import Config
from tfwd.recommend.recommender import Recommender
from tfwd.run import Run
from tfwd.training import fit

ITEM = "the=item"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Features of either side whose names begin alike, and an item's column with an equals sign."""
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
    two = {"normalization": ["zscore", "minmax"], "missing_indicator": True}
    config = {
        "data": {"label": "label"},
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
    rows["name"] = "Item No. " + rows[ITEM]
    return fit(Config.of(config), tmp_path_factory.mktemp("reasons") / "run", train=rows)


@pytest.fixture(scope="module")
def reasons(run: Run) -> list[str]:
    items = pd.DataFrame({ITEM: list("012345"), "name": list("abcdef"), "price": 0.1, "age_of_item": [0.0, 0.9] * 3})
    user = pa.table({"user": ["1"], "price_limit": [9.0], "age": [59.0]})
    return Recommender(run, items).reasons(user, list("012345"), count=50)


def test_what_the_request_brings_is_no_reason(run: Run, reasons: list[str]) -> None:
    weights = run.wide_weights(nonzero=False).set_index("name")["weight"]
    of_user = {"price_limit_zscore", "price_limit_minmax", "price_limit_missing", "age"}
    assert of_user <= set(weights.index)
    assert (weights[[*of_user]] != 0).any()
    shown = {part.rsplit(" ", 1)[0] for text in reasons for part in text.split("; ") if part}
    assert {"price_zscore", "price_minmax", "age_of_item"} & shown
    assert not of_user & shown


def test_an_item_has_its_title_whatever_its_column_is_called(reasons: list[str]) -> None:
    shown = {part.rsplit(" ", 1)[0] for text in reasons for part in text.split("; ") if part.startswith(ITEM)}
    assert shown
    assert shown <= {f"{ITEM}={title}" for title in "abcdef"}
