"""The constructors of Python refuse in the words in which YAML is refused, and make values like any other."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tfwd
from tfwd.config.preparation import HistoryConfig, JoinConfig, SplitConfig

SECTIONS: list[Any] = [
    tfwd.Numeric("age"),
    tfwd.Bucketized("age", quantiles=4),
    tfwd.Categorical("city", embedding=4),
    tfwd.Cross(["a", "b"], 10),
    tfwd.Datetime("pickup", parts=["month"], age_in_days="2024-06-30"),
    tfwd.LabelConfig("y"),
    tfwd.CsvConfig(delimiter=";"),
    tfwd.OptimizerConfig("adagrad"),
    tfwd.OptimizerConfig("lazy_adam", tfwd.ScheduleConfig(schedule="cosine", start=0.1), beta_1=0.5),
    tfwd.TrainConfig(epochs=2, deep_optimizer="sgd"),
    tfwd.ModelConfig(),
    tfwd.ExportConfig(),
    tfwd.EarlyStoppingConfig(),
    tfwd.RankingConfig(user="u", item="i"),
    tfwd.DataConfig(label="y"),
    JoinConfig(data="a.csv", on="k"),
    HistoryConfig(name="h", user="u", item="i", time="t"),
    SplitConfig(by="random"),
    tfwd.Config(data=tfwd.DataConfig(label="y"), features=[tfwd.Categorical("city", embedding=4)]),
]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: type(section).__name__)
def test_a_section_is_copied_pickled_compared_and_frozen(section: Any) -> None:
    for other in (copy.copy(section), copy.deepcopy(section), pickle.loads(pickle.dumps(section))):
        assert other == section
        assert type(other) is type(section)
    assert section.model_copy() == section
    assert type(section).model_validate(section.model_dump()) == section
    with pytest.raises(tfwd.ConfigError, match=f"{type(section).__name__} is frozen"):
        setattr(section, next(iter(type(section).model_fields)), None)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: type(section).__name__)
def test_every_constructor_refuses_in_the_words_of_yaml(section: Any) -> None:
    first = next(name for name in type(section).model_fields if name != "type")
    with pytest.raises(tfwd.ConfigError, match=f"^{type(section).__name__}") as caught:
        type(section)(**{first: object(), "zzz": 1})
    assert f"{first}: expected " in str(caught.value) or "Received: <object" in str(caught.value)
    for noise in ("Input should", "validation error", "errors.pydantic.dev", "input_type"):
        assert noise not in str(caught.value)


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: tfwd.Numeric("age", fil=3), "Numeric 'age': fil: unknown key. Did you mean 'fill'?"),
    (lambda: tfwd.Numeric("age", "zscore"), "Numeric takes column by position and the rest by name, each once."),
    (lambda: tfwd.Numeric("age", column="age"), "Received: 1 by position, and by name column."),
    (lambda: tfwd.TrainConfig(3), "TrainConfig takes nothing by position and the rest by name"),
    (lambda: tfwd.Numeric(), "Numeric: column: required key is missing."),
    (lambda: tfwd.Numeric("年"), "Numeric '年': Column '年' has no letter or digit"),
    (lambda: tfwd.Cross("ab", 3), "Cross: keys: expected a list. Received: 'ab'."),
    (lambda: tfwd.Cross(columns=["a", "b"], bins=3), "columns: unknown key. Did you mean keys, the names of"),
    (lambda: tfwd.TrainConfig(learning_rate=1), "Did you mean train.wide_optimizer.learning_rate or train.deep_opt"),
    (lambda: tfwd.TrainConfig(epochs=0), "TrainConfig: epochs: expected at least 1. Received: 0."),
    (lambda: tfwd.OptimizerConfig("adagrd"), "OptimizerConfig: name: expected 'sparse_ftrl', 'lazy_adam', 'adagrad', "),
    (lambda: tfwd.OptimizerConfig("adagrad", l1=1), "OptimizerConfig: l1: the optimizer 'adagrad' has no option 'l1'."),
    (lambda: tfwd.OptimizerConfig(learning_rate=1.0), "OptimizerConfig: name: required key is missing."),
    (lambda: tfwd.Categorical("c", vocabulary={"a", "b"}), "vocabulary must be a list: the order of a set differs"),
    (
        lambda: tfwd.Categorical("c", vocabulary=["a\ud800"]),
        "Categorical 'c': vocabulary[0]: expected a string that can",
    ),
    (lambda: tfwd.Categorical("c", vocabulary=["a\0"]), "vocabulary[0]: expected a string without the character NUL"),
    (lambda: tfwd.Config(data=tfwd.DataConfig(label="y"), features=[]), "Config: features: expected a list of at lea"),
    (lambda: tfwd.Config(data="x.csv", features=[tfwd.Numeric("x")]), "Config: data: expected a section of keys."),
    (lambda: tfwd.Config.model_validate({}), "data: required key is missing."),
    (lambda: tfwd.DataConfig(label=3), "DataConfig: label: expected a section of keys. Received: 3."),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_constructor_refuses(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(tfwd.ConfigError) as caught:
        make()
    assert message in str(caught.value)


def test_an_optimizer_has_its_own_usual_rate() -> None:
    assert tfwd.OptimizerConfig(name="adagrad").learning_rate == 0.05
    assert tfwd.OptimizerConfig("sgd").learning_rate == 0.1
    assert tfwd.OptimizerConfig("adam") == tfwd.TrainConfig(deep_optimizer="adam").deep_optimizer
    assert tfwd.OptimizerConfig("adam", 0.5).learning_rate == 0.5


def test_values_of_numpy_and_pandas_and_iterators_are_lists() -> None:
    frame = pd.DataFrame({"city": ["b", "a", "b"]})
    assert tfwd.Categorical("city", vocabulary=frame.city.unique()).vocabulary == ("b", "a")
    assert tfwd.Bucketized("x", boundaries=np.array([1.0, 2.5])).boundaries == (1.0, 2.5)
    assert tfwd.Numeric("x", fill=np.float32(0.5)).fill == 0.5
    assert tfwd.Cross((key for key in ("a", "b")), 10).keys == ("a", "b")


def test_a_file_of_the_vocabulary_may_be_a_path() -> None:
    assert tfwd.Categorical("c", vocabulary_file=Path("words") / "c.txt").vocabulary_file == "words/c.txt"
