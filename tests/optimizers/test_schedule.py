"""Learning rates that change with the step, against the formulas and against Keras' own schedules."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfwd.config.config import Config
from tfwd.config.optimizers import ScheduleConfig
from tfwd.errors import ConfigError
from tfwd.optimizers.configured import joint_optimizer, rate
from tfwd.optimizers.schedule import WarmupDecay


@pytest.mark.parametrize("end", [0.0, 0.1])
def test_cosine_equals_keras(end: float) -> None:
    own = WarmupDecay("cosine", 0.3, end, 0, 50)
    keras_own = keras.optimizers.schedules.CosineDecay(0.3, 50, alpha=end)
    for step in range(0, 70, 3):
        assert float(own(step)) == pytest.approx(float(keras_own(step)), abs=1e-7)


def test_exponential_equals_keras() -> None:
    own = WarmupDecay("exponential", 0.3, 0.01, 0, 50)
    keras_own = keras.optimizers.schedules.ExponentialDecay(0.3, 50, 0.01)
    for step in range(0, 51, 5):
        assert float(own(step)) == pytest.approx(float(keras_own(step)), rel=1e-5)
    assert float(own(80)) == pytest.approx(0.003, rel=1e-5)


def test_linear_is_a_line() -> None:
    schedule = WarmupDecay("linear", 1.0, 0.2, 0, 10)
    assert [float(schedule(step)) for step in (0, 5, 10, 99)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


@pytest.mark.parametrize("kind", ["cosine", "linear", "exponential"])
def test_warmup_rises_and_joins_the_decay(kind: str) -> None:
    schedule = WarmupDecay(kind, 0.5, 0.1, 4, 20)
    assert [float(schedule(step)) for step in range(4)] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert float(schedule(4)) == pytest.approx(0.5)
    after = [float(schedule(step)) for step in range(4, 30)]
    assert after == sorted(after, reverse=True)
    assert after[-1] == pytest.approx(0.05)


def test_it_is_saved_and_runs_in_a_graph() -> None:
    schedule = WarmupDecay("cosine", 0.5, 0.1, 4, 20)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    in_graph = tf.function(again)
    for step in range(0, 30, 4):
        assert float(in_graph(tf.constant(step))) == pytest.approx(float(schedule(step)), rel=1e-6)


def test_an_optimizer_follows_it() -> None:
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer = keras.optimizers.SGD(WarmupDecay("linear", 1.0, 0.0, 2, 4))
    moved = []
    for _ in range(7):
        before = float(variable.numpy()[0])
        optimizer.apply([tf.constant([1.0])], [variable])
        moved.append(before - float(variable.numpy()[0]))
    assert moved == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0])


def test_auto_steps_end_with_the_training() -> None:
    made = rate(ScheduleConfig(schedule="linear", start=1.0, warmup=10), steps=50)
    assert isinstance(made, WarmupDecay)
    assert float(made(50)) == 0.0
    assert float(made(30)) == pytest.approx(0.5)
    assert rate(0.25, steps=50) == 0.25
    long = rate(ScheduleConfig(schedule="linear", start=1.0, warmup=100), steps=50)
    assert isinstance(long, WarmupDecay)
    assert math.isfinite(float(long(0)))


def configuration(head: str, optimizer: dict[str, object]) -> Config:
    return Config.of(
        {
            "data": {"train": "x.csv", "label": "y"},
            "features": [{"type": "categorical", "column": "a", "embedding": 4}],
            "train": {f"{head}_optimizer": optimizer},
        }
    )


SCHEDULE = {"schedule": "cosine", "start": 0.1}


@pytest.mark.parametrize("head", ["wide", "deep"])
@pytest.mark.parametrize("name", ["sparse_ftrl", "ftrl"])
def test_ftrl_refuses_a_schedule(head: str, name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"train\.{head}_optimizer\.learning_rate: {name} needs a fixed rate"
    ) as error:
        configuration(head, {"name": name, "learning_rate": SCHEDULE})
    assert "such as 0.1" in str(error.value)


@pytest.mark.parametrize("name", ["lazy_adam", "adam", "adagrad", "rmsprop", "sgd"])
def test_other_optimizers_take_one(name: str) -> None:
    config = configuration("deep", {"name": name, "learning_rate": SCHEDULE})
    optimizer = joint_optimizer(config, steps=100)
    assert isinstance(optimizer.deep._learning_rate, WarmupDecay)
    assert float(optimizer.deep._learning_rate(100)) == pytest.approx(0.0, abs=1e-8)


def test_exponential_decay_to_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="give an end above 0"):
        configuration("deep", {"name": "sgd", "learning_rate": {"schedule": "exponential", "start": 0.1}})
    with pytest.raises(ValueError, match="end above 0"):
        WarmupDecay("exponential", 0.1, 0.0, 0, 10)
    with pytest.raises(ValueError, match="'sine'"):
        WarmupDecay("sine", 0.1, 0.0, 0, 10)
