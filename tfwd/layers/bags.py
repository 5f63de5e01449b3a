"""Sums of table rows over bags of ids: several values of a feature, or one with a weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Bag(NamedTuple):
    """Columns of an id matrix that are summed.

    Attributes:
        width: the number of columns.
        combiner: `sum`, `mean` (weights divided by their sum) or `sqrtn` (by the root of the sum of their squares), as
            in `tf.nn.embedding_lookup_sparse`.
    """

    width: int
    combiner: str


def shares(ids: tf.Tensor, weights: tf.Tensor | None, bags: Sequence[Bag]) -> tf.Tensor:
    """Returns how much each place of a bag counts in its sum.

    Args:
        ids: int `(B, W)`, the columns of all bags, where 0 is padding.
        weights: float32 `(B, W)`, at least 0, or None for 1 each.
        bags: their widths add up to W.

    Returns:
        float32 `(B, W)`, 0 at padding.
    """
    present = tf.cast(tf.not_equal(ids, 0), tf.float32)
    counted = present if weights is None else weights * present
    parts = []
    start = 0
    for bag in bags:
        part = counted[:, start : start + bag.width]
        if bag.combiner == "mean":
            part /= _or_one(tf.reduce_sum(part, axis=1, keepdims=True))
        elif bag.combiner == "sqrtn":
            part /= tf.sqrt(_or_one(tf.reduce_sum(tf.square(part), axis=1, keepdims=True)))
        parts.append(part)
        start += bag.width
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)


def as_bags(entries: Sequence[tuple[int, str]] | int) -> list[Bag]:
    """Reads the bags of a saved layer. Version 0.3.0 saved the number of the wide head's columns, which were summed."""
    if isinstance(entries, int):
        return [Bag(entries, "sum")] if entries else []
    return [Bag(*entry) for entry in entries]


def _or_one(divisor: tf.Tensor) -> tf.Tensor:
    return tf.where(divisor > 0, divisor, tf.ones_like(divisor))


def summed(
    table: Callable[[tf.Tensor], tf.Tensor],
    ids: tf.Tensor,
    weights: tf.Tensor | None,
    bags: Sequence[Bag],
    dtype: str = "float32",
) -> tf.Tensor:
    """Returns the bags' sums over only the places that have a value, as a training step computes them.

    A table's padding row is neither read nor trained.

    Args:
        table: ids `(N,)` -> rows `(N, dim)`.
        ids, weights, bags: as in `shares`.
        dtype: the dtype of the sums. In float64 the order of the terms, which depends on the runtime, does not show.

    Returns:
        float32 `(B, len(bags), dim)`.
    """
    counted = shares(ids, weights, bags)
    places = tf.where(tf.not_equal(counted, 0))
    rows = table(tf.gather_nd(ids, places))
    bag = tf.constant(np.repeat(np.arange(len(bags)), [bag.width for bag in bags]), tf.int64)
    count = tf.shape(ids, out_type=tf.int64)[0]
    sums = places[:, 0] * len(bags) + tf.gather(bag, places[:, 1])
    found = tf.shape(places, out_type=tf.int64)[0]
    # A product with a sparse matrix: TensorFlow's segment sums take several times as long.
    members = tf.SparseTensor(
        tf.stack([sums, tf.range(found)], axis=1),
        tf.cast(tf.gather_nd(counted, places), dtype),
        tf.stack([count * len(bags), found]),
    )
    total = tf.cast(tf.sparse.sparse_dense_matmul(members, tf.cast(rows, dtype)), tf.float32)
    return tf.reshape(total, [-1, len(bags), rows.shape[-1]])


def summed_with_padding(
    table: Callable[[tf.Tensor], tf.Tensor],
    ids: tf.Tensor,
    weights: tf.Tensor | None,
    bags: Sequence[Bag],
    dtype: str = "float32",
) -> tf.Tensor:
    """Like `summed`, but over all places, in operations that ONNX has."""
    rows = tf.cast(table(ids) * tf.expand_dims(shares(ids, weights, bags), 2), dtype)
    parts = []
    start = 0
    for bag in bags:
        parts.append(tf.reduce_sum(rows[:, start : start + bag.width], axis=1, keepdims=True))
        start += bag.width
    return tf.cast(parts[0] if len(parts) == 1 else tf.concat(parts, axis=1), tf.float32)
