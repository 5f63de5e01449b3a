"""Random sparse gradients, and a small two-headed model, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

ROWS = 40
TOUCHED = 30  # rows TOUCHED.. of a table never get a gradient


def random_slices(steps: int, dim: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ids, values) of each step; ids repeat within a step and come back in later ones."""
    generator = np.random.default_rng(7)
    return [
        (
            generator.integers(0, TOUCHED, size=16).astype(np.int32),
            generator.normal(size=(16, dim)).astype(np.float32),
        )
        for _ in range(steps)
    ]


def slices_of_every_row(steps: int, dim: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ids, values) of each step; every row stands in every step, some of them twice."""
    generator = np.random.default_rng(8)
    ids = np.concatenate([np.arange(ROWS), np.arange(0, ROWS, 3)]).astype(np.int32)
    return [
        (
            generator.permutation(ids),
            generator.normal(size=(len(ids), dim)).astype(np.float32),
        )
        for _ in range(steps)
    ]


def as_dense(ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The gradient of a (ROWS, dim) table, repeated rows added up one by one."""
    dense = np.zeros((ROWS, values.shape[1]), values.dtype)
    for row, value in zip(ids, values, strict=True):
        dense[row] += value
    return dense


def train_sparse(
    optimizer: keras.optimizers.Optimizer,
    slices: list[tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
) -> keras.Variable:
    """Apply the slices to a table that begins at `start`, in one traced function."""
    table = keras.Variable(start, name="table")
    optimizer.build([table])

    @tf.function
    def step(ids: tf.Tensor, values: tf.Tensor) -> None:
        optimizer.apply([tf.IndexedSlices(values, ids, tf.constant(start.shape))], [table])

    for ids, values in slices:
        step(tf.constant(ids), tf.constant(values))
    return table


def train_dense(
    optimizer: keras.optimizers.Optimizer,
    slices: list[tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
) -> keras.Variable:
    """The same with the gradients summed into dense ones by NumPy."""
    table = keras.Variable(start, name="table")
    optimizer.build([table])

    @tf.function
    def step(gradient: tf.Tensor) -> None:
        optimizer.apply([gradient], [table])

    for ids, values in slices:
        step(tf.constant(as_dense(ids, values)))
    return table


def train_reference(
    row_step: Callable[..., np.ndarray],
    slices: list[tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    slots: dict[str, float],
) -> np.ndarray:
    """Row by row in float64: `row_step(weights, gradient, state, step)` for each touched row."""
    table = start.astype(np.float64)
    state = {name: np.full(table.shape, value) for name, value in slots.items()}
    for number, (ids, values) in enumerate(slices, start=1):
        gradient = as_dense(ids, values.astype(np.float64))
        for row in sorted(set(ids.tolist())):
            row_state = {name: slot[row] for name, slot in state.items()}
            table[row] = row_step(table[row], gradient[row], row_state, number)
            for name, slot in state.items():
                slot[row] = row_state[name]
    return table


@keras.saving.register_keras_serializable("tfwd_tests")
class SumOfRows(keras.layers.Layer):
    """The sum of the rows of a table that an example's ids name; reads nothing else of it."""

    def __init__(self, rows: int, dim: int, **options: Any) -> None:
        super().__init__(**options)
        self.rows = rows
        self.dim = dim

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight(shape=(self.rows, self.dim), initializer="zeros", name="table")

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        table = self.table.value
        replica = tf.distribute.get_replica_context()
        if hasattr(table, "values") and replica is not None:
            # `tf.gather` of a distributed variable reads all of it; of this replica's copy, rows.
            table = table.values[tf.get_static_value(replica.replica_id_in_sync_group)]
        return tf.reduce_sum(tf.gather(table, ids), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rows": self.rows, "dim": self.dim}


@keras.saving.register_keras_serializable("tfwd_tests")
class EmbeddedDense(keras.layers.Layer):
    """A dense layer over summed embeddings: a deep head with sparse and dense gradients."""

    def __init__(self, rows: int, dim: int, **options: Any) -> None:
        super().__init__(**options)
        self.embedding = SumOfRows(rows, dim, name="embedding")
        self.output_layer = keras.layers.Dense(1, name="output")

    def build(self, input_shape: Any) -> None:
        self.embedding.build(input_shape)
        self.output_layer.build((None, self.embedding.dim))

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        return self.output_layer(self.embedding(ids))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rows": self.embedding.rows,
            "dim": self.embedding.dim,
        }


def two_headed_model(rows: int = ROWS) -> keras.Model:
    """ids (B, 3) -> wide table + (embedding table, Dense) -> logit (B, 1)."""
    keras.utils.set_random_seed(3)
    ids = keras.Input((3,), dtype="int32", name="ids")
    wide = SumOfRows(rows, 1, name="wide")(ids)
    deep = EmbeddedDense(rows, 4, name="deep")(ids)
    return keras.Model(ids, keras.layers.Add(name="logit")([wide, deep]))


def click_batches(steps: int, rows: int = ROWS) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ids, labels) batches of 8 with repeated ids."""
    generator = np.random.default_rng(11)
    return [
        (
            generator.integers(0, rows // 2, size=(8, 3)).astype(np.int32),
            generator.integers(0, 2, size=(8, 1)).astype(np.float32),
        )
        for _ in range(steps)
    ]
