"""Sums over bags, against `tf.nn.embedding_lookup_sparse`; and the way that trains against the one that ONNX has."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfwd.layers.bags import Bag, shares, summed, summed_with_padding

RANDOM = np.random.default_rng(8)
ROWS, DIM = 30, 5


def case(filled: float, weighted: bool) -> tuple[tf.Variable, tf.Tensor, tf.Tensor | None, list[Bag]]:
    bags = [Bag(4, "sum"), Bag(1, "mean"), Bag(7, "mean"), Bag(3, "sqrtn")]
    ids = np.where(RANDOM.random((20, 15)) < filled, RANDOM.integers(1, ROWS, (20, 15)), 0).astype(np.int32)
    weights = RANDOM.uniform(0.1, 3, ids.shape).astype(np.float32)
    table = RANDOM.normal(size=(ROWS, DIM)).astype(np.float32)
    table[0] = 0
    return tf.Variable(table), tf.constant(ids), tf.constant(weights) if weighted else None, bags


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("filled", [0.0, 0.05, 0.6, 1.0])
def test_equals_embedding_lookup_sparse(filled: float, weighted: bool) -> None:
    table, ids, weights, bags = case(filled, weighted)
    compact = summed(lambda rows: tf.gather(table, rows), ids, weights, bags).numpy()
    padded = summed_with_padding(lambda rows: tf.gather(table, rows), ids, weights, bags).numpy()
    np.testing.assert_allclose(compact, padded, atol=1e-5)
    start = 0
    for index, bag in enumerate(bags):
        part = ids[:, start : start + bag.width]
        sparse = tf.sparse.from_dense(tf.cast(part, tf.int64))
        known = None
        if weights is not None:
            chosen = tf.gather_nd(weights[:, start : start + bag.width], sparse.indices)
            known = tf.SparseTensor(sparse.indices, chosen, sparse.dense_shape)
        if len(sparse.values):
            expected = tf.nn.safe_embedding_lookup_sparse(table, sparse, known, combiner=bag.combiner)
            np.testing.assert_allclose(compact[: len(expected), index], expected, atol=1e-5)
            assert not compact[len(expected) :, index].any()
        else:
            assert not compact[:, index].any()
        start += bag.width


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_those_of_the_padded_form_without_the_padding_row(weighted: bool) -> None:
    table, ids, weights, bags = case(0.3, weighted)
    target = tf.constant(RANDOM.normal(size=(20, len(bags), DIM)), tf.float32)

    def gradient(sums: object) -> tf.IndexedSlices:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(target * sums(lambda rows: tf.gather(table, rows), ids, weights, bags))  # type: ignore[operator]
        return tape.gradient(loss, table)

    compact, padded = gradient(summed), gradient(summed_with_padding)
    assert 0 not in compact.indices.numpy()
    assert len(compact.indices) == np.count_nonzero(ids)
    dense = [tf.math.unsorted_segment_sum(g.values, g.indices, ROWS).numpy() for g in (compact, padded)]
    np.testing.assert_allclose(dense[0][1:], dense[1][1:], atol=1e-5)


def test_shares_of_a_bag() -> None:
    ids = tf.constant([[3, 0, 4], [0, 0, 0]])
    weights = tf.constant([[3.0, 9.0, 4.0], [1.0, 1.0, 1.0]])
    assert shares(ids, weights, [Bag(3, "sum")]).numpy().tolist() == [[3, 0, 4], [0, 0, 0]]
    np.testing.assert_allclose(shares(ids, weights, [Bag(3, "mean")]), [[3 / 7, 0, 4 / 7], [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(shares(ids, weights, [Bag(3, "sqrtn")]), [[0.6, 0, 0.8], [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(shares(ids, None, [Bag(3, "mean")]), [[0.5, 0, 0.5], [0, 0, 0]], rtol=1e-6)
