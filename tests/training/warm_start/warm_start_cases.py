"""Two periods of events by one rule: of the second's items and users 30% are new, and 10% of the first's are gone."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from made_once import made

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.config import Config
from tfwd.data.rows import Rows
from tfwd.data.schema import resolve_schema
from tfwd.data.source import Source
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.optimizers.configured import joint_optimizer
from tfwd.run import Run
from tfwd.training.fit import fit
from tfwd.training.warm_start.carry import carry
from tfwd.training.warm_start.moves import carry_base
from tfwd.training.warm_start.origin import analyze_from, with_widths
from tfwd.training.warm_start.report import Report

GENRES, CITIES = ("Action", "Comedy", "Drama", "Horror"), ("Bern", "Köln", "Lyon", "Oslo", "Wien")
# First and last number of each period: 140 and 180 items, 100 and 129 users.
ITEMS = {"old": (0, 140), "new": (14, 194)}
USERS = {"old": (0, 100), "new": (10, 139)}

FEATURES: list[dict[str, Any]] = [
    {"type": "numeric", "column": "price", "wide": True, "normalization": ["zscore", "minmax"]},
    {"type": "bucketized", "column": "price", "quantiles": 6, "one_hot": True},
    {"type": "categorical", "column": "item", "embedding": 4},
    {"type": "categorical", "column": "user", "embedding": 4},
    {"type": "categorical", "column": "liked", "max_length": 3, "embedding": "item"},
    {"type": "categorical", "column": "genre", "embedding": 2},
    {"type": "categorical", "column": "city", "one_hot": True, "embedding": "auto"},
    {"type": "categorical", "column": "tag", "hash_bins": 20, "embedding": 2},
    {"type": "categorical", "column": "hour", "identity": 24, "dtype": "integer"},
    {"type": "cross", "keys": ["liked", "item"], "bins": 300},
    {"type": "cross", "keys": ["city", "genre"], "bins": "exact", "embedding": 4},
    {"type": "cross", "keys": ["price_buckets", "city"], "bins": "exact"},
    {"type": "cross", "keys": ["price_buckets", "hour"], "bins": 60},
]


@functools.cache
def frame(period: str, rows: int = 4000) -> pd.DataFrame:
    """Events of a period, the latest items and users rarer than the older ones."""
    effects = np.random.default_rng(0)
    item_effects, user_effects = 1.6 * effects.normal(size=194), 1.0 * effects.normal(size=139)
    mixed = effects.normal(size=(len(CITIES), len(GENRES)))
    generator = np.random.default_rng(1 if period == "old" else 2)

    def drawn(first: int, stop: int, size: Any) -> np.ndarray:
        numbers = np.arange(first, stop)
        weights = np.exp(-numbers / (stop / 4))
        return generator.choice(numbers, size, p=weights / weights.sum())

    item, user = drawn(*ITEMS[period], rows), drawn(*USERS[period], rows)
    # Every item and user of the period is there.
    item[: ITEMS[period][1] - ITEMS[period][0]] = np.arange(*ITEMS[period])
    user[: USERS[period][1] - USERS[period][0]] = np.arange(*USERS[period])
    places = generator.permutation(rows)
    item, user = item[places], user[places]
    liked = drawn(*ITEMS[period], (rows, 3))
    city = (user * 7 + period.startswith("new")) % len(CITIES)
    genre = item % len(GENRES)
    price = generator.lognormal(1.0 if period == "old" else 1.1, 0.5, rows).astype(np.float32)
    logits = item_effects[item] + user_effects[user] + mixed[city, genre] - 0.2 * price
    table = pd.DataFrame(
        {
            "item": [f"i{number}" for number in item],
            "user": [f"u{number}" for number in user],
            "liked": [[f"i{number}" for number in some[: 1 + number % 3]] for number, some in enumerate(liked)],
            "genre": [GENRES[number] for number in genre],
            "city": [CITIES[number] for number in city],
            "tag": [f"t{number}" for number in generator.integers(0, 40, rows)],
            "hour": generator.integers(0, 24, rows),
            "price": price,
            "label": (generator.random(rows) < 1 / (1 + np.exp(-logits))).astype(int),
        }
    )
    table.loc[generator.random(rows) < 0.02, "genre"] = None
    table.loc[generator.random(rows) < 0.02, "price"] = np.nan
    return table


def values(features: list[dict[str, Any]] | None = None, **train: Any) -> dict[str, Any]:
    """A configuration as a nested dict."""
    return {
        "data": {"label": "label", "validation_fraction": 0.2},
        "features": FEATURES if features is None else features,
        "model": {"hidden_units": [16, 8], "dropout": 0.1, "embedding_stddev": 0.05},
        "train": {
            "epochs": 2,
            "batch_size": 64,
            "evaluate_every": 20,
            "steps_per_execution": 5,
            "early_stopping": None,
            "tensorboard": False,
            "wide_optimizer": {"name": "sparse_ftrl", "l1_regularization_strength": 0.0001},
            "deep_optimizer": {"name": "lazy_adam", "learning_rate": 0.004},
            **train,
        },
        "export": {"formats": []},
    }


def config(**train: Any) -> Config:
    """`values` as a configuration."""
    return Config.of(values(**train))


class Start(keras.callbacks.Callback):
    """Saves the model before its first step."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_train_begin(self, logs: Any = None) -> None:
        self.model.save(self.path)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tfwd-warm-")


