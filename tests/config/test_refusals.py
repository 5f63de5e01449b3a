"""What a configuration refuses, and that it says in one line where, what was received and what would be right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tfwd.config.config import Config
from tfwd.errors import ConfigError

BASE: dict[str, Any] = {
    "data": {"train": "x.csv", "label": "y"},
    "features": [
        {"type": "numeric", "column": "age", "wide": True},
        {"type": "categorical", "column": "city", "embedding": 4},
        {"type": "categorical", "column": "zip", "hash_bins": 9},
        {"type": "bucketized", "column": "age", "quantiles": 4},
    ],
}


def of(*extra_features: Any, **sections: Any) -> Config:
    """BASE with further features, and other or further sections."""
    values = {**copy.deepcopy(BASE), **sections}
    values["features"] = [*values["features"], *extra_features]
    return Config.of(values)


def numeric(**options: Any) -> dict[str, Any]:
    return {"type": "numeric", "column": "income", **options}


def category(**options: Any) -> dict[str, Any]:
    return {"type": "categorical", "column": "job", **options}


def cross(*keys: str, **options: Any) -> dict[str, Any]:
    return {"type": "cross", "keys": list(keys), "bins": 10, **options}


def data(**options: Any) -> dict[str, Any]:
    return {**BASE["data"], **options}


Refused = tuple[Callable[[], Config], str]
REFUSED: dict[str, Refused] = {
    # One line each: where, what was expected, what was received, what would be right.
    "unknown section": (lambda: of(modl={}), "modl: unknown key. Did you mean 'model'?"),
    "unknown key": (lambda: of(model={"dropuot": 1}), "model.dropuot: unknown key. Did you mean 'dropout'?"),
    "unknown key of a feature": (
        lambda: of(category(embeding=3)),
        "features[4].embeding: unknown key. Did you mean 'embedding'?",
    ),
    "unknown key, nothing near": (
        lambda: of(export={"zzzz": 1}),
        "export.zzzz: unknown key. There is: formats, name.",
    ),
    "missing key": (lambda: of(numeric(column=None)), "features[4].column: expected a string. Received: None."),
    "missing label": (lambda: of(data={"train": "x"}), "data.label: required key is missing."),
    "missing keys of a cross": (
        lambda: of({"type": "cross", "bins": 3, "name": "c"}),
        "features[4].keys: required key is missing.",
    ),
    "no type": (
        lambda: of({"column": "x"}),
        "features[4]: type says what the feature is: numeric, bucketized, categorical, cross or datetime. "
        "Received: {'column': 'x'}.",
    ),
    "wrong type": (
        lambda: of({"type": "categoricl", "column": "x"}),
        "features[4]: type says what the feature is: numeric, bucketized, categorical, cross or datetime. "
        "Received: {'type': 'categoricl', 'column': 'x'}. Did you mean 'categorical'?",
    ),
    "feature is a text": (lambda: of("age"), "features[4]: expected a section of keys. Received: 'age'."),
    "normalization": (
        lambda: of(numeric(normalization="lg")),
        "features[4].normalization: expected 'none', 'zscore', 'minmax', 'log', 'quantile' or a list. "
        "Received: 'lg'. Did you mean 'log'?",
    ),
    "one of several normalizations": (
        lambda: of(numeric(normalization=["log", "zscor"])),
        "features[4].normalization[1]: expected 'none', 'zscore', 'minmax', 'log' or 'quantile'. "
        "Received: 'zscor'. Did you mean 'zscore'?",
    ),
    "fill": (
        lambda: of(numeric(fill="mode")),
        "features[4].fill: expected 'median', 'mean' or a number. Received: 'mode'. Did you mean 'mean'?",
    ),
    "fill is not finite": (
        lambda: of(numeric(fill=float("nan"))),
        "features[4].fill: expected 'median', 'mean' or a finite number. Received: nan.",
    ),
    "embedding is a text": (
        lambda: of(category(embedding="big")),
        "features[4]: 'job' has embedding: big; expected a width, auto or a categorical feature. There is: city, zip.",
    ),
    "embedding is out of range": (
        lambda: of(category(embedding=0)),
        "features[4].embedding: expected 'auto' or at least 1. Received: 0.",
    ),
    "bins": (
        lambda: of(cross("city", "zip", bins="many")),
        "features[4].bins: expected 'exact' or a whole number. Received: 'many'.",
    ),
    "rate is a text": (
        lambda: of(train={"wide_optimizer": {"learning_rate": "fast"}}),
        "train.wide_optimizer.learning_rate: expected a number or a section of keys. Received: 'fast'.",
    ),
    "rate is negative": (
        lambda: of(train={"wide_optimizer": {"learning_rate": -1}}),
        "train.wide_optimizer.learning_rate: expected more than 0.0. Received: -1.",
    ),
    "schedule": (
        lambda: of(train={"deep_optimizer": {"learning_rate": {"schedule": "cosin", "start": 1}}}),
        "train.deep_optimizer.learning_rate.schedule: expected 'cosine', 'linear' or 'exponential'. "
        "Received: 'cosin'. Did you mean 'cosine'?",
    ),
    "key of a schedule": (
        lambda: of(train={"deep_optimizer": {"learning_rate": {"schedule": "cosine", "start": 1, "warm": 3}}}),
        "train.deep_optimizer.learning_rate.warm: unknown key. Did you mean 'warmup'?",
    ),
    "end of an exponential schedule": (
        lambda: of(train={"deep_optimizer": {"learning_rate": {"schedule": "exponential", "start": 1}}}),
        "train.deep_optimizer.learning_rate: an exponential schedule never reaches 0: give an end above 0, "
        "as in end: 0.01. Received: {'schedule': 'exponential', 'start': 1}",
    ),
    "optimizer": (
        lambda: of(train={"wide_optimizer": "ftr"}),
        "train.wide_optimizer: expected 'sparse_ftrl', 'lazy_adam', 'adagrad', 'rmsprop', 'sgd', 'ftrl' or 'adam'. "
        "Received: 'ftr'. Did you mean 'ftrl'?",
    ),
    "whole number": (lambda: of(train={"epochs": 1.5}), "train.epochs: expected a whole number. Received: 1.5."),
    "at least": (lambda: of(train={"epochs": 0}), "train.epochs: expected at least 1. Received: 0."),
    "less than": (lambda: of(model={"dropout": 1.0}), "model.dropout: expected less than 1.0. Received: 1.0."),
    "truth value": (
        lambda: of(train={"refit": "maybe"}),
        "train.refit: expected true or false. Received: 'maybe'.",
    ),
    "text": (
        lambda: of(data=data(weight=3)),
        "data.weight: expected a string. Received: 3. Did you mean '3', in quotes?",
    ),
    "list": (lambda: of(model={"hidden_units": 64}), "model.hidden_units: expected a list. Received: 64."),
    "length of a text": (
        lambda: of(data=data(csv={"quote": "''"})),
        "data.csv.quote: expected a string of at most 1 character. Received: \"''\".",
    ),
    "length of a list": (lambda: of(model={"heads": []}), "model.heads: expected a list of at least 1. Received: []."),
    "tower without layers": (
        lambda: of(model={"hidden_units": []}),
        "model.hidden_units: expected a list of at least 1. Received: [].",
    ),
    "head": (
        lambda: of(model={"heads": ["wid"]}),
        "model.heads[0]: expected 'wide' or 'deep'. Received: 'wid'. Did you mean 'wide'?",
    ),
    "section is empty": (lambda: of(model=None), "model: expected a section of keys. Received: None."),
    "key that is not a string": (
        lambda: of(category(**{"name": "job"}) | {1: 2}),
        "keys are strings. Received the key 1",
    ),
    # What pydantic alone would not find.
    "head twice": (lambda: of(model={"heads": ["wide", "wide"]}), "model.heads: 'wide' is listed twice."),
    "csv without names": (
        lambda: of(data=data(csv={"header": False})),
        "data.csv: a file without a header needs its columns' names in data.csv.columns",
    ),
    "invalid input name": (
        lambda: of(data=data(names={"city": "1city"})),
        "data: names: 'city' is mapped to '1city'; an input name is made of letters, digits and _",
    ),
    "invalid export name": (lambda: of(export={"name": "a b"}), "export: name becomes a folder"),
    "name taken": (
        lambda: of(category(column="city")),
        "features[4]: the name 'city' is taken by another feature. Give one of them a `name`.",
    ),
    "numbers of one name": (
        lambda: of(numeric(normalization=["log", "zscore"]), numeric(column="z", name="income_log")),
        "features[5]: 'income_log' and 'income' both produce the number 'income_log'",
    ),
    "feature case twins": (
        lambda: of(category(column="x", name="City")),
        "Features 'city' and 'City' differ only in case",
    ),
    "column case twins": (
        lambda: of(category(column="CITY", name="town")),
        "Data columns 'city' and 'CITY' differ only in case",
    ),
    "inputs of one name": (
        lambda: of(category(column="a b", name="one"), category(column="a-b", name="two")),
        "Columns 'a b' and 'a-b' both become the input 'a_b'. Rename one of them in data.names, for example "
        "{'a-b': a_b_2}.",
    ),
    "reserved input name": (
        lambda: of(category(column="numeric")),
        "Column 'numeric' becomes the input 'numeric', which is the name of one of the model's own matrices",
    ),
    "name of no column": (
        lambda: of(data=data(names={"citty": "c"})),
        "data.names maps 'citty', which no feature reads. Did you mean 'city'?",
    ),
    "unknown key of a cross": (
        lambda: of(cross("city", "zap")),
        "features[4]: the cross 'city_x_zap' has an unknown key 'zap'. Did you mean 'zip'?",
    ),
    "cross of a number": (
        lambda: of(cross("city", "age")),
        "the cross 'city_x_age' has the numeric key 'age'; a number is crossed as buckets",
    ),
    "cross of a cross": (
        lambda: of(cross("city", "zip"), cross("city_x_zip", "age_buckets")),
        "features[5]: the cross 'city_x_zip_x_age_buckets' has the cross 'city_x_zip' as a key. Name its keys instead",
    ),
    "exact cross of a hash": (
        lambda: of(cross("city", "zip", bins="exact")),
        "features[4]: bins: exact needs keys with a vocabulary or buckets, and a key of 'city_x_zip' is hashed",
    ),
    "positive of another task": (
        lambda: of(task="regression", data=data(label={"column": "y", "positive": 1})),
        "data.label.positive belongs to task: binary, not to regression",
    ),
    "classes of another task": (
        lambda: of(data=data(label={"column": "y", "classes": ["a", "b"]})),
        "data.label.classes belongs to task: multiclass, not to binary",
    ),
    "label as a feature": (
        lambda: of(category(column="y", name="answer")),
        "features[4]: 'answer' reads the label's column 'y', which is not there when the model serves",
    ),
    "empty head": (
        lambda: Config.of({**BASE, "features": [category()]}),
        "model.heads names 'deep', but no feature goes there",
    ),
    "monitor of another task": (
        lambda: of(train={"early_stopping": {"monitor": "rmse"}}),
        "train.early_stopping.monitor: task binary has no metric 'rmse'",
    ),
    "schedule of FTRL": (
        lambda: of(train={"wide_optimizer": {"learning_rate": {"schedule": "linear", "start": 0.5}}}),
        "train.wide_optimizer.learning_rate: sparse_ftrl needs a fixed rate",
    ),
    "class weights of a regression": (
        lambda: of(task="regression", train={"class_weights": {"1": 2}}),
        "train.class_weights needs classes: a regression has none. Use data.weight.",
    ),
    "column without a usable letter": (
        lambda: of(category(column="年齢")),
        "Column '年齢' has no letter or digit that a graph input may carry. Give the feature a `name`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        make()
    text = str(caught.value)
    assert text.startswith("configuration: ")
    assert message in text
    assert "\n" not in text
    for noise in ("Input should", "union", "literal[", "tuple[", "function-", "Config'", "pydantic"):
        assert noise not in text


def test_every_problem_has_a_line() -> None:
    with pytest.raises(ConfigError) as caught:
        of(numeric(normalization="lg", zzz="red"), train={"epochs": 0})
    assert str(caught.value).splitlines() == [
        "configuration: ",
        "  features[4].normalization: expected 'none', 'zscore', 'minmax', 'log', 'quantile' or a list. "
        "Received: 'lg'. Did you mean 'log'?",
        "  features[4].zzz: unknown key. There is: "
        "clip, column, deep, delimiter, fill, missing_indicator, name, normalization, quantiles, shape, type, wide.",
        "  train.epochs: expected at least 1. Received: 0.",
    ]
