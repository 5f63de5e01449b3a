"""Optimizers that `fit` is given: said by the configuration, and then trained with as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from optimizer_cases import ROWS, slices_of_every_row, train_dense, train_sparse

import tfwd
from tfwd import optimizers
from tfwd.config.config import Config
from tfwd.errors import ConfigError
from tfwd.optimizers.configured import joint_optimizer
from tfwd.optimizers.instances import section_of, with_optimizers

own = keras.optimizers
schedules = keras.optimizers.schedules
START = (0.1 * np.random.default_rng(0).normal(size=(ROWS, 3))).astype(np.float32)


def config(**train: Any) -> Config:
    feature = {"type": "categorical", "column": "a", "embedding": 4}
    options = {"epochs": 1, "batch_size": 16, "tensorboard": False, "early_stopping": None, **train}
    data = {"label": "y", "validation_fraction": 0.0}
    return Config.of({"data": data, "features": [feature], "train": options, "model": {"hidden_units": [4]}})


def deep_of(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    # Through YAML, as a run that is resumed reads it.
    chosen = Config.of(yaml_of(with_optimizers(config(), {"deep": optimizer})))
    return joint_optimizer(chosen, steps=10).deep


def yaml_of(given: Config) -> dict[str, Any]:
    from tfwd.config import yaml12

    loaded: dict[str, Any] = yaml12.load(given.dump())
    return loaded


KERAS: dict[str, Any] = {
    "adam": lambda: own.Adam(0.02, beta_1=0.8, amsgrad=True),
    "adagrad": lambda: own.Adagrad(0.3, initial_accumulator_value=0.5, clipvalue=0.5),
    "rmsprop": lambda: own.RMSprop(0.02, rho=0.8, epsilon=1e-3, centered=True),
    "sgd": lambda: own.SGD(0.3, clipnorm=1.0),
    "ftrl": lambda: own.Ftrl(0.1, l1_regularization_strength=0.01, beta=0.1),
    "steps": lambda: own.Adam(schedules.PiecewiseConstantDecay([5, 20], [0.1, 0.01, 0.001])),
    "exponential": lambda: own.SGD(schedules.ExponentialDecay(0.3, 10, 0.5, staircase=True)),
    "cosine": lambda: own.Adagrad(schedules.CosineDecay(0.1, 30, alpha=0.1, warmup_target=0.5, warmup_steps=5)),
    "restarts": lambda: own.SGD(schedules.CosineDecayRestarts(0.1, 10)),
    "polynomial": lambda: own.SGD(schedules.PolynomialDecay(0.1, 30, power=2.0)),
    "inverse": lambda: own.SGD(schedules.InverseTimeDecay(0.1, 10, 0.5)),
}


@pytest.mark.parametrize("name", KERAS)
def test_trains_as_the_one_of_keras_while_every_step_touches_every_row(name: str) -> None:
    slices = slices_of_every_row(40, 3)
    made = deep_of(KERAS[name]())
    assert type(made).__module__.startswith("tfwd.")
    # FTRL forgets a start that its slots don't hold.
    start = np.zeros_like(START) if name == "ftrl" else START
    expected = train_dense(KERAS[name](), slices, start).numpy()
    np.testing.assert_allclose(train_sparse(made, slices, start).numpy(), expected, rtol=0, atol=1e-5)
    assert np.abs(expected - start).max() > 1e-3


@pytest.mark.parametrize(
    "made",
    [
        lambda: optimizers.LazyAdam(0.002, amsgrad=True, l2_regularization_strength=1e-4),
        lambda: optimizers.SparseFtrl(0.3, l1_regularization_strength=0.1, kernel="gather"),
        lambda: optimizers.SparseSgd(optimizers.WarmupDecay("cosine", 0.1, 0.2, 3, 20)),
        lambda: optimizers.SparseRmsprop(centered=True),
        lambda: optimizers.DenseAdam(0.1),
        lambda: optimizers.DenseFtrl(0.1),
    ],
)
def test_one_of_tfwd_comes_back_as_it_was(made: Any) -> None:
    again = deep_of(made())
    assert type(again) is type(made())
    assert again.get_config() | {"name": ""} == made().get_config() | {"name": ""}


class Mine(own.Adam):
    """A subclass: what it overrides could not be repeated."""


def used() -> keras.optimizers.Optimizer:
    optimizer = own.SGD(0.1)
    optimizer.apply([np.ones(2, np.float32)], [keras.Variable(np.ones(2, np.float32))])
    return optimizer


class MySchedule(schedules.CosineDecay):
    """A schedule that nobody else knows."""


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: own.Nadam(), "optimizers\\['deep'\\]: expected an optimizer whose method .* Received: a Nadam"),
        (lambda: own.AdamW(), "Received: a AdamW"),
        (lambda: Mine(), "Received: a Mine"),
        (lambda: "adam", "Received: a str"),
        (lambda: own.Adam, "Received: a type"),
        (lambda: own.Adam(weight_decay=0.1), "lazy_adam updates only the rows .* and weight_decay needs the whole"),
        (lambda: own.Adam(use_ema=True), "use_ema needs the whole table"),
        (lambda: own.Adam(global_clipnorm=1.0), "global_clipnorm needs the whole table"),
        (lambda: own.SGD(momentum=0.9), "deep_optimizer.momentum: sgd has none"),
        (lambda: own.RMSprop(momentum=0.9), "deep_optimizer.momentum: rmsprop has none"),
        (used, "expected a new optimizer. Received one that has made 1 steps"),
        (lambda: own.Adam(lambda: 0.1), "expected a number or a schedule as its learning rate"),
        (lambda: own.Adam(MySchedule(0.1, 5)), "one of Keras' own schedules"),
        (lambda: own.Ftrl(schedules.CosineDecay(0.1, 5)), "sparse_ftrl needs a fixed rate"),
        (lambda: own.SGD(schedules.PiecewiseConstantDecay([1], [float("nan"), 1.0])), "begins with the rate nan"),
    ],
)
def test_what_cannot_be_repeated_or_goes_dense_is_refused(made: Any, message: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["x", "y"] * 20, "y": [0, 1] * 20})
    with pytest.raises(ConfigError, match=message):
        tfwd.fit(config(), tmp_path / "run", train=frame, optimizers={"deep": made()})
    assert not (tmp_path / "run").exists()


def test_a_head_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no head 'deap'. Did you mean 'deep'\?"):
        with_optimizers(config(), {"deap": own.Adam()})
    with pytest.raises(ConfigError, match="the model has no wide head"):
        with_optimizers(config().replace(model__heads=["deep"]), {"wide": own.Ftrl()})


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ({"keras": "CosinDecay"}, r"learning_rate.keras: expected 'CosineDecay', .* Did you mean 'CosineDecay'\?"),
        ({"keras": "CosineDecay"}, "The schedule CosineDecay cannot be made from {}: .*initial_learning_rate"),
        ({"keras": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": "x", "decay_rate": 1}, "cannot be"),
        ({"keras": "CosineDecay", "initial_learning_rate": -1, "decay_steps": 3}, "begins with the rate -1"),
    ],
)
def test_a_schedule_of_keras_in_a_configuration(rate: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        joint_optimizer(config(deep_optimizer={"name": "sgd", "learning_rate": rate}), steps=3)
    assert "\n" not in str(error.value)


def test_a_run_says_the_optimizer_that_it_was_given(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": list("wxyz") * 40, "y": [0, 1, 1, 0, 1, 0, 0, 0] * 20})
    given = {"wide": own.Ftrl(0.2), "deep": own.RMSprop(schedules.ExponentialDecay(0.01, 5, 0.9))}
    run = tfwd.fit(config(), tmp_path / "run", train=frame, optimizers=given)
    said = tfwd.Run.open(tmp_path / "run").config.train
    assert section_of(own.Ftrl(0.2), "") == said.wide_optimizer.model_dump()
    assert type(run.model.optimizer.deep) is optimizers.SparseRmsprop
    again = tfwd.fit(tfwd.Run.open(tmp_path / "run").config, tmp_path / "again", train=frame)
    for one, other in zip(run.model.trainable_variables, again.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
