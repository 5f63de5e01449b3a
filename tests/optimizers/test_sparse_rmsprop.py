"""SparseRmsprop equals RMSprop on each touched row alone."""

from __future__ import annotations

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
from tfwd.optimizers import SparseRmsprop

# Of the size that embeddings have: float32 then resolves 1e-8, so that 200 roundings stay under 1e-5.
START = (0.1 * np.random.default_rng(0).normal(size=(ROWS, 3))).astype(np.float32)


@pytest.mark.parametrize("centered", [False, True])
def test_equals_a_numpy_row_loop(centered: bool) -> None:
    rate, rho, epsilon = 0.001, 0.8, 1e-3

    def row_step(weights: np.ndarray, gradient: np.ndarray, state: dict[str, np.ndarray], _: int) -> np.ndarray:
        state["v"] = rho * state["v"] + (1 - rho) * gradient**2
        state["g"] = rho * state["g"] + (1 - rho) * gradient
        spread = state["v"] - (state["g"] ** 2 if centered else 0.0)
        return weights - rate * gradient / np.sqrt(spread + epsilon)

    slices = random_slices(200, 3)
    table = train_sparse(SparseRmsprop(rate, rho, epsilon, centered), slices, START)
    expected = train_reference(row_step, slices, START, {"v": 0.0, "g": 0.0})
    np.testing.assert_allclose(table.numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("centered", [False, True])
def test_equals_keras_while_every_step_touches_every_row(centered: bool) -> None:
    slices = slices_of_every_row(50, 3)
    sparse = train_sparse(SparseRmsprop(0.01, centered=centered, epsilon=1e-3), slices, START)
    dense = train_dense(keras.optimizers.RMSprop(0.01, centered=centered, epsilon=1e-3), slices, START)
    np.testing.assert_allclose(sparse.numpy(), dense.numpy(), rtol=0, atol=1e-5)


def test_untouched_rows_and_averages_stay_bit_equal() -> None:
    optimizer = SparseRmsprop(0.01, centered=True)
    table = train_sparse(optimizer, random_slices(10, 3), START).numpy()
    assert np.array_equal(table[TOUCHED:], START[TOUCHED:])
    assert np.all(table[:TOUCHED] != START[:TOUCHED])
    assert len(optimizer.variables[2:]) == 2
    assert all(not np.any(slot.numpy()[TOUCHED:]) for slot in optimizer.variables[2:])


def test_dense_gradients_take_the_path_of_keras() -> None:
    ours, theirs = keras.Variable(START[:16]), keras.Variable(START[:16])
    sparse, own = SparseRmsprop(0.01), keras.optimizers.RMSprop(0.01)
    for _, values in random_slices(20, 3):
        sparse.apply([tf.constant(values)], [ours])
        own.apply([tf.constant(values)], [theirs])
    assert np.array_equal(ours.numpy(), theirs.numpy())


def test_momentum_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"SparseRmsprop has no momentum.*lazy_adam.*momentum=0.9"):
        SparseRmsprop(momentum=0.9)
