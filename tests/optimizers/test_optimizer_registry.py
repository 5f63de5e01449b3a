"""Optimizers by name: right ones are made, wrong ones name the nearest right one."""

from __future__ import annotations

import keras
import pytest

from tfwd import optimizers
from tfwd.errors import ConfigError

CLASSES = {
    "sparse_ftrl": optimizers.SparseFtrl,
    "lazy_adam": optimizers.LazyAdam,
    "adagrad": optimizers.SparseAdagrad,
    "rmsprop": optimizers.SparseRmsprop,
    "sgd": optimizers.SparseSgd,
    "ftrl": optimizers.DenseFtrl,
    "adam": optimizers.DenseAdam,
}


@pytest.mark.parametrize("name", CLASSES)
def test_makes_the_class_with_its_options_and_back(name: str) -> None:
    made = optimizers.get(name, learning_rate=1, clipnorm=2.0)
    assert type(made) is CLASSES[name]
    assert float(made.learning_rate) == 1.0
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(again) is CLASSES[name]
    assert again.get_config() == made.get_config()


@pytest.mark.parametrize("name", CLASSES)
def test_takes_a_schedule(name: str) -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)
    made = optimizers.get(name, learning_rate=schedule)
    assert float(made.learning_rate) == 0.5
    again = type(made).from_config(made.get_config())
    assert again.get_config() == made.get_config()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sparse_ftlr", {}, "no optimizer 'sparse_ftlr'. Did you mean 'sparse_ftrl'"),
        ("Adam", {}, "Did you mean 'adam'"),
        ("sparse_ftrl", {"learning_rte": 0.1}, "no option 'learning_rte'. Did you mean 'learning"),
        ("lazy_adam", {"beta1": 0.1}, "Did you mean 'beta_1'"),
        ("adam", {"weight_dekay": 0.1}, "Did you mean 'weight_decay'"),
        ("sgd", {"qqq": 1}, "no option 'qqq'. There is: clipnorm, clipvalue, l2_regularization_strength, lear"),
        ("sparse_ftrl", {"l1_regularization_strength": -1.0}, "needs to be positive or zero"),
        ("adagrad", {"learning_rate": "fast"}, "learning_rate=fast"),
        ("lazy_adam", {"beta_1": "0.9x"}, "'lazy_adam': beta_1 is a number or a truth value. Received: '0.9x'"),
        ("adam", {"beta_2": [0.9]}, "beta_2 is a number"),
        ("sparse_ftrl", {"l2_regularization_strength": float("nan")}, "l2_regularization_strength is a finite number"),
        ("adagrad", {"initial_accumulator_value": float("inf")}, "initial_accumulator_value is a finite number"),
        ("sgd", {"clipnorm": -1.0}, "clipnorm is a number above 0. Received: -1.0"),
        ("adam", {"global_clipnorm": 0}, "global_clipnorm is a number above 0"),
        ("sparse_ftrl", {"beta": 1.0, "clipnorm": 1.0, "clipvalue": 1.0}, "Only one of `clipnorm`"),
    ],
)
def test_wrong_names_options_and_values(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        optimizers.get(name, **options)
