"""A table, dropout and a whole model under a MirroredStrategy, for the program `mirrored_steps`."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from feature_cases import dataset, labels, raw_columns, schema_of, small, statistics_of
from graph_search import tensors_with_rows

from tfwd.layers.seeded_dropout import SeededDropout
from tfwd.layers.shared_table import SharedTable
from tfwd.model.build import build_model
from tfwd.optimizers import JointOptimizer, SparseSgd

ROWS = 12_345
BATCH = 64


def check_table(strategy: tf.distribute.Strategy) -> None:
    with strategy.scope():
        table, dropout = SharedTable(ROWS, 3, stddev=1.0), SeededDropout(0.5)
        table.build((None, 2))
        dropout.build((None, 2, 3))
        outside = table(tf.constant([[1, 2]])).numpy()
    np.testing.assert_array_equal(outside, table.table.numpy()[[[1, 2]]])

    def step(ids: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            found = dropout(table(ids), training=True)
            loss = tf.reduce_sum(tf.square(found))
        gradient = tape.gradient(loss, table.table.value)
        assert isinstance(gradient, tf.IndexedSlices), type(gradient)
        return found

    @tf.function
    def run(ids: tf.Tensor) -> tf.Tensor:
        return strategy.run(step, args=(ids,))

    ids = tf.constant([[1, 2], [3, 4]])
    assert tensors_with_rows(run.get_concrete_function(ids).graph, ROWS) == []
    one, two = strategy.experimental_local_results(run(ids))
    assert (one.numpy() != two.numpy()).any(), "the replicas have the same mask"
    assert int(dropout.step.numpy()) == 1


def train(strategy: tf.distribute.Strategy) -> tuple[list[np.ndarray], list[float]]:
    """Plain gradient descent, to which the scale of the loss matters."""
    config = small(train__seed=3, model__hidden_units=[4])
    columns = raw_columns(4 * BATCH)
    with strategy.scope():
        model = build_model(config, statistics_of(config, columns), schema_of(config))
        model.compile(JointOptimizer(SparseSgd(0.5), SparseSgd(0.05)), metrics=[], steps_per_execution=2)
    batches = model.transformed(dataset(config, columns, labels(columns), BATCH))
    losses = model.fit(strategy.experimental_distribute_dataset(batches), epochs=2, verbose=0).history["loss"]
    return [variable.numpy() for variable in model.trainable_variables], losses


def check_training(mirrored: tf.distribute.Strategy) -> None:
    single, expected = train(tf.distribute.get_strategy())
    double, losses = train(mirrored)
    for one, two in zip(single, double, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert losses[1] < losses[0]
