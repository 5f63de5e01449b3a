"""A regression and a multi-class task on real data, by a YAML file alone, beside scikit-learn on the same rows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import tfwd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

DIAMONDS = """
task: regression
data: {train: train.csv, test: test.csv, label: price}
features:
  - {type: numeric, column: carat, normalization: [log, quantile]}
  - {type: numeric, column: depth}
  - {type: numeric, column: table}
  - {type: numeric, column: x}
  - {type: numeric, column: y}
  - {type: numeric, column: z}
  - {type: bucketized, column: carat, quantiles: 50}
  - {type: categorical, column: cut, one_hot: true}
  - {type: categorical, column: color, one_hot: true}
  - {type: categorical, column: clarity, one_hot: true}
  - {type: cross, keys: [carat_buckets, clarity], bins: exact}
  - {type: cross, keys: [carat_buckets, color], bins: exact}
model: {hidden_units: [64, 32]}
train:
  epochs: 3
  batch_size: 256
  deep_optimizer: {name: lazy_adam, learning_rate: {schedule: cosine, start: 3e-3}}
export: {formats: []}
"""
PENGUINS = """
task: multiclass
data: {train: train.csv, test: test.csv, label: species, csv: {null: [NA]}}
features:
  - {type: numeric, column: bill_length_mm, wide: true}
  - {type: numeric, column: bill_depth_mm, wide: true}
  - {type: numeric, column: flipper_length_mm}
  - {type: numeric, column: body_mass_g, missing_indicator: true}
  - {type: categorical, column: island}
  - {type: categorical, column: sex, embedding: 4}
  - {type: cross, keys: [island, sex], bins: exact}
model: {hidden_units: [16]}
train: {epochs: 4, batch_size: 16, deep_optimizer: {name: lazy_adam, learning_rate: 2e-2}}
export: {formats: []}
"""


def packaged(package: str, path: str) -> pd.DataFrame:
    """A table that a package ships, without importing the package."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return pd.read_csv(Path(found.origin).parent / path, keep_default_na=False, dtype=str)


def split(table: pd.DataFrame, folder: Path, test: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Shuffled rows in two files."""
    shuffled = table.sample(frac=1.0, random_state=0)
    parts = shuffled.iloc[test:], shuffled.iloc[:test]
    for part, name in zip(parts, ("train.csv", "test.csv"), strict=True):
        part.to_csv(folder / name, index=False)
    return parts


def predictions(folder: Path, text: str, **read: Any) -> pd.DataFrame:
    """Trains and predicts on the command line."""
    (folder / "config.yaml").write_text(text)
    assert tfwd("train", "--config", folder / "config.yaml", "--output", folder / "run") == 0
    assert tfwd("predict", folder / "run", "--data", folder / "test.csv", "--output", folder / "answers.csv") == 0
    return pd.read_csv(folder / "answers.csv", **read)


@pytest.mark.long
def test_the_price_of_a_diamond(tmp_path: Path) -> None:
    """53,940 diamonds (ggplot2's): R squared of 0.980 was reached."""
    train, test = split(packaged("plotnine", "data/diamonds.csv"), tmp_path, test=8000)
    found = r2_score(test["price"].astype(float), predictions(tmp_path, DIAMONDS)["prediction"])
    categories, numbers = ["cut", "color", "clarity"], ["carat", "depth", "table", "x", "y", "z"]
    encoder = make_column_transformer((OrdinalEncoder(), categories), ("passthrough", numbers))
    trees = make_pipeline(encoder, HistGradientBoostingRegressor(random_state=0))
    trees.fit(train[categories].join(train[numbers].astype(float)), train["price"].astype(float))
    by_trees = r2_score(test["price"].astype(float), trees.predict(test[categories].join(test[numbers].astype(float))))
    assert found >= 0.975
    assert found >= by_trees - 0.01


@pytest.mark.long
def test_the_species_of_a_penguin(tmp_path: Path) -> None:
    """344 penguins (Gorman et al. 2014), some of unknown sex or size, written as NA."""
    train, test = split(packaged("palmerpenguins", "data/penguins.csv"), tmp_path, test=100)
    assert (train == "NA").any().sum() >= 5
    answers = predictions(tmp_path, PENGUINS)
    species = ["Adelie", "Chinstrap", "Gentoo"]
    assert list(answers.columns) == [*(f"probability_{name}" for name in species), "predicted"]
    np.testing.assert_allclose(answers[[f"probability_{name}" for name in species]].sum(axis=1), 1.0, atol=1e-5)
    found = accuracy_score(test["species"], answers["predicted"])
    numbers = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    encoder = make_column_transformer(
        (OneHotEncoder(), ["island", "sex"]), (make_pipeline(SimpleImputer(), StandardScaler()), numbers)
    )
    baseline = make_pipeline(encoder, LogisticRegression(max_iter=1000))
    inputs = [part.replace("NA", np.nan).astype(dict.fromkeys(numbers, float)) for part in (train, test)]
    baseline.fit(inputs[0], train["species"])
    assert found >= 0.97
    assert found >= accuracy_score(test["species"], baseline.predict(inputs[1])) - 0.02
