"""Crosses equal Keras' and TensorFlow's own, and stay where they are when a vocabulary is learned again."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfwd.layers.cross_features import CrossFeatures
from tfwd.layers.fingerprint import OOV_TOKEN, fingerprint64, vocabulary_fingerprints

ROWS = 50_000
BINS = (1, 2, 97, 1000, 2**20, 2**31 - 1)
CITIES = ["Paris", "Köln", "北京", "", "a b", "x\ny", "nul\0", "0"]
JOBS = [f"job {index}" for index in range(300)]
BUCKETS = 12


def raw_rows() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """City and job as strings, a bucket id, and any string at all."""
    random = np.random.default_rng(5)
    hashed = [f"user-{number:x}" for number in random.integers(0, 2**60, ROWS)]
    return (
        tf.gather(CITIES, random.integers(0, len(CITIES), ROWS)),
        tf.gather(JOBS, random.integers(0, len(JOBS), ROWS)),
        tf.constant(random.integers(0, BUCKETS, ROWS)),
        tf.constant(hashed),
    )


def ids_of(values: tf.Tensor, vocabulary: list[str]) -> tf.Tensor:
    """By a dict: 0 OOV, 1 missing, then the vocabulary."""
    known = {"": 1, **{word: index + 2 for index, word in enumerate(vocabulary)}}
    return tf.constant([known.get(value.decode(), 0) for value in values.numpy()], tf.int64)


@pytest.fixture(scope="module")
def crossed() -> tuple[list[tuple[list[tf.Tensor], int]], np.ndarray]:
    """What Keras is given for each cross, and what one layer with all crosses says."""
    city, job, bucket, user = raw_rows()
    cities, jobs = [word for word in CITIES if word], JOBS
    keys = {"city": (city, 0), "job": (job, 1), "bucket": (bucket, 2), "user": (user, 3)}
    wanted = [
        *itertools.product([("city", "job"), ("job", "bucket"), ("bucket", "user"), ("user", "city")], BINS),
        *itertools.product([("city", "job", "bucket"), ("user", "bucket", "job"), ("user", "job", "city")], BINS),
    ]
    layer = CrossFeatures(
        [[keys[name][1] for name in names] for names, _ in wanted],
        [bins for _, bins in wanted],
        [len(cities) + 2, len(jobs) + 2, BUCKETS, 50],
        [True, True, False, False],
        hashed=[3],
    )
    # The hashed key has a column of local ids too, which no cross reads.
    ids = tf.stack([ids_of(city, cities), ids_of(job, jobs), bucket, tf.zeros_like(bucket)], axis=1)
    layer.build(None)
    layer.set_fingerprints([vocabulary_fingerprints(cities), vocabulary_fingerprints(jobs)])
    answers = layer([ids, fingerprint64(user)[:, tf.newaxis]]).numpy()
    return [([keys[name][0] for name in names], bins) for names, bins in wanted], answers


@pytest.mark.parametrize("index", range(7 * len(BINS)))
def test_equals_hashed_crossing(index: int, crossed: tuple[list, np.ndarray]) -> None:
    (inputs, bins), answer = crossed[0][index], crossed[1][:, index]
    expected = keras.layers.HashedCrossing(num_bins=bins)(tuple(inputs)).numpy().reshape(-1)
    assert np.count_nonzero(expected != answer) == 0
    assert bins < 3 or len(np.unique(answer)) > 50


def test_equals_tf_sparse_cross_hashed(crossed: tuple[list, np.ndarray]) -> None:
    index = 4 * len(BINS) + 3
    inputs, bins = crossed[0][index]
    # The hash key is what HashedCrossing passes, and the default.
    sparse = [tf.sparse.from_dense(tf.ones((ROWS, 1), tf.int32)).with_values(values) for values in inputs]
    expected = tf.sparse.cross_hashed(sparse, num_buckets=bins)
    np.testing.assert_array_equal(expected.values, crossed[1][:, index])


def cross_of(values: list[str], other: list[int], vocabulary: list[str], bins: int = 10_007) -> np.ndarray:
    layer = CrossFeatures([[0, 1]], [bins], [len(vocabulary) + 2, 9], [True, False])
    layer.build(None)
    layer.set_fingerprints([vocabulary_fingerprints(vocabulary)])
    ids = tf.stack([ids_of(tf.constant(values), vocabulary), tf.constant(other, tf.int64)], axis=1)
    return layer([ids]).numpy()[:, 0]


def test_bins_stay_when_the_vocabulary_is_learned_again() -> None:
    values = [*(JOBS * 3)[:800], ""]
    other = [index % 9 for index in range(len(values))]
    before = cross_of(values, other, JOBS)
    after = cross_of(values, other, ["a new one", *reversed(JOBS)])
    np.testing.assert_array_equal(before, after)
    assert len(np.unique(before)) > 700


def test_all_unseen_values_are_one_value_and_missing_is_another() -> None:
    bins = cross_of(["unseen", "never", OOV_TOKEN, "", "known"], [4] * 5, ["known"])
    assert bins[0] == bins[1] == bins[2]
    assert len(set(bins)) == 3


def test_exact_crosses_number_every_combination_once() -> None:
    sizes = [4, 3, 5]
    layer = CrossFeatures([[0, 1, 2], [2, 0], [1, 2]], [0, 0, 11], sizes, [False] * 3)
    layer.build(None)
    rows = list(itertools.product(*map(range, sizes)))
    answers = layer([tf.constant(rows, tf.int64)]).numpy()
    expected = [((a * 3 + b) * 5 + c, c * 4 + a) for a, b, c in rows]
    np.testing.assert_array_equal(answers[:, :2], expected)
    assert sorted(answers[:, 0]) == list(range(4 * 3 * 5))
    # The hashed cross between them keeps its column.
    hashed = keras.layers.HashedCrossing(11)(tuple(tf.constant(rows, tf.int64)[:, 1:][:, i] for i in range(2)))
    np.testing.assert_array_equal(answers[:, 2], hashed.numpy().reshape(-1))


def test_single_equals_the_layer() -> None:
    layer = CrossFeatures([[0, 1], [1, 0]], [13, 0], [4, 3], [True, False])
    layer.build(None)
    layer.set_fingerprints([vocabulary_fingerprints(["a", "b"])])
    rows = tf.constant(list(itertools.product(range(4), range(3))), tf.int64)
    answers = layer([rows]).numpy()
    np.testing.assert_array_equal(layer.single(0, rows), answers[:, 0])
    np.testing.assert_array_equal(layer.single(1, rows[:, ::-1]), answers[:, 1])
