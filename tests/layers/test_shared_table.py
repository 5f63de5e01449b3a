"""A table is gathered from, never read as a whole. tests/optimizers/test_mirrored.py has that of two devices."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from graph_search import tensors_with_rows

from tfwd.layers.shared_table import SharedTable
from tfwd.optimizers import LazyAdam, SparseFtrl

ROWS = 12_345


def test_equals_indexing() -> None:
    layer = SharedTable(50, 3, stddev=1.0, seed=5)
    ids = np.random.default_rng(1).integers(0, 50, (7, 4)).astype(np.int32)
    found = layer(tf.constant(ids)).numpy()
    np.testing.assert_array_equal(found, layer.table.numpy()[ids])


def test_padding_row_is_zero_and_stays_so() -> None:
    layer = SharedTable(200, 8, stddev=0.5, seed=5)
    ids = tf.constant([[0, 1, 0], [2, 3, 1]])
    layer.build(ids.shape)
    start = layer.table.numpy()
    assert (start[0] == 0).all()
    assert abs(start[1:].std() / 0.5 - 0.88) < 0.05  # a normal cut off at two standard deviations
    optimizer = LazyAdam(0.1)
    optimizer.build([layer.table])
    for _ in range(3):
        with tf.GradientTape() as tape:
            # No head sends padding into its sum without a mask: its rows are those of features, from 1.
            loss = tf.reduce_sum(tf.square(layer(ids[1:]) - 1.0))
        optimizer.apply([tape.gradient(loss, layer.table.value)], [layer.table])
    moved = np.abs(layer.table.numpy() - start).max(axis=1) > 0
    assert np.flatnonzero(moved).tolist() == [1, 2, 3]


def test_seed_makes_the_table() -> None:
    def table(seed: int) -> np.ndarray:
        layer = SharedTable(20, 2, stddev=1.0, seed=seed)
        layer.build((None, 1))
        return layer.table.numpy()

    np.testing.assert_array_equal(table(1), table(1))
    assert (table(1)[1:] != table(2)[1:]).all()
    zeros = SharedTable(20, 2)
    zeros.build((None, 1))
    assert not zeros.table.numpy().any()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("optimizer", [SparseFtrl, LazyAdam])
def test_step_reads_no_whole_table(optimizer: type, policy: str) -> None:
    layer = SharedTable(ROWS, 4, stddev=1.0, dtype=policy)
    layer.build((None, 2))
    chosen = optimizer(0.1)
    chosen.build([layer.table])

    @tf.function
    def step(ids: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(ids)))
        gradient = tape.gradient(loss, layer.table.value)
        assert isinstance(gradient, tf.IndexedSlices)
        chosen.apply([gradient], [layer.table])

    assert tensors_with_rows(step.get_concrete_function(tf.constant([[1, 2]])).graph, ROWS) == []

    @tf.function
    def dense(ids: tf.Tensor) -> tf.Tensor:
        return tf.gather(layer.table.value + 0.0, ids)

    # The search finds what it is for.
    assert tensors_with_rows(dense.get_concrete_function(tf.constant([[1, 2]])).graph, ROWS)
