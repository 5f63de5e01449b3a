"""LazyAdam equals Adam on each touched row alone, bias-corrected by the common step."""

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

from tfwd.optimizers import LazyAdam

# Of the size that embeddings have: float32 then resolves 1e-8, so that 200 roundings stay under 1e-6.
START = (0.1 * np.random.default_rng(0).normal(size=(ROWS, 3))).astype(np.float32)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_equals_a_numpy_row_loop(amsgrad: bool) -> None:
    rate, beta_1, beta_2, epsilon = 0.001, 0.9, 0.99, 1e-7

    def row_step(weights: np.ndarray, gradient: np.ndarray, state: dict[str, np.ndarray], step: int) -> np.ndarray:
        state["m"] = beta_1 * state["m"] + (1 - beta_1) * gradient
        state["v"] = beta_2 * state["v"] + (1 - beta_2) * gradient**2
        state["largest"] = np.maximum(state["largest"], state["v"])
        second = state["largest"] if amsgrad else state["v"]
        corrected = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        return weights - corrected * state["m"] / (np.sqrt(second) + epsilon)

    slices = random_slices(200, 3)
    optimizer = LazyAdam(rate, beta_1, beta_2, epsilon, amsgrad)
    table = train_sparse(optimizer, slices, START)
    expected = train_reference(row_step, slices, START, {"m": 0.0, "v": 0.0, "largest": 0.0})
    np.testing.assert_allclose(table.numpy(), expected, rtol=0, atol=1e-6)


def test_equals_adam_while_every_step_touches_every_row() -> None:
    slices = slices_of_every_row(50, 3)
    lazy = train_sparse(LazyAdam(0.01), slices, START)
    dense = train_dense(keras.optimizers.Adam(0.01), slices, START)
    np.testing.assert_allclose(lazy.numpy(), dense.numpy(), rtol=0, atol=1e-6)


def test_untouched_rows_and_moments_stay_bit_equal() -> None:
    optimizer = LazyAdam(0.01)
    table = train_sparse(optimizer, random_slices(10, 3), START).numpy()
    assert np.array_equal(table[TOUCHED:], START[TOUCHED:])
    assert np.all(table[:TOUCHED] != START[:TOUCHED])
    assert all(not np.any(slot.numpy()[TOUCHED:]) for slot in optimizer.variables[2:])


def test_dense_gradients_take_the_path_of_keras() -> None:
    gradients = [tf.constant(values) for _, values in random_slices(20, 3)]
    ours = keras.Variable(START[:16])
    theirs = keras.Variable(START[:16])
    lazy, adam = LazyAdam(0.01), keras.optimizers.Adam(0.01)
    for gradient in gradients:
        lazy.apply([gradient], [ours])
        adam.apply([gradient], [theirs])
    assert np.array_equal(ours.numpy(), theirs.numpy())
