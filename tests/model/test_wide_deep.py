"""`WideDeep` as a Keras model: what it computes, trains, saves, and goes on with."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from feature_cases import batch, dataset, kitchen_sink, labels, raw_columns, schema_of, small, statistics_of
from graph_search import tensors_with_rows

from tfwd.analysis.statistics import LabelStatistics
from tfwd.config.config import Config
from tfwd.errors import ConfigError, DataError, ExportError
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.model.build import base_logits, build_model
from tfwd.model.losses import ScaledSquaredError
from tfwd.model.wide_deep import WideDeep
from tfwd.optimizers import JointOptimizer, LazyAdam, SparseFtrl, SparseSgd
from tfwd.optimizers.joint import head_of

ROWS = 256
COLUMNS = raw_columns(ROWS)
LABELS = labels(COLUMNS)
CLASSES = ("a", "b", "c")

pytestmark = pytest.mark.filterwarnings("ignore:.*shuffle=True.*")


def few(**changes: Any) -> Config:
    """Three inputs for both heads, without what is crossed: where it is not about features, and quickest to trace."""
    features = [
        {"type": "categorical", "column": "city", "embedding": 4},
        {"type": "categorical", "column": "level", "vocabulary": ["low", "high"], "embedding": 4},
        {"type": "numeric", "column": "age", "wide": True},
    ]
    values = {"data": {"label": "bought"}, "features": features, "model": {"hidden_units": [4]}}
    return Config.of(values).replace(**changes)


def model_of(config: Config, tower: keras.layers.Layer | None = None) -> WideDeep:
    label = {
        "binary": None,
        "multiclass": LabelStatistics(0.0, 1.0, CLASSES, (0.5, 0.3, 0.2)),
        "regression": LabelStatistics(40.0, 12.0),
    }[config.task]
    schema = schema_of(config, CLASSES if config.task == "multiclass" else ("0", "1"))
    return build_model(config, statistics_of(config, COLUMNS, label), schema, tower)


@pytest.fixture(scope="module")
def unchanged() -> WideDeep:
    """A compiled model, for what leaves it as it is."""
    model = model_of(few())
    model.compile()
    return model


def labels_of(config: Config) -> np.ndarray:
    ages = np.nan_to_num(np.array(COLUMNS["age"]), nan=40.0)[:, np.newaxis].astype(np.float32)
    if config.task == "regression":
        return ages
    return np.digitize(ages, [30.0, 60.0]).astype(np.int64) if config.task == "multiclass" else LABELS


def plain_steps(rate: float = 0.1) -> JointOptimizer:
    """Of gradients alone, which is traced soonest."""
    return JointOptimizer(SparseSgd(rate), SparseSgd(rate))


@contextlib.contextmanager
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def rows_of(config: Config, *weights: np.ndarray, size: int = 64) -> tf.data.Dataset:
    return dataset(config, COLUMNS, labels_of(config), size, *weights)


def raw_of(config: Config) -> dict[str, tf.Tensor]:
    return batch(schema_of(config), COLUMNS)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def cross_entropy(probability: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -(y * np.log(probability) + (1 - y) * np.log1p(-probability))


@keras.saving.register_keras_serializable("tfwd_tests")
class Residual(keras.layers.Layer):
    """A tower of one's own, built when it is first used."""

    def build(self, input_shape: Any) -> None:
        self.inner = keras.layers.Dense(input_shape[-1], activation="relu")
        self.inner.build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs + self.inner(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def functional_tower(width: int) -> keras.Model:
    inputs = keras.Input((width,))
    return keras.Model(inputs, keras.layers.Dense(6, activation="tanh")(inputs))


KINDS = {
    "binary, wide": few(model__heads=["wide"]),
    "multiclass, both heads, batch norm and l2": small(
        task="multiclass", model__batch_norm=True, model__l2=0.01, model__hidden_units=[4]
    ),
    "regression, deep, one-hot": few(
        task="regression",
        model__heads=["deep"],
        features__level__one_hot=True,
        features__level__embedding=None,
        features__city__one_hot=True,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_learns_saves_and_trains_each_variable_with_one_head(kind: str, tmp_path: Path) -> None:
    config = KINDS[kind]
    model = model_of(config)
    assert {head_of(variable.path) for variable in model.trainable_variables} == set(config.model.heads)
    model.compile(steps_per_execution=4)
    before = [variable.numpy() for variable in model.trainable_variables]
    with no_warnings():
        losses = model.fit(model.transformed(rows_of(config)), epochs=4, verbose=0, shuffle=False).history["loss"]
    assert losses[-1] < losses[0]
    for old, variable in zip(before, model.trainable_variables, strict=True):
        assert (old != variable.numpy()).any(), variable.path
    answer = model(raw_of(config)).numpy()
    assert answer.shape == (ROWS, 3 if config.task == "multiclass" else 1)
    assert answer.dtype == np.float32
    if config.task == "multiclass":
        np.testing.assert_allclose(answer.sum(axis=1), 1.0, rtol=1e-5)
    if config.task == "binary":
        assert ((answer > 0) & (answer < 1)).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(raw_of(config)), answer)
    assert loaded.schema == model.schema
    assert loaded.layout == model.layout


def test_raw_and_prepared_batches_give_the_same() -> None:
    sink = model_of(kitchen_sink())
    sinks = rows_of(kitchen_sink(), size=ROWS)
    for (x, _), (ids, _) in zip(sinks, sink.transformed(sinks), strict=True):
        assert not sink.is_transformed(x)
        assert sink.is_transformed(ids)
        np.testing.assert_array_equal(sink(x), sink(ids))
    config = few()
    model = model_of(config)
    model.compile()
    raw, prepared = rows_of(config), model.transformed(rows_of(config))
    with no_warnings():
        assert model.evaluate(raw, verbose=0) == model.evaluate(prepared, verbose=0)
    inputs_only = model.transformed(raw.map(lambda x, y: x))
    np.testing.assert_array_equal(model.predict(inputs_only, verbose=0), model.predict(raw, verbose=0))


TRAINED = small(model__dropout=0.3)


@pytest.fixture(scope="module")
def trained() -> tuple[list[float], list[np.ndarray]]:
    """The losses of an epoch of raw batches, and what was learned in it."""
    model = model_of(TRAINED)
    model.compile(plain_steps(), metrics=[])
    with no_warnings():
        losses = model.fit(rows_of(TRAINED), verbose=0, shuffle=False).history["loss"]
    return losses, [variable.numpy() for variable in model.variables]


def test_training_on_prepared_batches_learns_what_raw_ones_teach(
    trained: tuple[list[float], list[np.ndarray]],
) -> None:
    model = model_of(TRAINED)
    model.compile(plain_steps(), metrics=[])
    assert model.fit(model.transformed(rows_of(TRAINED)), verbose=0).history["loss"] == trained[0]
    for found, expected in zip(model.variables, trained[1], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_sample_weights_enter_as_in_keras(task: str) -> None:
    config = few(task=task)
    model = model_of(config)
    weights = np.random.default_rng(3).gamma(1.0, 1.0, ROWS).astype(np.float32)
    answer, y = model(raw_of(config)).numpy().astype(float), labels_of(config)
    if task == "binary":
        losses = cross_entropy(answer, y)[:, 0]
    elif task == "multiclass":
        losses = -np.log(answer[np.arange(ROWS), y[:, 0]])
    else:
        losses = ((y - answer)[:, 0] / 12.0) ** 2
    # Keras divides by the rows, not by the weights.
    expected = (weights * losses).sum() / ROWS
    for shaped in (weights, weights[:, np.newaxis]) if task == "binary" else (weights,):
        # Keras relaxes its traced function when the rank of an input changes.
        model.compile(metrics=[])
        found = model.evaluate(rows_of(config, shaped), verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    if task == "binary":
        # The loss of a step is that of an evaluation, whatever the task.
        model.compile(plain_steps(1e-12), metrics=[])
        trained = model.fit(rows_of(config, weights), verbose=0).history["loss"][0]
        np.testing.assert_allclose(trained, expected, rtol=1e-5)


def test_regression_takes_labels_of_either_shape() -> None:
    loss = ScaledSquaredError(2.0)
    y, answer = np.float32([1, 2, 5]), np.float32([[1], [4], [9]])
    assert float(loss(y, answer)) == float(loss(y[:, np.newaxis], answer)) == pytest.approx((0 + 4 + 16) / 4 / 3)


@pytest.mark.parametrize("heads", [["wide"], ["wide", "deep"]])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_new_model_predicts_the_base_rate(task: str, heads: list[str]) -> None:
    config = small(task=task, model__heads=heads)
    answer = model_of(config)(raw_of(config)).numpy()
    expected = {"binary": LABELS.mean(), "multiclass": [0.5, 0.3, 0.2], "regression": 40.0}[task]
    if heads == ["wide"]:
        np.testing.assert_allclose(answer, np.broadcast_to(expected, answer.shape), rtol=1e-5)
    else:
        # The tower's random weights move single rows.
        scale = 12.0 if task == "regression" else 0.25
        np.testing.assert_allclose(answer.mean(axis=0), np.broadcast_to(expected, answer.shape[1:]), atol=scale)


def test_base_logits_are_finite_for_a_class_without_rows() -> None:
    config = small()
    for mean in (0.0, 1.0):
        statistics = statistics_of(config, COLUMNS, LabelStatistics(mean, 1.0, ("0", "1"), (1 - mean, mean)))
        (logit,), _ = base_logits(statistics, schema_of(config))
        assert sigmoid(logit) == pytest.approx(abs(mean - 0.5 / ROWS))
    multiclass = small(task="multiclass")
    statistics = statistics_of(config, COLUMNS, LabelStatistics(0.0, 1.0, CLASSES, (0.5, 0.5, 0.0)))
    assert np.isfinite(base_logits(statistics, schema_of(multiclass, CLASSES))[0]).all()


def test_goes_on_after_a_save_as_without_it(tmp_path: Path) -> None:
    config = few(model__dropout=0.3, model__embedding_dropout=0.2, model__batch_norm=True)
    model = model_of(config)
    optimizer = JointOptimizer(SparseFtrl(0.2, l1_regularization_strength=1e-4), LazyAdam(0.01))
    model.compile(optimizer, metrics=[], steps_per_execution=3)
    rows = model.transformed(rows_of(config))
    model.fit(rows, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.steps_per_execution == 3
    assert loaded.fit(rows, epochs=2, verbose=0).history == model.fit(rows, epochs=2, verbose=0).history
    ours = [*model.variables, *model.optimizer.variables]
    theirs = [*loaded.variables, *loaded.optimizer.variables]
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)


def test_own_loss_and_metrics_get_the_answer(tmp_path: Path) -> None:
    config = few()
    model = model_of(config)
    answer = model(raw_of(config)).numpy()
    for loss in ("mse", keras.losses.BinaryFocalCrossentropy()):
        model.compile(loss=loss, metrics=[keras.metrics.MeanSquaredError(name="squared")])
        found = model.evaluate(rows_of(config), verbose=0, return_dict=True)
        assert set(found) == {"loss", "squared"}
        assert found["squared"] == pytest.approx(((answer - LABELS) ** 2).mean(), rel=1e-4)
        assert found["loss"] == pytest.approx(float(np.mean(keras.losses.get(loss)(LABELS, answer))), rel=1e-4)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(rows_of(config), verbose=0, return_dict=True) == found


def test_own_loss_from_logits_gets_logits() -> None:
    config = few()
    model = model_of(config)
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2), metrics=[])
    y = LABELS * 0.8 + 0.1
    expected = cross_entropy(model(raw_of(config)).numpy().astype(float), y).mean()
    assert model.evaluate(rows_of(config), verbose=0, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-4)


def test_l2_is_in_the_loss() -> None:
    plain, penal = (model_of(few(model__hidden_units=[8, 4], model__l2=l2)) for l2 in (0.0, 0.1))
    for model in (plain, penal):
        model.compile(metrics=[])
    rows = rows_of(few())
    kernels = [v.numpy() for v in penal.trainable_variables if "dense_" in v.path and v.path.endswith("kernel")]
    assert len(kernels) == 2
    difference = penal.evaluate(rows, verbose=0) - plain.evaluate(rows, verbose=0)
    assert difference == pytest.approx(0.1 * sum((kernel**2).sum() for kernel in kernels), rel=1e-4)


@pytest.mark.parametrize("tower", ["layer", "built", "functional"])
def test_own_tower(tower: str, tmp_path: Path) -> None:
    config = few()
    width = 2 * 4 + 1
    own: keras.layers.Layer = {
        "layer": Residual(),
        "built": keras.layers.Dense(5, activation="relu"),
        "functional": functional_tower(width),
    }[tower]
    if tower == "built":
        own.build((None, width))
    given = own.get_weights()
    model = model_of(config, own)
    found = model.ranker.get_layer("deep").tower.get_weights()
    for one, two in zip(given, found, strict=False):
        np.testing.assert_array_equal(one, two)
    assert {head_of(variable.path) for variable in model.trainable_variables} == {"wide", "deep"}
    model.compile(plain_steps(), metrics=[])
    losses = model.fit(rows_of(config), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert any(
        (one != two).any() for one, two in zip(found, model.ranker.get_layer("deep").tower.get_weights(), strict=True)
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(raw_of(config)), model(raw_of(config)))


def test_refuses_xla(unchanged: WideDeep) -> None:
    with pytest.raises(ValueError, match="XLA has neither strings nor sparse updates"):
        unchanged.compile(jit_compile=True)
    model = model_of(few())
    model.compile(jit_compile="auto")
    assert not model.jit_compile


NOISE = {"aaa": 0.0, "bought": 1.0, "zzz": 2.0}


def test_inputs_go_by_name_in_call_fit_evaluate_and_predict() -> None:
    """A key more than inputs, as the label's column is, shifts Keras' own functional models by one."""
    config = few()
    raw, y = raw_of(config), LABELS
    # Some are called as what comes out of the transform is.
    noise = NOISE | {tensor.name: 3.0 for tensor in model_of(config).ranker.inputs}
    more = {**{name: tf.fill([ROWS], value) for name, value in noise.items()}, **raw}
    wide = {name: values[:, tf.newaxis] for name, values in more.items()}
    plain = {
        name: np.array([value.decode() for value in values.numpy()], object)
        if values.dtype == tf.string
        else values.numpy()
        for name, values in more.items()
    }
    expected, model = model_of(config)(raw).numpy(), model_of(config)
    prepared = {**model.transform(more), "aaa": more["aaa"]}
    for given in (more, wide, plain, prepared):
        np.testing.assert_array_equal(model(given), expected)
        np.testing.assert_allclose(model.predict(given, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(more), expected, atol=1e-6)
    np.testing.assert_array_equal(model.transform(more)["wide_ids"], model.transform(raw)["wide_ids"])

    def fitted(x: Any) -> tuple[WideDeep, list[float]]:
        model = model_of(config)
        model.compile(plain_steps(), metrics=[])
        rows = tf.data.Dataset.from_tensor_slices((x, y)).batch(64)
        losses = model.fit(rows, verbose=0).history["loss"]
        return model, [*losses, model.evaluate(x, y, batch_size=64, verbose=0)]

    model, found = fitted(more)
    assert found == fitted(raw)[1]
    losses = model.fit(plain, y, batch_size=64, validation_data=(plain, y), verbose=0).history
    assert {"loss", "val_loss"} <= set(losses)
    losses = model.fit(plain, y, 64, 1, 0, None, 0.0, (plain, y)).history
    assert {"loss", "val_loss"} <= set(losses)
    assert model.predict({name: values[:0] for name, values in plain.items()}, verbose=0).shape == (0, 1)


def test_datasets_of_tensorflow_train_by_name(tmp_path: Path) -> None:
    """As `make_csv_dataset` gives them: every column of the file, the text columns that no feature reads among them."""
    config = few()
    frame = pd.DataFrame({"aaa": "x", **{name: COLUMNS[name] for name in ("city", "level", "age")}, "zzz": "y"})
    frame["age"], frame["bought"] = frame["age"].fillna(0.0).clip(0, 90).astype(int), LABELS[:, 0].astype(int)
    frame.to_csv(tmp_path / "a.csv", index=False)

    def fitted(columns: list[str] | None) -> list[float]:
        rows = tf.data.experimental.make_csv_dataset(
            str(tmp_path / "a.csv"), 64, select_columns=columns, label_name="bought", num_epochs=1, shuffle=False
        )
        model = model_of(config)
        model.compile(plain_steps(), metrics=[])
        return model.fit(rows, epochs=2, verbose=0).history["loss"]

    assert fitted(None) == fitted(["city", "level", "age", "bought"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"city": None, "citty": ["Paris"] * ROWS}, "The batch has no input 'city'. Did you mean 'citty'?"),
        ({"age": tf.fill([ROWS], "39")}, "The input 'age' takes numbers. Received: a tensor of string"),
        ({"city": tf.fill([ROWS], 39)}, "The input 'city' takes text. Received: a tensor of int32"),
        ({"age": tf.zeros((ROWS, 2))}, r"The input 'age' takes one value per row, .* Received: shape \(256, 2\)"),
        ({"age": tf.zeros(3)}, "one number of rows. Received: 256 of 'city' and 3 of 'age'"),
        ({"city": tf.ragged.constant([["a"]] * ROWS)}, "'city' takes one value per row, .* Received: a RaggedTensor"),
    ],
)
def test_a_batch_that_is_none_of_the_models_is_refused_in_one_sentence(
    change: dict[str, Any], message: str, unchanged: WideDeep
) -> None:
    model = unchanged
    given = {name: value for name, value in {**raw_of(few()), **change}.items() if value is not None}
    for call in (model, model.predict, lambda x: model.fit(x, LABELS), lambda x: model.train_on_batch(x, LABELS)):
        with pytest.raises(DataError, match=message):
            call(given)


def test_no_batch_at_all_is_refused(unchanged: WideDeep) -> None:
    for given in (np.zeros((3, 3)), [np.zeros(3)] * 3, pd.DataFrame(COLUMNS)):
        with pytest.raises(DataError, match="A batch is a dict of inputs by name"):
            unchanged.predict(given)


def test_single_batches_train_as_fit_does(trained: tuple[list[float], list[np.ndarray]]) -> None:
    model = model_of(TRAINED)
    model.compile(plain_steps(), metrics=[])
    losses = [float(model.train_on_batch(x, y)) for x, y in rows_of(TRAINED)]
    for found, expected in zip(model.variables, trained[1], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert np.mean(losses) == pytest.approx(trained[0][0])
    assert losses[-1] < losses[0]
    raw = raw_of(TRAINED)
    assert model.test_on_batch(raw, LABELS) == pytest.approx(model.evaluate(raw, LABELS, verbose=0))


NUMBERS = [{"type": "bucketized", "column": "age", "boundaries": [18, 65]}, {"type": "numeric", "column": "income"}]


def test_keras_own_export_before_a_call_and_after(tmp_path: Path) -> None:
    city = {"type": "categorical", "column": "city", "embedding": 4}
    config = Config.of({"data": {"label": "bought"}, "features": [city, *NUMBERS], "model": {"hidden_units": [4]}})
    model, raw = model_of(config), raw_of(config)
    model.export(tmp_path / "before", verbose=False)
    expected = model(raw).numpy()
    model.export(tmp_path / "after", verbose=False)
    for name in ("before", "after"):
        loaded = tf.saved_model.load(tmp_path / name)
        np.testing.assert_allclose(loaded.serve(raw), expected, atol=1e-6)
    with pytest.raises(ExportError, match=r"cannot write vocabularies to 'onnx'. Use export.onnx.save\(model, file\)"):
        model.export(tmp_path / "m.onnx", format="onnx")


@pytest.mark.parametrize("how", ["clone", "config", "json"])
@pytest.mark.parametrize("features", ["all", "numbers"])
def test_a_model_of_a_configuration_alone_says_what_it_lacks(how: str, features: str, tmp_path: Path) -> None:
    config = small() if features == "all" else Config.of({"data": {"label": "bought"}, "features": NUMBERS})
    model = model_of(config)
    made = {
        "clone": keras.models.clone_model,
        "config": lambda model: WideDeep.from_config(model.get_config()),
        "json": lambda model: keras.models.model_from_json(model.to_json()),
    }[how](model)
    made.compile()
    message = "made from a configuration alone.* lacks the vocabularies, boundaries and ranges of its data. Load a"
    for use in (made, made.predict, lambda x: made.fit(x, LABELS)):
        with pytest.raises(ConfigError, match=message):
            use(raw_of(config))
    with pytest.raises(ConfigError, match=message):
        made.export(tmp_path / "x")
    made.set_weights(model.get_weights())
    if features == "numbers":
        np.testing.assert_array_equal(made(raw_of(config)), model(raw_of(config)))
    else:
        with pytest.raises(ConfigError, match=message):
            made(raw_of(config))


def test_hdf5_is_refused(unchanged: WideDeep, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"m.h5: an HDF5 file cannot hold a model's vocabularies. Save it as .k"):
        unchanged.save(tmp_path / "m.h5")


def test_a_file_whose_inputs_are_a_dict_goes_by_name_too() -> None:
    """Version 0.3.0 built functional models of dicts."""
    model, raw = model_of(small()), raw_of(small())
    saved = model.get_config()
    for part in ("transform", "ranker"):
        inputs = saved[part]["config"]["input_layers"]
        saved[part]["config"]["input_layers"] = {entry[0]: entry for entry in inputs}
    loaded = WideDeep.from_config(saved)
    for ours, theirs in zip(loaded.transform.layers, model.transform.layers, strict=True):
        if isinstance(ours, VocabularyLookup):
            ours.set_vocabulary(theirs.vocabulary)
    loaded.set_weights(model.get_weights())
    more = {"aaa": tf.zeros(ROWS), **raw}
    np.testing.assert_array_equal(loaded(more), model(raw))
    np.testing.assert_array_equal(loaded.transform(more)["wide_ids"], model.transform(raw)["wide_ids"])


def test_seed_makes_the_model() -> None:
    def weights(seed: int) -> list[np.ndarray]:
        return [v.numpy() for v in model_of(few(train__seed=seed)).trainable_variables]

    assert all((one == two).all() for one, two in zip(weights(1), weights(1), strict=True))
    assert any((one != two).any() for one, two in zip(weights(1), weights(2), strict=True))


def test_joint_gradient_is_that_of_the_paper() -> None:
    """P(y=1|x) = sigmoid(w_wide . [x, phi(x)] + w_deep . a + b) (section 3.3), by NumPy, for one step."""
    config = small(model__hidden_units=[3])
    model = model_of(config)
    model.compile(JointOptimizer(SparseSgd(1.0), SparseSgd(1.0)), metrics=[])
    generator = np.random.default_rng(4)
    for variable in model.trainable_variables:
        variable.assign(generator.normal(size=variable.shape).astype(np.float32))
    wide, deep = model.ranker.get_layer("wide"), model.ranker.get_layer("deep")
    ids = {name: value.numpy() for name, value in model.transform(raw_of(config)).items()}
    base = float(np.log(LABELS.mean() / (1 - LABELS.mean())))

    w, k = wide.table.table.numpy().astype(float), wide.kernel.numpy().astype(float)
    table = deep.embeddings[0].table.numpy().astype(float)
    dense, logits = deep.tower.layers[0], deep.logits
    w1, b1, w2, b2 = (v.numpy().astype(float) for v in (dense.kernel, dense.bias, logits.kernel, logits.bias))
    numeric = ids["numeric"].astype(float)
    inputs = np.concatenate([table[ids["embedding_4_ids"]].reshape(ROWS, -1), numeric], axis=1)
    before = inputs @ w1 + b1
    active = np.maximum(before, 0)
    z = base + w[ids["wide_ids"]].sum(axis=1) + numeric @ k + active @ w2 + b2
    np.testing.assert_allclose(model(raw_of(config)), sigmoid(z), rtol=1e-4, atol=1e-6)

    dz = (sigmoid(z) - LABELS) / ROWS
    dw = np.zeros_like(w)
    np.add.at(dw, ids["wide_ids"], dz[:, np.newaxis])
    d_before = (dz @ w2.T) * (before > 0)
    d_inputs = d_before @ w1.T
    d_table = np.zeros_like(table)
    np.add.at(d_table, ids["embedding_4_ids"], d_inputs[:, :-1].reshape(ROWS, -1, 4))
    gradients = [
        (wide.table.table, w, dw),
        (wide.kernel, k, numeric.T @ dz),
        (deep.embeddings[0].table, table, d_table),
        (dense.kernel, w1, inputs.T @ d_before),
        (dense.bias, b1, d_before.sum(axis=0)),
        (logits.kernel, w2, active.T @ dz),
        (logits.bias, b2, dz.sum(axis=0)),
    ]
    assert len(gradients) == len(model.trainable_variables)
    model.fit(rows_of(config, size=ROWS), verbose=0)
    for variable, start, gradient in gradients:
        np.testing.assert_allclose(variable, start - gradient, rtol=1e-4, atol=1e-6, err_msg=variable.path)


def test_a_step_reads_no_whole_table() -> None:
    config = small(features__city_x_age_buckets__bins=54_321, features__city__embedding=8)
    config = config.replace(features__level__embedding=8)
    model = model_of(config)
    # Metrics have variables, for which the step would be traced twice.
    model.compile(metrics=[])
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step)
    rows = model.layout.wide.rows
    assert rows > 54_321
    one = next(iter(rows_of(config)))
    assert tensors_with_rows(step.get_concrete_function(one).graph, rows) == []
