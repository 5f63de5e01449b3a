"""What every layer of tfwd.layers keeps: it serializes, tells its shapes, runs in tf.data and survives a save."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfwd.layers
from tfwd.analysis.statistics import NumericStatistics
from tfwd.config.features.numeric import Numeric
from tfwd.features.scaling import scales_of
from tfwd.layers.bag_weights import BagWeights
from tfwd.layers.bucketize import Bucketize
from tfwd.layers.cross_features import CrossFeatures
from tfwd.layers.datetime_parts import AgeInDays, CyclicalEncoding, DatetimeParts
from tfwd.layers.deep_head import DeepHead, tower
from tfwd.layers.direct_lookup import Fingerprint, HashedLookup, IdentityLookup
from tfwd.layers.fingerprint import vocabulary_fingerprints
from tfwd.layers.join_columns import JoinColumns
from tfwd.layers.latest_values import LatestValues
from tfwd.layers.logit_sum import LogitSum
from tfwd.layers.numeric_scaling import NumericScaling
from tfwd.layers.seeded_dropout import SeededDropout
from tfwd.layers.shared_table import SharedTable
from tfwd.layers.table_ids import TableIds
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.layers.wide_head import WideHead
from tfwd.schema import MISSING_INTEGER


def _learn_boundaries(layer: Bucketize) -> None:
    layer.set_boundaries([[1.0, 2.0], [0.5]])


def _learn_words(layer: VocabularyLookup) -> None:
    layer.set_vocabulary(["a", "line\nbreak", "Ω"])


def _learn_fingerprints(layer: CrossFeatures) -> None:
    layer.set_fingerprints([vocabulary_fingerprints(["a", "b"])])


def _learn_numbers(layer: NumericScaling) -> None:
    numbers = NumericStatistics(9, 0, 0.0, 9.0, 4.0, 2.0, 4.0, 1.0, 0.5, (1.0, 3.0, 5.0))
    feature = Numeric("x", normalization=("log", "quantile"), missing_indicator=True)
    layer.set_scales([scales_of(form, 0, feature, numbers) for form in layer.forms])


def _learn_base(layer: LogitSum) -> None:
    layer.set_base([0.5, -0.5], 3.0)


def _nothing(layer: keras.layers.Layer) -> None:
    """A layer that learns nothing from data."""


NUMBERS = np.array([[0.5, np.nan], [7.0, 0.2], [-np.inf, 3.0]], np.float32)
IDS = np.array([[0, 1], [3, 2], [1, 0]], np.int64)
MOMENTS = np.array([-1, 2**40, MISSING_INTEGER], np.int64)
ROWS = np.array([[0, 1], [5, 2], [7, 7]], np.int32)
WORDS = np.array([["a", ""], ["line\nbreak", "?"], ["Ω", "b"]])

Case = tuple[Callable[[], keras.layers.Layer], Callable[[Any], None], Any]
CASES: dict[str, Case] = {
    "bucketize": (lambda: Bucketize([2, 1], [False, True]), _learn_boundaries, NUMBERS),
    "cross_features": (
        lambda: CrossFeatures(
            [[0, 1], [1, 0], [0, 2]], [7, 0, 9], [4, 3, 9], [True, False, False], hashed=[2], lengths=[0, 2, 0]
        ),
        _learn_fingerprints,
        [np.array([[0, 1, -1, 5], [3, -1, -1, 5], [1, 0, 2, 5]]), np.array([[3], [2**63 + 5], [0]], np.uint64)],
    ),
    "datetime_parts": (lambda: DatetimeParts(["year", "week", "hour"]), _nothing, MOMENTS),
    "cyclical_encoding": (lambda: CyclicalEncoding("hour"), _nothing, np.array([0, 23, MISSING_INTEGER])),
    "age_in_days": (lambda: AgeInDays(0), _nothing, MOMENTS),
    "age_in_days_of_two": (AgeInDays, _nothing, [MOMENTS, MOMENTS[::-1]]),
    "deep_head": (
        lambda: DeepHead({"embedding_4": (9, 4)}, (4,), (1,), tower((3,), dropout=0.2, batch_norm=True), 2, 0.1, 3),
        _nothing,
        {"embedding_4_ids": ROWS, "one_hot_ids": ROWS[:, :1] % 4, "numeric": np.ones((3, 2), np.float32)},
    ),
    "deep_head_of_bags": (
        lambda: DeepHead(
            {"embedding_4": (9, 4)},
            (4,),
            (),
            tower((3,)),
            bags={"embedding_4": [(1, "sqrtn")], "one_hot": [(2, "sum")]},
            fixed={"embedding_4": (1, 0)},
        ),
        _nothing,
        {"embedding_4_ids": ROWS, "one_hot_ids": ROWS % 5, "one_hot_weights": np.ones((3, 2), np.float32)},
    ),
    "bag_weights": (lambda: BagWeights([1, -1, 0]), _nothing, NUMBERS),
    "latest_values": (lambda: LatestValues(1, pad=1), _nothing, [IDS, NUMBERS]),
    "fingerprint": (Fingerprint, _nothing, WORDS),
    "fingerprint_of_integers": (Fingerprint, _nothing, IDS),
    "hashed_lookup": (lambda: HashedLookup(5), _nothing, np.array([1, 2**64 - 1, 0x9AE16A3B2F90404F], np.uint64)),
    "identity_lookup": (lambda: IdentityLookup(3), _nothing, IDS),
    "join_columns": (lambda: JoinColumns("int64"), _nothing, [IDS[:, 0], ROWS, IDS[:, 1]]),
    "logit_sum": (lambda: LogitSum(2), _learn_base, [np.ones((3, 2), np.float32), np.ones((3, 2), np.float32)]),
    "numeric_scaling": (
        lambda: NumericScaling([1, 0, 1], ["log", "quantile", "missing"], [0, 3, 0]),
        _learn_numbers,
        NUMBERS,
    ),
    "seeded_dropout": (lambda: SeededDropout(0.5, seed=1), _nothing, np.ones((3, 2), np.float32)),
    "shared_table": (lambda: SharedTable(9, 2, stddev=1.0, seed=4), _nothing, ROWS),
    "table_ids": (lambda: TableIds([1, 0, 1], [1, 10, 100]), _nothing, IDS),
    "table_ids_of_buckets": (lambda: TableIds([1, 0], [1, 10]), _nothing, ROWS),
    "vocabulary_lookup": (lambda: VocabularyLookup(3), _learn_words, WORDS),
    "wide_head_of_bags": (
        lambda: WideHead(9, bags=[(1, "sum"), (1, "mean")]),
        _nothing,
        {"wide_ids": ROWS, "wide_weights": np.ones((3, 2), np.float32)},
    ),
    "wide_head": (
        lambda: WideHead(9, 2, numeric=(1,), use_bias=True),
        _nothing,
        {"wide_ids": ROWS, "numeric": np.ones((3, 2), np.float32)},
    ),
}


def as_tensors(values: Any) -> Any:
    return keras.tree.map_structure(tf.constant, values)


def symbolic(values: Any) -> Any:
    def leaf(value: tf.Tensor, name: str | None = None) -> keras.KerasTensor:
        return keras.Input(value.shape[1:], dtype=value.dtype.name, name=name)

    tensors = as_tensors(values)
    if isinstance(tensors, dict):
        return {name: leaf(value, name) for name, value in tensors.items()}
    return keras.tree.map_structure(leaf, tensors)


def ready(case: str) -> tuple[keras.layers.Layer, keras.Model, Any]:
    """The layer, with what it learns, in a functional model, and its inputs."""
    make, learn, values = CASES[case]
    layer = make()
    inputs = symbolic(values)
    model = keras.Model(inputs, layer(inputs))
    learn(layer)
    return layer, model, as_tensors(values)


def test_no_layer_is_left_out() -> None:
    modules = [importlib.import_module(f"tfwd.layers.{m.name}") for m in pkgutil.iter_modules(tfwd.layers.__path__)]
    defined = {
        value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, keras.layers.Layer) and not name.startswith("_")
    }
    assert defined == {type(make()) for make, _, _ in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_configuration_is_json_and_makes_an_equal_layer(case: str) -> None:
    layer = CASES[case][0]()
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(again) is type(layer)
    assert json.dumps(keras.saving.serialize_keras_object(again)) == text


@pytest.mark.parametrize("case", CASES)
def test_symbolic_call_promises_what_the_call_returns(case: str) -> None:
    layer, model, values = ready(case)
    for promised, returned in zip(model.outputs, keras.tree.flatten(layer(values)), strict=True):
        assert promised.dtype == returned.dtype.name
        assert len(promised.shape) == len(returned.shape)
        pairs = zip(promised.shape, returned.shape, strict=True)
        assert all(wanted in (None, found) for wanted, found in pairs)
        # Only the batch is unknown.
        assert None not in promised.shape[1:]


@pytest.mark.parametrize("case", CASES)
def test_same_answer_in_tf_data_in_a_graph_and_for_one_row(case: str) -> None:
    layer, model, values = ready(case)
    expected = [part.numpy() for part in keras.tree.flatten(layer(values))]

    def equal(answers: Any, wanted: list[np.ndarray]) -> None:
        for answer, part in zip(keras.tree.flatten(answers), wanted, strict=True):
            np.testing.assert_allclose(answer, part, rtol=1e-6)

    # tf.data packs a list into one tensor.
    packed = tuple(values) if isinstance(values, list) else (values,)
    mapped = tf.data.Dataset.from_tensors(packed).map(
        lambda *x: tuple(keras.tree.flatten(model(list(x) if len(x) > 1 else x[0])))
    )
    equal(next(iter(mapped)), expected)
    equal(tf.function(model)(values), expected)
    first = keras.tree.map_structure(lambda value: value[:1], values)
    equal(layer(first), [part[:1] for part in expected])
    none = keras.tree.map_structure(lambda value: value[:0], values)
    equal(layer(none), [part[:0] for part in expected])


@pytest.mark.parametrize("case", CASES)
def test_saved_model_answers_as_before(case: str, tmp_path: Path) -> None:
    _, model, values = ready(case)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for found, expected in zip(keras.tree.flatten(loaded(values)), keras.tree.flatten(model(values)), strict=True):
        np.testing.assert_array_equal(found, expected)
    shapes = [variable.shape for variable in model.trainable_variables]
    assert [variable.shape for variable in loaded.trainable_variables] == shapes


@pytest.mark.parametrize("width", [1, 2, 3, None])
def test_the_latest_values_are_as_many_as_the_graph_says(width: int | None) -> None:
    """Of weights too: what comes after chooses among their columns, of a batch whose rows are not known either."""

    @tf.function(input_signature=[tf.TensorSpec((None, width), tf.int64), tf.TensorSpec((None, None), tf.float32)])
    def latest(ids: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
        found = LatestValues(2, pad=1)([ids, weights])
        assert [column.shape.as_list() for column in found] == [[None, 2]] * 2
        return found

    given = np.arange(2, 2 + (width or 5), dtype=np.int64)[np.newaxis]
    ids, weights = (np.asarray(column)[0].tolist() for column in latest(given, given.astype(np.float32)))
    kept = sorted(given[0, -2:].tolist())
    assert sorted(ids)[-len(kept) :] == kept
    assert sorted(weights)[-len(kept) :] == kept
