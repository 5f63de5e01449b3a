"""Frames, files of them in every format, and the schema of a small run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfwd.config.config import Config
from tfwd.data import Rows, Source, resolve_schema


@pytest.fixture
def frame() -> pd.DataFrame:
    """1,000 rows whose text form is the same in CSV and in Parquet."""
    random = np.random.default_rng(0)
    words = ["a", "b,c", 'd"e', "città", "年齢", "two\nlines", " space ", "00701", None]
    return pd.DataFrame(
        {
            "word": [words[index] for index in random.integers(0, len(words), 1000)],
            "user id": [f"u{index}" for index in random.integers(0, 300, 1000)],
            "number": np.where(random.random(1000) < 0.1, np.nan, random.normal(size=1000).round(6)),
            "row": np.arange(1000),
            "y": random.integers(0, 2, 1000),
        }
    )


@pytest.fixture
def small_config() -> Config:
    """Two categories, a number, a 0/1 label."""
    return configured(
        [
            {"type": "categorical", "column": "word", "embedding": 2},
            {"type": "categorical", "column": "user id"},
            {"type": "numeric", "column": "number"},
            {"type": "numeric", "column": "row"},
        ]
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Any]:
    """Writes a frame in a format and says what `Source.open` is given."""

    def to(frame: pd.DataFrame, form: str) -> Any:
        path = tmp_path / f"data.{form}"
        if form == "frame":
            return frame
        if form == "parquet":
            frame.to_parquet(path)
        elif form == "folder":
            path.mkdir()
            for index in range(4):
                frame.iloc[index * 250 : (index + 1) * 250].to_parquet(path / f"part-{index}.parquet")
            (path / "_SUCCESS").touch()
        else:
            frame.to_csv(path, index=False, sep="\t" if "tsv" in form else ",")
        return str(path)

    return to


def configured(features: list[dict[str, Any]], task: str = "binary", **data: Any) -> Config:
    """A configuration of the features and the data section, with heads for where they go."""
    wide = [f for f in features if f.get("wide", f["type"] != "numeric")]
    return Config.of(
        {
            "task": task,
            "data": {"label": "y", **data},
            "features": features,
            "model": {"heads": ["wide"] if len(wide) == len(features) else ["wide", "deep"] if wide else ["deep"]},
        }
    )


@pytest.fixture
def configure() -> Callable[..., Config]:
    """`configured`, for tests."""
    return configured


@pytest.fixture
def rows_of(small_config: Config) -> Callable[..., Rows]:
    """Rows of data under the small configuration, or another."""

    def make(data: Any, config: Config | None = None, classes: tuple[str, ...] = ("0", "1"), **options: Any) -> Rows:
        config = config or small_config
        source = Source.open(data, csv=config.data.csv, filter=config.data.filter)
        return Rows(source, resolve_schema(config, source), **options).with_classes(classes)

    return make
