"""The loop of several steps a call equals a loop written by hand, however many steps a call has."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from feature_cases import dataset, labels, raw_columns, schema_of, small, statistics_of

from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.optimizers import JointOptimizer, LazyAdam, SparseFtrl

BATCHES, SIZE, EPOCHS = 5, 32, 2
# A category and a number, which both heads read.
CONFIG = small(model__dropout=0.3)
CONFIG = CONFIG.model_copy(update={"features": [CONFIG.features[0], CONFIG.features[2]]})
# The last batch is not full.
COLUMNS = raw_columns((BATCHES - 1) * SIZE + 5)

pytestmark = pytest.mark.filterwarnings("ignore:.*shuffle=True.*")


def compiled() -> dict[str, Any]:
    optimizer = JointOptimizer(SparseFtrl(0.2), LazyAdam(0.01))
    return {"optimizer": optimizer, "metrics": [keras.metrics.BinaryAccuracy()]}


def new(**options: Any) -> tuple[WideDeep, tf.data.Dataset]:
    model = build_model(CONFIG, statistics_of(CONFIG, COLUMNS), schema_of(CONFIG))
    model.compile(**compiled(), **options)
    return model, model.transformed(dataset(CONFIG, COLUMNS, labels(COLUMNS), SIZE))


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


def assert_trains_as_by_hand(
    model: WideDeep, rows: tf.data.Dataset, calls: int, by_hand: tuple[list, list, list]
) -> None:
    counted = Calls()
    history = model.fit(rows, epochs=EPOCHS, verbose=0, callbacks=[counted]).history
    weights, losses, accuracies = by_hand
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(history["binary_accuracy"], accuracies, rtol=1e-6)
    for variable, expected in zip(model.variables, weights, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=1e-4, atol=1e-6, err_msg=variable.path)
    assert int(model.optimizer.iterations) == EPOCHS * BATCHES
    assert len(counted.ends) == EPOCHS * calls


def test_equals_a_loop_by_hand(by_hand: tuple[list, list, list]) -> None:
    model, rows = new()
    assert_trains_as_by_hand(model, rows, BATCHES, by_hand)


def test_equals_a_loop_by_hand_after_a_new_compile_too(by_hand: tuple[list, list, list]) -> None:
    model, rows = new(steps_per_execution=4)
    begun = [variable.numpy() for variable in model.variables]
    assert_trains_as_by_hand(model, rows, 2, by_hand)
    before = model.train_function
    for variable, value in zip(model.variables, begun, strict=True):
        variable.assign(value)
    model.compile(**compiled(), steps_per_execution=16)
    assert_trains_as_by_hand(model, rows, 1, by_hand)
    assert model.train_function is not before


def test_eager_loop_of_keras_gives_the_same(by_hand: tuple[list, list, list]) -> None:
    model, rows = new(run_eagerly=True)
    np.testing.assert_allclose(model.fit(rows, epochs=EPOCHS, verbose=0).history["loss"], by_hand[1], rtol=1e-5)
