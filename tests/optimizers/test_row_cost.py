"""A traced step of a row-sparse optimizer reads no whole table, anywhere in its graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from graph_search import tensors_with_rows
from optimizer_cases import click_batches, two_headed_model

import tfwd
from tfwd import optimizers
from tfwd.analysis.statistics import LabelStatistics

ROWS = 1234
PAIRS = {
    "ftrl_fused": lambda: (optimizers.SparseFtrl(kernel="fused"), optimizers.LazyAdam()),
    "ftrl_gather": lambda: (optimizers.SparseFtrl(kernel="gather"), optimizers.SparseSgd()),
    "amsgrad": lambda: (optimizers.SparseAdagrad(), optimizers.LazyAdam(amsgrad=True)),
    "rmsprop": lambda: (optimizers.SparseRmsprop(), optimizers.SparseRmsprop(centered=True)),
    "clipnorm": lambda: (optimizers.SparseFtrl(clipnorm=1.0), optimizers.LazyAdam(clipnorm=1.0)),
    "clipvalue": lambda: (optimizers.SparseSgd(clipvalue=1.0), optimizers.LazyAdam(clipvalue=1.0)),
    "l2": lambda: (
        optimizers.SparseAdagrad(l2_regularization_strength=0.1),
        optimizers.LazyAdam(l2_regularization_strength=0.1),
    ),
}


def tensors_as_long_as_the_table(step: Any, batch: tuple[np.ndarray, np.ndarray]) -> list[str]:
    """Operations of the step, nested functions included, with an output of ROWS rows."""
    return tensors_with_rows(step.get_concrete_function(*map(tf.constant, batch)).graph, ROWS)


def step_of(wide: Any, deep: Any) -> Any:
    model = two_headed_model(ROWS)
    optimizer = optimizers.JointOptimizer(wide, deep)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(ids: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(ids, training=True) - labels))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    return step


@pytest.mark.parametrize("pair", PAIRS)
def test_no_tensor_of_a_step_is_as_long_as_the_table(pair: str) -> None:
    assert tensors_as_long_as_the_table(step_of(*PAIRS[pair]()), click_batches(1)[0]) == []


def test_the_search_finds_the_reads_of_a_dense_optimizer() -> None:
    step = step_of(optimizers.DenseFtrl(), optimizers.LazyAdam())
    found = tensors_as_long_as_the_table(step, click_batches(1)[0])
    assert any(operation.startswith("ReadVariableOp") for operation in found)


def whole_tables_in_a_step(optimizer: optimizers.JointOptimizer) -> dict[str, list[str]]:
    """By table of a small model, the operations of its training step, metrics included, with an output as long."""
    wide, deep = (
        [tfwd.Categorical(f"{name}{i}", identity=rows, dtype="integer", **place) for i in range(2)]
        for name, rows, place in (("w", 1000, {}), ("d", 1500, {"wide": False, "embedding": 8}))
    )
    config = tfwd.Config(data=tfwd.DataConfig(label=tfwd.LabelConfig("y")), features=(*wide, *deep))
    schema = tfwd.Schema(
        inputs=tuple(tfwd.Input(name, name, "integer") for name in config.input_names()),
        task="binary",
        label="y",
        classes=("0", "1"),
    )
    label = LabelStatistics(0.5, classes=("0", "1"))
    model = tfwd.build_model(config, tfwd.FeatureStatistics(rows=9, label=label), schema)
    model.compile(optimizer)
    optimizer.build(model.trainable_variables)
    batch = {name: tf.constant([1, 2, 3], tf.int64) for name in config.input_names()}, tf.ones((3, 1))
    graph = tf.function(model.train_step).get_concrete_function(batch).graph
    return {table.name: tensors_with_rows(graph, table.rows) for table in model.layout.tables}


def test_no_tensor_of_a_whole_training_step_is_as_long_as_a_table() -> None:
    optimizer = optimizers.JointOptimizer(optimizers.SparseFtrl(), optimizers.LazyAdam())
    assert whole_tables_in_a_step(optimizer) == {"wide": [], "embedding_8": []}


def test_the_search_finds_the_tables_of_a_whole_dense_step() -> None:
    found = whole_tables_in_a_step(optimizers.JointOptimizer(optimizers.DenseFtrl(), optimizers.DenseAdam()))
    assert all(found.values())
