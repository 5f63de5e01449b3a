"""A run whose columns, categories, label and classes are what an attacker would write, with every kind of input."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from made_once import made

from tfwd.analysis.analyze import analyze
from tfwd.config.config import Config
from tfwd.model.build import build_model
from tfwd.model.saving import save_model
from tfwd.run import Run
from tfwd.training.splits import open_splits

COLUMN = "<img src=x onerror=document.title='hurt'>"
LABEL = "\"><script>document.title='hurt'</script>"
VALUES = (
    'a "quoted" value',
    "it's",
    "<b>bold</b>",
    "${document.title='hurt'}",
    "{{value}}",
    "a&amp;b=c&d",
    "日本語 🦄",
    "50%",
    "a+b, c; d",
    "=1+1",
    "(missing)",
)
CATEGORIES = 30_000

FEATURES: list[dict[str, Any]] = [
    {"type": "categorical", "column": COLUMN, "name": "image", "embedding": 4},
    {"type": "categorical", "column": "city", "vocabulary_file": "cities.txt"},
    {"type": "categorical", "column": "url", "hash_bins": 50},
    {"type": "categorical", "column": "level", "identity": 5, "embedding": 2},
    {"type": "categorical", "column": "tags", "max_length": 4, "weights": "tag_weights", "embedding": 4},
    {"type": "numeric", "column": "price", "wide": True, "normalization": "quantile"},
    {"type": "numeric", "column": "point", "shape": 2},
    {"type": "bucketized", "column": "age", "boundaries": [30.0, 50.0]},
    {"type": "datetime", "column": "seen", "parts": ["weekday"], "age_in_days": "2024-06-30"},
    {"type": "cross", "keys": ["image", "age_buckets"], "bins": 100},
]


@functools.cache
def frame(rows: int = 400) -> pd.DataFrame:
    """Rows of all kinds of values, missing ones among them."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame({COLUMN: generator.choice(VALUES, rows), "age": generator.integers(18, 70, rows)})
    table["city"] = [f"city {number}" for number in generator.integers(0, CATEGORIES, rows)]
    table["url"] = [f"https://example.org/{number}" for number in range(rows)]
    table["level"] = generator.integers(0, 5, rows)
    lengths = generator.integers(0, 4, rows)
    table["tags"] = [list(generator.choice(VALUES, size)) for size in lengths]
    table["tag_weights"] = [list(generator.random(size).round(2)) for size in lengths]
    table["price"] = generator.random(rows).round(3)
    table["point"] = [list(point) for point in generator.normal(size=(rows, 2)).round(2)]
    start = int(np.datetime64("2024-01-01", "s").astype(np.int64))
    table["seen"] = (start + generator.integers(0, 150 * 86_400, rows)).astype("datetime64[s]")
    table.loc[generator.random(rows) < 0.1, ["price", COLUMN]] = None
    table[LABEL] = np.where(table[COLUMN].isin(VALUES[:4]) ^ (table["age"] > 50), "<i>yes</i>", "no")
    return table


@functools.cache
def hostile() -> Run:
    """The run, on a Parquet file, as an older version left it, with drawn weights, which are quick."""

    def make(folder: Path) -> None:
        frame().to_parquet(folder / "train.parquet", index=False)
        cities = folder / "cities.txt"
        cities.write_text("\n".join(f"city {number}" for number in range(CATEGORIES)), encoding="utf-8")
        features = [{**one, "vocabulary_file": str(cities)} if "vocabulary_file" in one else one for one in FEATURES]
        values = {
            "data": {"train": str(folder / "train.parquet"), "label": {"column": LABEL, "positive": "<i>yes</i>"}},
            "features": features,
            "model": {"hidden_units": [8]},
        }
        config = Config.of(values)
        splits = open_splits(config)
        statistics = analyze(splits.fit, config)
        run = Run.create(folder / "run", config)
        run.save_statistics(statistics)
        model = build_model(config, statistics, splits.with_classes(statistics.label.classes).schema)
        generator = np.random.default_rng(0)
        for variable in model.ranker.trainable_variables:
            variable.assign(generator.normal(scale=0.3, size=variable.shape))
        save_model(model, run.path / "model.keras")
        run.finish()

    return Run.open(made("hostile-page", make) / "run")
