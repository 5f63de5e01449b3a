"""Optimizers by name: right ones are made, wrong ones name the nearest right one."""

from __future__ import annotations

import inspect

import keras
import pytest

from tfwd import optimizers
from tfwd.config.optimizers import DENSE, DENSE_DETAILS, OPTIONS, RATES, SLOTS
from tfwd.errors import ConfigError
from tfwd.optimizers.registry import slots_of
from tfwd.optimizers.sparse import RowSparseUpdates

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
        ("sgd", {"l2": 1}, "no option 'l2'. Did you mean 'l2_regularization_strength'"),
        ("adam", {"beta_1": 1.0}, "beta_1: expected a number from 0 to below 1. Received: 1.0"),
        ("adam", {"gradient_accumulation_steps": 1}, "expected a whole number of at least 2"),
        ("lazy_adam", {"amsgrad": 1}, "amsgrad: expected true or false. Received: 1"),
        ("ftrl", {"learning_rate_power": 0.5}, "learning_rate_power: expected a number of at most 0"),
        ("sparse_ftrl", {"beta": 1e300}, "beta: expected a finite float32 number"),
        ("sparse_ftrl", {"kernel": "cuda"}, "kernel: expected 'auto', 'fused' or 'gather'. Received: 'cuda'"),
        ("sgd", {"qqq": 1}, "no option 'qqq'. There is: clipnorm, clipvalue, l2_regularization_strength, lear"),
        (
            "sparse_ftrl",
            {"l1_regularization_strength": -1.0},
            "strength: expected a number of at least 0. Received: -1.0",
        ),
        ("adagrad", {"learning_rate": "fast"}, "learning_rate is a number or a schedule. Received: 'fast'"),
        ("lazy_adam", {"beta_1": "0.9x"}, "'lazy_adam': beta_1: expected a number. Received: '0.9x'"),
        ("adam", {"beta_2": [0.9]}, "beta_2: expected a number"),
        (
            "sparse_ftrl",
            {"l2_regularization_strength": float("nan")},
            "strength: expected a finite float32 number",
        ),
        ("adagrad", {"initial_accumulator_value": float("inf")}, "_value: expected a finite float32 number"),
        ("sgd", {"clipnorm": -1.0}, "clipnorm: expected a number above 0. Received: -1.0"),
        ("adam", {"global_clipnorm": 0}, "global_clipnorm: expected a number above 0"),
        (
            "sparse_ftrl",
            {"beta": 1.0, "clipnorm": 1.0, "clipvalue": 1.0},
            "clipvalue: expected one way of clipping",
        ),
    ],
)
def test_wrong_names_options_and_values(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        optimizers.get(name, **options)


@pytest.mark.parametrize("name", CLASSES)
def test_the_options_that_are_checked_without_tensorflow_are_those_of_the_class(name: str) -> None:
    bases = [base for base in CLASSES[name].__mro__ if issubclass(base, keras.optimizers.Optimizer)]
    parameters = [p for base in bases for p in inspect.signature(base).parameters.values()]
    taken = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} - {"learning_rate", "name"}
    refused = {*DENSE, *DENSE_DETAILS} if issubclass(CLASSES[name], RowSparseUpdates) else set()
    assert set(OPTIONS[name]) == taken - refused - {"momentum", "nesterov"}
    assert set(RATES) == set(OPTIONS) == set(SLOTS) == set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_the_slots_are_what_keras_keeps_for_a_weight(name: str) -> None:
    assert slots_of(CLASSES[name]()) == tuple(SLOTS[name])
    for option in {None, *SLOTS[name].values()}:
        made = optimizers.get(name, **({} if option is None else {option: True}))
        weight = keras.Variable([[1.0, 2.0]])
        before = len(made.variables)
        made.build([weight])
        kept = [slot for slot, needed in SLOTS[name].items() if needed in (None, option)]
        assert sorted(id(variable) for variable in made.variables[before:]) == sorted(
            id(variable) for slot in kept for variable in getattr(made, slot)
        )
        assert all(variable.shape == weight.shape for variable in made.variables[before:])


def test_nothing_is_known_of_the_slots_of_another_optimizer() -> None:
    with pytest.raises(ConfigError, match=r"Nothing is known of the state of Lion: tfwd.optimizers.registry has no"):
        slots_of(keras.optimizers.Lion())


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_rate_of_a_configuration(name: str) -> None:
    assert inspect.signature(CLASSES[name]).parameters["learning_rate"].default == RATES[name]


# Of each option that is a number, what no class may take, as a whole number and as another.
WRONG = {
    "learning_rate": (-1, -0.5, 10**400, float("nan"), float("inf"), 1e308, True, "0.1"),
    "beta_1": (2, 2.0, -1, -0.1, 1, 1.0, True),
    "beta_2": (2, 2.0, -1, -0.1, 1, 1.0),
    "rho": (2, 2.0, -1, -0.1, 1, 1.0),
    "epsilon": (0, 0.0, -1, float("nan")),
    "clipnorm": (0, 0.0, -1, -1.0, float("inf")),
    "clipvalue": (0, 0.0, -1, -1.0, float("inf")),
    "initial_accumulator_value": (-1, -0.1, float("inf")),
    "l1_regularization_strength": (-1, -0.1, 1e300),
    "l2_regularization_strength": (-1, -0.1, 1e300),
    "l2_shrinkage_regularization_strength": (-1, -0.1, 1e300),
    "beta": (-1, -0.1, 1e300),
    "learning_rate_power": (1, 0.5, float("nan")),
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_refuse_numbers_that_a_configuration_refuses(name: str) -> None:
    divided = {"sparse_ftrl", "ftrl"}
    for option, wrong in WRONG.items():
        if option != "learning_rate" and option not in OPTIONS[name]:
            continue
        for value in (*wrong, *((0, 0.0, 1e-45) if option == "learning_rate" and name in divided else ())):
            with pytest.raises(ConfigError, match=rf"{option} is .*Received: "):
                CLASSES[name](**{option: value})
