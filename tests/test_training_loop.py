"""The loop of several steps a call equals a loop written by hand, however many steps a call has."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from feature_cases import dataset, labels, raw_columns, schema_of, small, statistics_of

from tfwd.model import WideDeep, build_model
from tfwd.optimizers import JointOptimizer, LazyAdam, SparseFtrl

BATCHES, SIZE, EPOCHS = 7, 32, 2
CONFIG = small(model__dropout=0.3)
# The last batch is not full.
COLUMNS = raw_columns((BATCHES - 1) * SIZE + 5)

pytestmark = pytest.mark.filterwarnings("ignore:.*shuffle=True.*")


def new(**options: Any) -> tuple[WideDeep, tf.data.Dataset]:
    model = build_model(CONFIG, statistics_of(CONFIG, COLUMNS), schema_of(CONFIG))
    model.compile(JointOptimizer(SparseFtrl(0.2), LazyAdam(0.01)), metrics=[keras.metrics.BinaryAccuracy()], **options)
    return model, model.prepare(dataset(CONFIG, COLUMNS, labels(COLUMNS), SIZE))


@pytest.fixture(scope="module")
def by_hand() -> tuple[list[np.ndarray], list[float], list[float]]:
    """Weights, and loss and accuracy of each epoch, of a plain loop with TensorFlow's own logistic loss."""
    model, rows = new()
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    losses, accuracies = [], []
    for _ in range(EPOCHS):
        total = hits = seen = 0.0
        for x, y in rows:
            with tf.GradientTape() as tape:
                logits = model.ranker(x, training=True)
                loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, logits))
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
            total += float(loss) * len(y)
            hits += float(tf.reduce_sum(tf.cast((logits > 0) == (y > 0.5), tf.float32)))
            seen += len(y)
        losses.append(total / seen)
        accuracies.append(hits / seen)
    return [variable.numpy() for variable in model.variables], losses, accuracies


class Calls(keras.callbacks.Callback):
    """The last batch of each call of the train function, as fit tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(batch)


@pytest.mark.parametrize(("steps", "calls"), [(1, 7), (4, 2), (16, 1)])
def test_equals_a_loop_by_hand(steps: int, calls: int, by_hand: tuple[list, list, list]) -> None:
    model, rows = new(steps_per_execution=steps)
    counted = Calls()
    history = model.fit(rows, epochs=EPOCHS, verbose=0, callbacks=[counted]).history
    weights, losses, accuracies = by_hand
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(history["binary_accuracy"], accuracies, rtol=1e-6)
    for variable, expected in zip(model.variables, weights, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=1e-4, atol=1e-6, err_msg=variable.path)
    assert int(model.optimizer.iterations) == EPOCHS * BATCHES
    assert len(counted.ends) == EPOCHS * calls


def test_eager_loop_of_keras_gives_the_same(by_hand: tuple[list, list, list]) -> None:
    model, rows = new(run_eagerly=True)
    np.testing.assert_allclose(model.fit(rows, epochs=EPOCHS, verbose=0).history["loss"], by_hand[1], rtol=1e-5)


def test_a_new_compile_makes_a_new_function() -> None:
    model, rows = new(steps_per_execution=4)
    model.fit(rows, verbose=0)
    before = model.train_function
    model.compile(JointOptimizer(SparseFtrl(0.2), LazyAdam(0.01)), steps_per_execution=2)
    model.fit(rows, verbose=0)
    assert model.train_function is not before
    assert int(model.optimizer.iterations) == BATCHES
