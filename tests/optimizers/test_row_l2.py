"""The L2 of row-sparse optimizers is that of `keras.regularizers.L2`, on the rows that a step touches."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_cases import ROWS, TOUCHED, as_dense, random_slices, slices_of_every_row, train_sparse

from tfwd.errors import ConfigError
from tfwd.optimizers import LazyAdam, SparseAdagrad, SparseSgd

STRENGTH = 0.05
# Gradients are of size 1: the penalty's, at most 2 * 0.05 * 3, shows beside them.
START = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
OPTIMIZERS = {
    "lazy_adam": (LazyAdam, keras.optimizers.Adam),
    "adagrad": (SparseAdagrad, keras.optimizers.Adagrad),
    "sgd": (SparseSgd, keras.optimizers.SGD),
}


def train_penalized(optimizer: Any, slices: list[tuple[np.ndarray, np.ndarray]], clip: float | None = None) -> Any:
    """Keras' own optimizer on the gradient of `sum(values * rows)`, clipped, plus that of Keras' own penalty."""
    table, penalty = keras.Variable(START), keras.regularizers.L2(STRENGTH)
    optimizer.build([table])

    @tf.function
    def step(gradient: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = penalty(table.value)
        optimizer.apply([tape.gradient(loss, table.value) + gradient], [table])

    for ids, values in slices:
        gradient = as_dense(ids, values)
        step(tf.constant(np.clip(gradient, -clip, clip) if clip else gradient))
    return table


@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_the_regularizer_of_keras_where_all_rows_are_touched(name: str, clip: float | None) -> None:
    sparse, dense = OPTIMIZERS[name]
    slices = slices_of_every_row(50, 3)
    ours = train_sparse(sparse(0.01, clipvalue=clip, l2_regularization_strength=STRENGTH), slices, START)
    theirs = train_penalized(dense(0.01), slices, clip)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=2e-6)
    without = train_sparse(sparse(0.01, clipvalue=clip), slices, START)
    assert np.abs(ours.numpy() - without.numpy()).max() > 1e-3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_that_no_step_touches_stay_as_they_are(name: str) -> None:
    optimizer = OPTIMIZERS[name][0](0.01, l2_regularization_strength=STRENGTH)
    table = train_sparse(optimizer, random_slices(10, 3), START).numpy()
    assert np.array_equal(table[TOUCHED:], START[TOUCHED:])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_dense_gradients_have_no_penalty(name: str) -> None:
    sparse, dense = OPTIMIZERS[name]
    ours, theirs = keras.Variable(START[:16]), keras.Variable(START[:16])
    optimizer, reference = sparse(0.01, l2_regularization_strength=STRENGTH), dense(0.01)
    for _, values in random_slices(10, 3):
        optimizer.apply([tf.constant(values)], [ours])
        reference.apply([tf.constant(values)], [theirs])
    assert np.array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_strength_is_part_of_the_configuration(name: str) -> None:
    optimizer = OPTIMIZERS[name][0](l2_regularization_strength=STRENGTH)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert again.l2_regularization_strength == STRENGTH


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), True, None])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_no_strength_is_refused(name: str, strength: Any) -> None:
    with pytest.raises(ConfigError, match="l2_regularization_strength is a .*number.*Received"):
        OPTIMIZERS[name][0](l2_regularization_strength=strength)
