"""JointOptimizer: one head a variable, heads that train as if alone, a state that survives."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_cases import ROWS, click_batches, two_headed_model

from tfwd.errors import ConfigError
from tfwd.optimizers import JointOptimizer, LazyAdam, SparseAdagrad, SparseFtrl, SparseSgd
from tfwd.optimizers.joint import head_of


def compiled(optimizer: keras.optimizers.Optimizer) -> keras.Model:
    model = two_headed_model()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)
    return model


def joint() -> JointOptimizer:
    return JointOptimizer(wide=SparseFtrl(l1_regularization_strength=0.001, beta=1.0), deep=LazyAdam(0.01))


def train(model: keras.Model, batches: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    return [float(model.train_on_batch(ids, labels)) for ids, labels in batches]


def state_of(model: keras.Model) -> list[np.ndarray]:
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("wide/table", "wide"),
        ("model/wide/table", "wide"),
        ("deep/tower/dense/kernel", "deep"),
        ("model_1/deep/bias", "deep"),
    ],
)
def test_head_by_path(path: str, head: str) -> None:
    assert head_of(path) == head


@pytest.mark.parametrize(
    ("path", "belongs"),
    [
        ("bias", "no head"),
        ("wider/table", "no head"),
        ("wide", "no head"),
        ("deep/wide/kernel", "both heads"),
    ],
)
def test_a_variable_of_no_head_or_both_is_an_error_at_build(path: str, belongs: str) -> None:
    variable = keras.Variable(np.zeros(3, np.float32), name=path.rsplit("/", 1)[-1])
    variable._path = path
    with pytest.raises(ConfigError, match=f"'{path}' belongs to {belongs}"):
        joint().build([variable])


@pytest.mark.parametrize(("head", "variable"), [("wide", "deep/embedding/table"), ("deep", "wide/table")])
def test_a_head_without_optimizer_is_an_error_at_build(head: str, variable: str) -> None:
    only = JointOptimizer(**{head: SparseSgd()})
    other = variable.split("/")[0]
    with pytest.raises(ConfigError, match=f"{variable}' belongs to the {other} head, which has no"):
        only.build(two_headed_model().trainable_variables)


def test_needs_an_optimizer_for_each_head_of_its_own() -> None:
    with pytest.raises(ConfigError, match="needs an optimizer"):
        JointOptimizer()
    same = SparseSgd()
    with pytest.raises(ConfigError, match="same object"):
        JointOptimizer(wide=same, deep=same)


def test_each_head_moves_as_with_its_optimizer_alone() -> None:
    batch = click_batches(1)[0]
    both = compiled(JointOptimizer(wide=SparseFtrl(), deep=SparseAdagrad(0.1)))
    train(both, [batch])
    for optimizer, head in ((SparseFtrl(), "wide"), (SparseAdagrad(0.1), "deep")):
        alone = compiled(optimizer)
        train(alone, [batch])
        for ours, theirs in zip(both.variables, alone.variables, strict=True):
            if head_of(ours.path) == head:
                np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-7)


def test_variables_lists_the_slots_of_both_heads() -> None:
    model = compiled(joint())
    train(model, click_batches(1))
    optimizer = model.optimizer
    everything = {id(v) for v in optimizer.variables}
    assert {id(v) for v in [*optimizer.wide.variables, *optimizer.deep.variables]} < everything
    # Own counter and unused rate; those of each head; 2 slots for 1 wide and 3 deep variables.
    assert len(everything) == len(optimizer.variables) == 2 + 4 + 2 + 6


def test_saved_loaded_and_continued_equals_uninterrupted(tmp_path: Path) -> None:
    batches = click_batches(20)
    straight = compiled(joint())
    losses = train(straight, batches)
    first = compiled(joint())
    train(first, batches[:10])
    first.save(tmp_path / "half.keras")
    second = keras.saving.load_model(tmp_path / "half.keras", safe_mode=True)
    assert isinstance(second.optimizer, JointOptimizer)
    for before, after in zip(state_of(first), state_of(second), strict=True):
        assert np.array_equal(before, after)
    second.compile(second.optimizer, second.loss, jit_compile=False)
    assert train(second, batches[10:]) == losses[10:]
    for one, other in zip(state_of(straight), state_of(second), strict=True):
        assert np.array_equal(one, other)


def test_a_file_holds_each_slot_once(tmp_path: Path) -> None:
    model = compiled(joint())
    train(model, click_batches(1))
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    shapes: dict[str, tuple[int, ...]] = {}
    with h5py.File(tmp_path / "model.weights.h5") as stored:
        stored.visititems(lambda name, item: shapes.update({name: getattr(item, "shape", ())}))
    slots = [name for name, shape in shapes.items() if shape == (ROWS, 1) and "optim" in name]
    assert len(slots) == 2


def test_a_tensorflow_checkpoint_restores_the_slots(tmp_path: Path) -> None:
    batches = click_batches(10)
    model = compiled(joint())
    train(model, batches[:5])
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(tmp_path / "ckpt")
    losses = train(model, batches[5:])
    fresh = compiled(joint())
    fresh.optimizer.build(fresh.trainable_variables)
    restored = tf.train.Checkpoint(model=fresh, optimizer=fresh.optimizer).read(path)
    restored.assert_existing_objects_matched()
    assert train(fresh, batches[5:]) == losses


def test_learning_rates_belong_to_the_heads() -> None:
    optimizer = joint()
    with pytest.raises(AttributeError, match="sub-optimizers"):
        _ = optimizer.learning_rate
    optimizer.wide.learning_rate = 0.25
    assert float(optimizer.wide.learning_rate) == 0.25
    assert float(optimizer.deep.learning_rate) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("callback", "factor"),
    [
        (keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=100.0), 0.25),
        (keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5), 0.125),
    ],
    ids=["plateau", "scheduler"],
)
def test_callbacks_of_keras_change_both_rates(callback: Any, factor: float) -> None:
    ids, labels = click_batches(1)[0]
    model = compiled(joint())
    model.fit(ids, labels, epochs=3, verbose=0, callbacks=[callback])
    assert float(model.optimizer.wide.learning_rate) == pytest.approx(0.1 * factor)
    assert float(model.optimizer.deep.learning_rate) == pytest.approx(0.01 * factor)


def test_inside_the_multi_optimizer_of_keras() -> None:
    chosen = keras.optimizers.OptimizerMap(LazyAdam(0.01), {"(.*/)?wide/.*": SparseFtrl()})
    theirs = compiled(keras.optimizers.MultiOptimizer(chosen))
    ours = compiled(JointOptimizer(wide=SparseFtrl(), deep=LazyAdam(0.01)))
    assert train(theirs, click_batches(5)) == train(ours, click_batches(5))
