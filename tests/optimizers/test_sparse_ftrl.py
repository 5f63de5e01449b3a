"""SparseFtrl equals Keras' Ftrl on dense gradients, and the algorithm as the paper prints it."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_cases import (
    ROWS,
    TOUCHED,
    random_slices,
    slices_of_every_row,
    train_dense,
    train_reference,
    train_sparse,
)

from tfwd.errors import ConfigError
from tfwd.optimizers import SparseFtrl

REGULARIZED = {
    "learning_rate": 0.1,
    "initial_accumulator_value": 1e-5,
    "l1_regularization_strength": 0.3,
    "l2_regularization_strength": 0.05,
    "beta": 0.7,
}
VARIANTS = {
    "regularized": REGULARIZED,
    "power": {**REGULARIZED, "learning_rate_power": -0.3},
    "plain": {"learning_rate": 0.1, "initial_accumulator_value": 1e-5},
}


SHRUNK = {**REGULARIZED, "l2_shrinkage_regularization_strength": 0.02}


@functools.cache
def trained_by_keras(variant: str, dim: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The table and the optimizer's variables after Keras' own Ftrl took the steps of `random_slices`."""
    dense = keras.optimizers.Ftrl(**VARIANTS[variant])
    table = train_dense(dense, random_slices(200, dim), np.zeros((ROWS, dim), np.float32))
    return table.numpy(), [variable.numpy() for variable in dense.variables]


@pytest.mark.parametrize("kernel", ["fused", "gather"])
@pytest.mark.parametrize(("variant", "dim"), [("regularized", 1), ("regularized", 5), ("power", 5), ("plain", 1)])
def test_equals_keras_ftrl_on_dense_gradients(variant: str, kernel: str, dim: int) -> None:
    sparse = SparseFtrl(**VARIANTS[variant], kernel=kernel)
    table = train_sparse(sparse, random_slices(200, dim), np.zeros((ROWS, dim), np.float32))
    expected, slots = trained_by_keras(variant, dim)
    np.testing.assert_allclose(table.numpy(), expected, rtol=0, atol=1e-6)
    # `linear` is a running sum of terms divided by the learning rate: it rounds ten times coarser.
    for ours, theirs in zip(sparse.variables, slots, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("dim", [1, 5])
def test_shrinkage_equals_keras_ftrl_while_every_row_is_touched(dim: int) -> None:
    """Keras shrinks the untouched rows as well, so only here can the two be equal."""
    slices = slices_of_every_row(200, dim)
    start = np.zeros((ROWS, dim), np.float32)
    expected = train_dense(keras.optimizers.Ftrl(**SHRUNK), slices, start).numpy()
    for kernel in ("fused", "gather"):
        table = train_sparse(SparseFtrl(**SHRUNK, kernel=kernel), slices, start)
        np.testing.assert_allclose(table.numpy(), expected, rtol=0, atol=1e-6, err_msg=kernel)
    unshrunk = train_sparse(SparseFtrl(**REGULARIZED), slices, start)
    assert np.abs(expected - unshrunk.numpy()).max() > 1e-3


@pytest.mark.parametrize("kernel", ["fused", "gather"])
def test_equals_the_paper(kernel: str) -> None:
    alpha, beta, lambda_1, lambda_2 = 0.1, 0.7, 0.3, 0.1

    def row_step(weights: np.ndarray, gradient: np.ndarray, state: dict[str, np.ndarray], _: int) -> np.ndarray:
        """Algorithm 1 of McMahan et al. 2013, with w stored instead of computed when it is read."""
        grown = state["n"] + gradient**2
        sigma = (np.sqrt(grown) - np.sqrt(state["n"])) / alpha
        z = state["z"] + gradient - sigma * weights
        state["n"], state["z"] = grown, z
        moved = -(z - np.sign(z) * lambda_1) / ((beta + np.sqrt(grown)) / alpha + lambda_2)
        return np.where(np.abs(z) <= lambda_1, 0.0, moved)

    slices = random_slices(200, 2)
    start = np.zeros((ROWS, 2), np.float32)
    optimizer = SparseFtrl(
        alpha,
        initial_accumulator_value=0.0,
        l1_regularization_strength=lambda_1,
        l2_regularization_strength=lambda_2 / 2,
        beta=beta,
        kernel=kernel,
    )
    table = train_sparse(optimizer, slices, start)
    expected = train_reference(row_step, slices, start, {"n": 0.0, "z": 0.0})
    np.testing.assert_allclose(table.numpy(), expected, rtol=0, atol=1e-5)


def test_l1_leaves_exact_zeros() -> None:
    slices = random_slices(20, 1)
    strong = SparseFtrl(l1_regularization_strength=4.0)
    table = train_sparse(strong, slices, np.zeros((ROWS, 1), np.float32)).numpy()
    assert 0 < np.count_nonzero(table) < TOUCHED / 2


@pytest.mark.parametrize("kernel", ["fused", "gather"])
def test_untouched_rows_stay_bit_equal(kernel: str) -> None:
    start = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    optimizer = SparseFtrl(l2_shrinkage_regularization_strength=0.1, kernel=kernel)
    table = train_sparse(optimizer, random_slices(10, 3), start).numpy()
    assert np.array_equal(table[TOUCHED:], start[TOUCHED:])
    assert np.all(np.any(table[:TOUCHED] != start[:TOUCHED], axis=1))
    _, _, accumulator, linear = (variable.numpy() for variable in optimizer.variables)
    assert np.all(accumulator[TOUCHED:] == np.float32(1e-5))
    assert np.all(linear[TOUCHED:] == 0)


def test_dense_gradients_take_the_path_of_keras() -> None:
    slices = random_slices(20, 3)
    start = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    ours = train_dense(SparseFtrl(**REGULARIZED), slices, start)
    theirs = train_dense(keras.optimizers.Ftrl(**REGULARIZED), slices, start)
    assert np.array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("kernel", ["fused", "gather"])
def test_a_rate_of_zero_is_an_error_and_not_nan(kernel: str) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate is a number above 0.*Received: 0.0"):
        SparseFtrl(0.0)
    warm_up = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 0.1)
    slices = random_slices(1, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="positive"):
        train_sparse(SparseFtrl(warm_up, kernel=kernel), slices, np.zeros((ROWS, 1), np.float32))


@pytest.mark.parametrize(
    ("ftrl", "gradient"),
    [
        (SparseFtrl, lambda values: tf.IndexedSlices(values, tf.range(3))),
        (keras.optimizers.Ftrl, tf.identity),
    ],
    ids=["sparse", "keras"],
)
def test_a_smaller_rate_scales_the_weights(ftrl: type, gradient: Any) -> None:
    """Why the class says to keep the rate fixed; if Keras changes this, the text is to change."""
    optimizer = ftrl(0.1)
    table = keras.Variable(np.zeros((3, 1), np.float32))
    for _ in range(20):
        optimizer.apply([gradient(tf.ones((3, 1)))], [table])
    before = table.numpy()
    optimizer.learning_rate = 0.01
    optimizer.apply([gradient(tf.zeros((3, 1)))], [table])
    np.testing.assert_allclose(table.numpy(), before / 10, rtol=1e-5)


def test_unknown_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'auto', 'fused', 'gather'.*Received: kernel='gpu'"):
        SparseFtrl(kernel="gpu")