@functools.cache
def trained(name: str) -> Run:
    """The run `old`, one that goes on from it (`warm`) or one that does not (`cold`); its start is beside it.

    Whoever changes one takes a copy.
    """
    folder = Path(_folder().name)
    origin = trained("old").path if name == "warm" else None
    table = frame("old" if name == "old" else "new")
    start = Start(folder / f"{name}.keras")
    length: dict[str, Any] = {"evaluate_every": None} if name == "old" else {"max_steps": 40}
    return fit(config(**length), folder / name, train=table, callbacks=[start], warm_start_from=origin)


def start_of(name: str) -> Path:
    """The model of a run before its first step."""
    return trained(name).path.with_suffix(".keras")


SMALL: list[dict[str, Any]] = [
    {"type": "numeric", "column": "price", "wide": True},
    {"type": "categorical", "column": "item", "embedding": 4},
    {"type": "categorical", "column": "city", "one_hot": True},
    {"type": "cross", "keys": ["item", "city"], "bins": 100},
]


def small(features: list[dict[str, Any]] | None = None, **train: Any) -> dict[str, Any]:
    """A configuration of a few features, whose dropout would show that a resumed training is another."""
    options = {"epochs": 1, "evaluate_every": None, "cache": "ids", **train}
    found = values(SMALL if features is None else features, **options)
    found["model"] = {"hidden_units": [8, 4], "dropout": 0.1}
    return found


def small_frame(period: str) -> pd.DataFrame:
    """Few rows of a period, with a column that says nothing and a label of three classes."""
    table = frame(period).head(1000).copy()
    table["constant"] = 3.0
    table["grade"] = ["abc"[number % 3] for number in table["item"].str[1:].astype(int)]
    return table


@functools.cache
def small_run(task: str = "binary") -> Run:
    """A run of `small` on the old period, that of classes with two features. Whoever changes it takes a copy."""

    def make(folder: Path) -> None:
        changed = small(deep_optimizer={"name": "lazy_adam", "learning_rate": 0.01})
        if task == "multiclass":
            data = {"label": "grade", "validation_fraction": 0.2}
            changed |= {"task": task, "data": data, "features": SMALL[:2]}
        fit(Config.of(changed), folder / "run", train=small_frame("old"))

    return Run.open(made(f"warm-start-{task}", make) / "run")


def tower(units: int = 8) -> keras.Sequential:
    """A tower of your own, whose layers Keras calls otherwise each time."""
    layers = [keras.layers.Dense(units, activation="relu"), keras.layers.Dropout(0.1), keras.layers.Dense(8)]
    return keras.Sequential([*layers, keras.layers.Dense(8)])


@functools.cache
def tower_run() -> Run:
    """A run of `small` with two features on the old period, with such a tower. Whoever changes it takes a copy."""
    return fit(
        Config.of(small(SMALL[:2])), Path(_folder().name) / "small-tower", train=small_frame("old"), tower=tower()
    )


def begun(
    values: dict[str, Any], table: pd.DataFrame, origin: Run, tower: keras.layers.Layer | None = None
) -> tuple[WideDeep, FeatureStatistics, Report]:
    """A model that goes on from a run, before its first step."""
    config = Config.of(values)
    source = Source.open(table)
    rows = Rows(source, resolve_schema(config, source), split="train", fraction=0.2)
    config = with_widths(config, origin)
    statistics = analyze_from(rows, config, origin)
    schema = rows.with_classes(statistics.label.classes).schema
    keras.utils.set_random_seed(0)
    model = build_model(config, statistics, schema, tower)
    carry_base(model, origin.model)
    model.compile(joint_optimizer(config, 100))
    model.optimizer.build(model.trainable_variables)
    old = origin.model
    report = carry(model, config, statistics, origin)
    vars(origin)["model"] = old  # which `carry` lets go
    return model, statistics, report


def scores(model: WideDeep, table: pd.DataFrame) -> np.ndarray:
    """The logits of some rows."""
    rows = Rows(Source.open(table), model.schema, labelled=False)
    return keras_scorer(model).score(next(rows.batches(len(table))).inputs)["logit"]
