"""Repeated rows are summed first; clipping and the dense optimizers see the sums."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizer_cases import ROWS, as_dense, random_slices, train_dense, train_sparse

from tfwd import optimizers
from tfwd.errors import ConfigError
from tfwd.optimizers.sparse import deduplicate

SPARSE = ["sparse_ftrl", "lazy_adam", "adagrad", "sgd"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, ROWS - 1), max_size=30), st.sampled_from([np.int32, np.int64]))
def test_deduplicate_sums_each_row_once(ids: list[int], dtype: type) -> None:
    indices = np.array(ids, dtype)
    values = np.arange(2.0 * len(ids), dtype=np.float32).reshape(-1, 2)
    found = deduplicate(tf.IndexedSlices(tf.constant(values), tf.constant(indices)))
    assert found.indices.numpy().tolist() == list(dict.fromkeys(ids))
    assert found.indices.dtype == dtype
    dense = as_dense(found.indices.numpy(), found.values.numpy())
    assert np.array_equal(dense, as_dense(indices, values))


@pytest.mark.parametrize("clip", [{"clipnorm": 1.5}, {"clipvalue": 0.8}])
def test_clips_after_summing(clip: dict[str, float]) -> None:
    slices = random_slices(20, 2)
    start = np.ones((ROWS, 2), np.float32)
    table = train_sparse(optimizers.get("sgd", learning_rate=0.1, **clip), slices, start).numpy()
    expected = start.copy()
    for ids, values in slices:
        gradient = as_dense(ids, values)
        if "clipnorm" in clip:
            gradient *= min(1.0, clip["clipnorm"] / np.linalg.norm(gradient))
        else:
            gradient = np.clip(gradient, -clip["clipvalue"], clip["clipvalue"])
        expected -= np.float32(0.1) * gradient
    np.testing.assert_allclose(table, expected, rtol=0, atol=1e-6)


def test_clips_dense_gradients_as_keras_does() -> None:
    slices = random_slices(20, 2)
    start = np.ones((ROWS, 2), np.float32)
    ours = train_dense(optimizers.SparseSgd(0.1, clipnorm=1.5), slices, start)
    theirs = train_dense(keras.optimizers.SGD(0.1, clipnorm=1.5), slices, start)
    assert np.array_equal(ours.numpy(), theirs.numpy())


OPTIONS: list[dict[str, Any]] = [
    {},
    {"clipnorm": 1.5},
    {"global_clipnorm": 1.5},
    {"weight_decay": 0.01},
    {"loss_scale_factor": 8.0},
    {"use_ema": True},
    {"gradient_accumulation_steps": 2},
]


# Both have their options from one class of Keras and their sums from one of tfwd.
@pytest.mark.parametrize(
    ("name", "keras_class", "options"),
    [
        *(("adam", keras.optimizers.Adam, options) for options in OPTIONS),
        *(("ftrl", keras.optimizers.Ftrl, options) for options in OPTIONS[:2]),
    ],
    ids=str,
)
def test_dense_optimizers_equal_keras_on_summed_gradients(
    name: str, keras_class: type, options: dict[str, Any]
) -> None:
    slices = random_slices(20, 2)
    start = np.ones((ROWS, 2), np.float32)
    ours = optimizers.get(name, learning_rate=0.01, **options)
    more = {"initial_accumulator_value": 1e-5} if name == "ftrl" else {}
    theirs = keras_class(learning_rate=0.01, **more, **options)
    table = train_sparse(ours, slices, start)
    expected = train_dense(theirs, slices, start)
    np.testing.assert_allclose(table.numpy(), expected.numpy(), rtol=0, atol=1e-5)
    assert np.any(table.numpy() != start)


@pytest.mark.parametrize(
    "option",
    [
        {"global_clipnorm": 1.0},
        {"weight_decay": 0.01},
        {"use_ema": True},
        {"gradient_accumulation_steps": 2},
        {"loss_scale_factor": 2.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", SPARSE)
def test_options_that_go_dense_are_refused_by_name(name: str, option: dict[str, Any]) -> None:
    ((key, value),) = option.items()
    with pytest.raises(ConfigError, match=f"{key} needs the whole table.*Received: .*{value}"):
        optimizers.get(name, **option)


def test_a_constraint_on_a_table_is_refused() -> None:
    table = keras.Variable(np.ones((ROWS, 2), np.float32), name="table")
    table.constraint = keras.constraints.NonNeg()
    gradient = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([3]))
    with pytest.raises(ConfigError, match=r"constraint needs the whole table.*'table'"):
        optimizers.SparseSgd().apply([gradient], [table])
