"""JointOptimizer: one head a variable, heads that train as if alone, a state that survives."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_cases import ROWS, click_batches, two_headed_model

from tfwd.errors import ConfigError
from tfwd.optimizers import JointOptimizer, LazyAdam, SparseAdagrad, SparseFtrl, SparseSgd
from tfwd.optimizers.joint import head_of


def compiled(optimizer: keras.optimizers.Optimizer, eager: bool = False) -> keras.Model:
    """`eager`: a model that takes so few steps that a graph of them would not pay."""
    model = two_headed_model()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False, run_eagerly=eager)
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
    both = compiled(JointOptimizer(wide=SparseFtrl(), deep=SparseAdagrad(0.1)), eager=True)
    train(both, [batch])
    for optimizer, head in ((SparseFtrl(), "wide"), (SparseAdagrad(0.1), "deep")):
        alone = compiled(optimizer, eager=True)
        train(alone, [batch])
        for ours, theirs in zip(both.variables, alone.variables, strict=True):
            if head_of(ours.path) == head:
                np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-7)


def test_variables_lists_the_slots_of_both_heads() -> None:
    model = compiled(joint(), eager=True)
    train(model, click_batches(1))
    optimizer = model.optimizer
    everything = {id(v) for v in optimizer.variables}
    assert {id(v) for v in [*optimizer.wide.variables, *optimizer.deep.variables]} < everything
    # Own counter and unused rate; those of each head; 2 slots for 1 wide and 3 deep variables.
    assert len(everything) == len(optimizer.variables) == 2 + 4 + 2 + 6


@dataclasses.dataclass(frozen=True)
class Straight:
    """A model that was saved half-way, in both forms, and went on: its state then, and what came of the rest."""

    file: Path
    checkpoint: str
    half: list[np.ndarray]
    rest: list[tuple[np.ndarray, np.ndarray]]
    losses: list[float]
    end: list[np.ndarray]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straight:
    folder, batches = tmp_path_factory.mktemp("straight"), click_batches(20)
    model = compiled(joint())
    train(model, batches[:10])
    model.save(folder / "half.keras")
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(folder / "ckpt")
    half, rest = state_of(model), batches[10:]
    losses = train(model, rest)
    return Straight(folder / "half.keras", checkpoint, half, rest, losses, state_of(model))


def test_saved_loaded_and_continued_equals_uninterrupted(straight: Straight) -> None:
    model = keras.saving.load_model(straight.file, safe_mode=True)
    assert isinstance(model.optimizer, JointOptimizer)
    for before, after in zip(straight.half, state_of(model), strict=True):
        assert np.array_equal(before, after)
    model.compile(model.optimizer, model.loss, jit_compile=False)
    assert train(model, straight.rest) == straight.losses
    for one, other in zip(straight.end, state_of(model), strict=True):
        assert np.array_equal(one, other)


def test_a_tensorflow_checkpoint_restores_the_slots(straight: Straight) -> None:
    fresh = compiled(joint())
    fresh.optimizer.build(fresh.trainable_variables)
    restored = tf.train.Checkpoint(model=fresh, optimizer=fresh.optimizer).read(straight.checkpoint)
    restored.assert_existing_objects_matched()
    assert train(fresh, straight.rest) == straight.losses


def test_a_file_holds_each_slot_once(tmp_path: Path) -> None:
    model = compiled(joint(), eager=True)
    train(model, click_batches(1))
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    shapes: dict[str, tuple[int, ...]] = {}
    with h5py.File(tmp_path / "model.weights.h5") as stored:
        stored.visititems(lambda name, item: shapes.update({name: getattr(item, "shape", ())}))
    slots = [name for name, shape in shapes.items() if shape == (ROWS, 1) and "optim" in name]
    assert len(slots) == 2


def test_learning_rates_belong_to_the_heads() -> None:
    optimizer = joint()
    with pytest.raises(AttributeError, match="sub-optimizers"):
        _ = optimizer.learning_rate
    optimizer.wide.learning_rate = 0.25
    assert float(optimizer.wide.learning_rate) == 0.25
    assert float(optimizer.deep.learning_rate) == pytest.approx(0.01)


def test_callbacks_of_keras_change_both_rates() -> None:
    """One halves them after the second and the third epoch, the other takes a third of them before each of three."""
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=100.0)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 3)
    ids, labels = click_batches(1)[0]
    model = compiled(joint())
    model.fit(ids, labels, epochs=3, verbose=0, callbacks=[plateau, scheduler])
    assert float(model.optimizer.wide.learning_rate) == pytest.approx(0.1 * 0.25 / 27)
    assert float(model.optimizer.deep.learning_rate) == pytest.approx(0.01 * 0.25 / 27)


def test_inside_the_multi_optimizer_of_keras() -> None:
    chosen = keras.optimizers.OptimizerMap(LazyAdam(0.01), {"(.*/)?wide/.*": SparseFtrl()})
    theirs = compiled(keras.optimizers.MultiOptimizer(chosen), eager=True)
    ours = compiled(JointOptimizer(wide=SparseFtrl(), deep=LazyAdam(0.01)), eager=True)
    assert train(theirs, click_batches(5)) == train(ours, click_batches(5))
