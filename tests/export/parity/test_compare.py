"""The comparison finds what is spoilt, and says where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx as onnx_format
import pytest
from export_models import USERS, WORDS, random_rows

from export.parity import compare as parity
from export.parity import tolerance
from export.parity.answers import tables
from export.parity.hostile import LONG, hostile_rows
from export.parity.known_values import known_values, ordinary_rows
from export.parity.rows import as_rows
from export.parity.session import table_name
from tfwd.errors import ExportError
from tfwd.features.raw_tensors import tensors
from tfwd.inference.onnx_scorer import OnnxScorer
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import MISSING_INTEGER


@pytest.fixture
def file(exports: dict[str, tuple[Path, Path]], tmp_path: Path) -> Path:
    copy = tmp_path / "spoilt.onnx"
    copy.write_bytes(exports["binary"][1].read_bytes())
    return copy


def test_a_sound_file_passes(file: Path, models: dict[str, WideDeep]) -> None:
    parity.check_onnx(models["binary"], file, random_rows(50), hostile=500)


@pytest.mark.parametrize("feature", ["class_", "level", "class__x_user_id_x_price_buckets", "city_x_sign_x_level"])
def test_one_weight_of_a_table_is_named(feature: str, file: Path, models: dict[str, WideDeep]) -> None:
    model = models["binary"]
    wide = next(table for table in model.layout.tables if table.name == "wide")
    place = next(entry for entry in wide.ranges if entry.feature == feature)
    proto = onnx_format.load(str(file))
    tensor = next(entry for entry in proto.graph.initializer if entry.name == table_name("wide"))
    values = onnx_format.numpy_helper.to_array(tensor).copy()
    values[place.start + 2] += 1e-4
    tensor.raw_data = values.tobytes()
    onnx_format.save(proto, str(file))
    with pytest.raises(ExportError, match=rf"feature '{feature}'.*id 2 \(row {place.start + 2} of table 'wide'\)"):
        parity.check_onnx(model, file, hostile=100)


def test_one_word_of_a_vocabulary_is_named_with_its_value(file: Path, models: dict[str, WideDeep]) -> None:
    proto = onnx_format.load(str(file))
    for node in proto.graph.node:
        for attribute in node.attribute:
            for index, word in enumerate(attribute.strings):
                if word == "日本語".encode():
                    attribute.strings[index] = b"swapped"
    onnx_format.save(proto, str(file))
    with pytest.raises(ExportError, match=r"feature 'class_'.*Expected: .*'class_': '日本語'") as caught:
        parity.check_onnx(models["binary"], file, random_rows(200))
    assert "user_id" not in str(caught.value)


def test_a_boundary_is_named_with_its_value(file: Path, models: dict[str, WideDeep]) -> None:
    proto = onnx_format.load(str(file))
    (boundaries,) = models["binary"].transform.get_layer("features.buckets").weights
    for tensor in proto.graph.initializer:
        values = onnx_format.numpy_helper.to_array(tensor)
        if values.shape == boundaries.shape and np.array_equal(values, boundaries.numpy()):
            moved = np.where(values == 20.0, np.float32(25.0), values)
            tensor.CopyFrom(onnx_format.numpy_helper.from_array(moved, tensor.name))
    onnx_format.save(proto, str(file))
    with pytest.raises(ExportError, match=r"feature 'age_buckets'.*'age': 20\.0"):
        parity.check_onnx(models["binary"], file, random_rows(200), hostile=0)


def test_the_tower_is_named(file: Path, models: dict[str, WideDeep]) -> None:
    proto = onnx_format.load(str(file))
    kernel = models["binary"].ranker.get_layer("deep").logits.kernel.numpy()
    spoilt = 0
    for tensor in proto.graph.initializer:
        values = onnx_format.numpy_helper.to_array(tensor)
        if values.shape == kernel.shape and np.array_equal(values, kernel):
            tensor.CopyFrom(onnx_format.numpy_helper.from_array(values + np.float32(0.01), tensor.name))
            spoilt += 1
    assert spoilt == 1
    onnx_format.save(proto, str(file))
    with pytest.raises(ExportError, match="in the tower or the sum of the heads"):
        parity.check_onnx(models["binary"], file, random_rows(50))


def test_what_tfwd_scores_otherwise_than_the_graph_is_named(
    file: Path, models: dict[str, WideDeep], monkeypatch: pytest.MonkeyPatch
) -> None:
    score = OnnxScorer._score

    def moved(self: OnnxScorer, columns: Any) -> dict[str, np.ndarray]:
        return {name: values + np.float32(1e-3) for name, values in score(self, columns).items()}

    monkeypatch.setattr(OnnxScorer, "_score", moved)
    wanted = r"^The ONNX file in tfwd, on real row 0, disagrees .*is in how tfwd runs the graph, which itself agrees"
    with pytest.raises(ExportError, match=wanted):
        parity.check_onnx(models["binary"], file, random_rows(50), hostile=0)


def test_a_savedmodel_of_another_model_is_named(
    exports: dict[str, tuple[Path, Path]], models: dict[str, WideDeep], tmp_path: Path
) -> None:
    models["binary"].save(tmp_path / "model.keras")
    other = keras.saving.load_model(tmp_path / "model.keras")
    parity.check_savedmodel(other, exports["binary"][0], hostile=100)
    embedding = tables(other.ranker)["embedding_8"]
    place = next(t for t in other.layout.tables if t.name == "embedding_8").ranges[0]
    values = embedding.numpy()
    values[place.start] += 1.0
    embedding.assign(values)
    with pytest.raises(ExportError, match=f"feature '{place.feature}'.*id 0 .*embedding_8"):
        parity.check_savedmodel(other, exports["binary"][0], hostile=100)


def test_hostile_rows_are_hostile_and_the_same_for_a_seed(models: dict[str, WideDeep]) -> None:
    model = models["binary"]
    known = known_values(model)
    rows = hostile_rows(model.schema, known, 10_000, seed=3)
    again = hostile_rows(model.schema, known, 10_000, seed=3)
    for name, values in rows.items():
        np.testing.assert_array_equal(values, again[name])
        assert len(values) == 10_000
    words = set(rows["class_"])
    assert {"", "line\nbreak", "日本語", "nul\x00inside", "\x00"} <= words
    assert max(map(len, words)) > LONG
    assert all(word.encode().decode() == word for word in words)
    assert 0.3 < np.mean(np.isin(rows["class_"].astype(object), list(known["class_"]))) < 0.9
    ages = rows["age"]
    assert np.isnan(ages).any()
    assert {np.inf, -np.inf} <= set(ages)
    assert ((np.abs(ages) < np.finfo(np.float32).tiny) & (ages != 0)).any()
    assert {20.0, float(np.nextafter(np.float32(20), np.float32(0)))} <= set(map(float, ages))
    assert {MISSING_INTEGER, 2**63 - 1, 4, 5} <= set(rows["level"].tolist())
    for values in ordinary_rows(model.schema, known, 100).values():
        assert len(values) == 100


def test_rows_are_made_fit_or_refused(models: dict[str, WideDeep]) -> None:
    schema = models["binary"].schema
    given = {name: values[:2].tolist() for name, values in random_rows(2).items()}
    given |= {"class_": [None, b"plain"], "level": [None, 3.0], "age": [None, 20]}
    rows = as_rows(schema, given)
    assert rows["class_"].tolist() == ["", "plain"]
    assert rows["level"].tolist() == [MISSING_INTEGER, 3]
    assert np.isnan(rows["age"][0])
    assert rows["age"].dtype == np.float32
    for broken in (b"\xff", "\udc80"):
        with pytest.raises(ExportError, match="'class_' takes UTF-8"):
            as_rows(schema, given | {"class_": [broken, "plain"]})
    with pytest.raises(ExportError, match="one length"):
        as_rows(schema, given | {"class_": ["plain"]})
    for wrong in (3.7, np.float32(3.5), 2**63, -(2**63) - 1, 1e300, np.inf, "3.7", "x", [3]):
        with pytest.raises(ExportError, match=r"'level' takes a 64-bit integer. Received: "):
            as_rows(schema, given | {"level": [1, wrong]})
    whole = as_rows(schema, given | {"level": [np.float64(4.0), "3"], "age": [10**400, 1e300]})
    assert whole["level"].tolist() == [4, 3]
    assert whole["age"].tolist() == [np.inf, np.inf]
    with pytest.raises(ExportError, match="'age' takes a number. Received: 'old'"):
        as_rows(schema, given | {"age": ["old", 1]})


def test_known_values_are_those_of_each_input(models: dict[str, WideDeep]) -> None:
    known = known_values(models["binary"])
    assert set(known["class_"]) == set(WORDS)
    assert set(known["user_id"].tolist()) == set(map(int, USERS))
    assert set(known["age"].tolist()) == {17.0, 18.0, 20.0, 30.5, 64.0, 99.0}
    assert known["constant"].tolist() == [4.0]
    assert -3.5 in known["price"]


def test_what_a_probability_may_differ_by() -> None:
    # As of inputs of 1.7e7 under batch normalization: terms far larger than their sum.
    expected, terms = np.float32([0.07512127]), np.array([[50.0]])
    off = 16 * 2.0**-24 * terms
    allowed = 1e-6 + 16 * 2.0**-24 * 0.07512127 * (1 - 0.07512127) * 50.0
    for share, differs in ((0.9, False), (1.1, True)):
        received = (expected + np.float32(share * allowed)).astype(np.float32)
        assert tolerance.differs("probability", expected, received, 1.0, off).tolist() == [differs]
    for pair in ((np.inf, np.inf), (np.inf, 1.0), (1.0, np.inf), (np.nan, np.nan)):
        one, other = (np.float32([value]) for value in pair)
        assert tolerance.differs("prediction", one, other, 1.0, off).all()


@pytest.mark.parametrize(
    ("name", "expected", "received", "differs"),
    [
        # Of a tower that has diverged, as it was trained and exported: its probability is 0 in both.
        ("logit", [-12814.7294921875], [-12814.9462890625], False),
        ("logit", [-12814.7], [-12817.0], True),
        ("logit", [103.0], [103.002], True),
        # Of several classes the largest of the row counts.
        ("logit", [[7.7718889e14, -2.28672e15, 1.5095236e15]], [[7.7720077e14, -2.28676e15, 1.5095515e15]], False),
        ("logit", [[1.0, -50.0, 3.0]], [[1.0004, -50.0, 3.0]], False),
        ("logit", [[1.0, -50.0, 3.0]], [[1.0006, -50.0, 3.0]], True),
        ("prediction", [-12814.7294921875], [-12814.9462890625], True),
    ],
)
def test_what_a_logit_may_differ_by(name: str, expected: Any, received: Any, differs: bool) -> None:
    pair = np.asarray(expected, np.float32), np.asarray(received, np.float32)
    assert bool(tolerance.differs(name, *pair, 1.0).any()) is differs


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression", "wide", "deep"])
def test_the_terms_of_the_last_layer_bound_its_logits(name: str, models: dict[str, WideDeep]) -> None:
    model = models[name]
    prepared = model.transform(tensors(as_rows(model.schema, random_rows(50))))
    terms = tolerance.last_terms(model, prepared)
    assert terms.shape == (50, model.schema.outputs)
    assert (terms >= 0).all()
    if name == "deep":
        logit = model.ranker.get_layer("logit")
        own = (model.ranker(prepared).numpy() - logit.base.numpy()) / logit.scale.numpy()
        assert (np.abs(own) <= terms + 1e-5).all()


def test_a_model_without_a_finite_answer_is_refused(
    exports: dict[str, tuple[Path, Path]], models: dict[str, WideDeep], tmp_path: Path
) -> None:
    models["regression"].save(tmp_path / "model.keras")
    other = keras.saving.load_model(tmp_path / "model.keras")
    other.ranker.get_layer("logit").set_base([0.0], np.inf)
    with pytest.raises(ExportError, match="prediction of the model itself is .*finite answer"):
        parity.check_savedmodel(other, exports["regression"][0], random_rows(20), hostile=0)
