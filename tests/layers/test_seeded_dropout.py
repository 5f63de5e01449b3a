"""Dropout masks are a function of seed and step, so that a resumed training goes on with the same ones."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfwd.layers.seeded_dropout import SeededDropout

ONES = tf.ones((400, 250))


def masks(layer: SeededDropout, steps: int) -> np.ndarray:
    return np.stack([layer(ONES, training=True).numpy() for _ in range(steps)])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_scale(rate: float) -> None:
    found = masks(SeededDropout(rate), 1)[0]
    # 100,000 units: five standard deviations.
    assert abs((found == 0).mean() - rate) < 5 * (rate * (1 - rate) / found.size) ** 0.5
    np.testing.assert_allclose(np.unique(found), [0.0, 1 / (1 - rate)], rtol=1e-6)


def test_mask_follows_seed_and_step() -> None:
    first, again, other = (
        masks(SeededDropout(0.5, 3), 3),
        masks(SeededDropout(0.5, 3), 3),
        masks(SeededDropout(0.5, 4), 3),
    )
    np.testing.assert_array_equal(first, again)
    # Independent masks of one half agree in one half of the units.
    for one, two in [(first[0], first[1]), (first[1], first[2]), (first[0], other[0]), (first[1], other[0])]:
        assert abs((one == two).mean() - 0.5) < 0.01


def test_graph_draws_what_eager_draws() -> None:
    layer = SeededDropout(0.5, 3)
    layer.build(ONES.shape)
    step = tf.function(lambda x: layer(x, training=True))
    np.testing.assert_array_equal(np.stack([step(ONES) for _ in range(3)]), masks(SeededDropout(0.5, 3), 3))


def test_nothing_happens_outside_of_training() -> None:
    layer = SeededDropout(0.5)
    np.testing.assert_array_equal(layer(ONES), ONES)
    assert int(layer.step) == 0
    np.testing.assert_array_equal(SeededDropout(0.0)(ONES, training=True), ONES)


def test_saved_model_goes_on_with_the_same_masks(tmp_path: Path) -> None:
    inputs = keras.Input((250,))
    model = keras.Model(inputs, SeededDropout(0.5, 9)(inputs))
    for _ in range(5):
        model(ONES, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for _ in range(3):
        np.testing.assert_array_equal(loaded(ONES, training=True), model(ONES, training=True))
