"""Buckets equal those of keras.layers.Discretization, beside it what Keras has not: missing and OOV."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwd.layers.bucketize import Bucketize, bucketize

# Denormal numbers are 0 for TensorFlow's kernels, which is tested by itself.
floats = st.floats(width=32, allow_nan=False, allow_subnormal=False)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
edges = st.lists(finite, min_size=1, max_size=40, unique_by=lambda x: x + 0.0).map(sorted)


def pure(values: list[float], boundaries: list[float]) -> np.ndarray:
    starts, counts = np.array([0], np.int32), np.array([len(boundaries)], np.int32)
    column = tf.constant(values, tf.float32)[:, tf.newaxis]
    return bucketize(column, tf.constant(boundaries, tf.float32), starts, counts).numpy()[:, 0]


def layer(boundaries: list[list[float]], oov: list[bool] | None = None) -> Bucketize:
    made = Bucketize([len(b) for b in boundaries], oov or [False] * len(boundaries))
    made.build((None, len(boundaries)))
    made.set_boundaries(boundaries)
    return made


@settings(max_examples=60, deadline=None)
@given(edges, st.lists(floats, max_size=50))
def test_equals_discretization(boundaries: list[float], values: list[float]) -> None:
    values = values + boundaries + [float("nan"), float("inf"), float("-inf"), 0.0, -0.0]
    expected = keras.layers.Discretization(bin_boundaries=boundaries)(np.array(values, np.float32))
    np.testing.assert_array_equal(pure(values, boundaries), expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(edges | st.just([]), min_size=1, max_size=6), st.data())
def test_columns_of_a_layer_do_not_mix(boundaries: list[list[float]], data: st.DataObject) -> None:
    oov = data.draw(st.lists(st.booleans(), min_size=len(boundaries), max_size=len(boundaries)))
    pool = (
        st.sampled_from(
            [*(edge for column in boundaries for edge in column), 0.5, float("nan"), float("inf"), float("-inf")]
        )
        | floats
    )
    rows = data.draw(st.lists(st.tuples(*[pool] * len(boundaries)), min_size=1, max_size=20))
    answers = layer(boundaries, oov)(tf.constant(rows, tf.float32)).numpy()
    for column, (edge, own) in enumerate(zip(boundaries, oov, strict=True)):
        for row, value in enumerate(np.array(rows, np.float32)[:, column]):
            expected = sum(value >= np.float32(b) for b in edge)
            if own and not any(value == np.float32(b) for b in edge):
                expected = len(edge) + 2
            if np.isnan(value):
                expected = len(edge) + 1
            assert answers[row, column] == expected


def test_values_on_and_beside_boundaries() -> None:
    below, above = np.nextafter(np.float32(2), np.float32(0)), np.nextafter(np.float32(2), np.float32(3))
    assert pure([0.9, 1.0, below, 2.0, above, 1e30], [1.0, 2.0]).tolist() == [0, 1, 1, 2, 2, 2]


def test_missing_has_its_own_bucket_in_the_layer_and_the_top_one_in_the_function() -> None:
    values = [float("-inf"), 0.0, 1.0, float("inf"), float("nan")]
    assert pure(values, [1.0, 2.0]).tolist() == [0, 0, 1, 2, 2]
    assert layer([[1.0, 2.0]])(tf.constant(values)[:, tf.newaxis]).numpy()[:, 0].tolist() == [0, 0, 1, 2, 3]


def test_exact_buckets_send_what_was_never_seen_to_oov() -> None:
    values = tf.constant([1.0, 1.5, 3.0, 0.0, 9.0, float("inf"), float("-inf"), float("nan")])[:, tf.newaxis]
    assert layer([[1.0, 3.0]], [True])(values).numpy()[:, 0].tolist() == [1, 4, 2, 4, 4, 4, 4, 3]


def test_denormals_are_zero() -> None:
    values = tf.constant([-1e-40, 1e-40, 0.0])[:, tf.newaxis]
    assert layer([[0.0]])(values).numpy()[:, 0].tolist() == [1, 1, 1]


def test_as_many_boundaries_as_promised() -> None:
    with pytest.raises(ValueError, match=r"Expected \[2\] boundaries. Received: \[1\]"):
        layer([[1.0, 2.0]]).set_boundaries([[1.0]])
