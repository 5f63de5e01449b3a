"""The ONNX file in ONNX Runtime, against the Keras model and the SavedModel."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_format
import onnxruntime
import pytest
import tensorflow as tf
from export_models import as_tensors, random_rows

from export.onnx import writer as onnx
from export.onnx.interface import fingerprints
from export.parity.answers import tables
from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values
from export.parity.session import open_session, table_name
from export.savedmodel import writer as savedmodel
from tfwd.errors import ExportError
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import Schema


def run(file: Path, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, rows), strict=True))


def test_census_three_ways(census: tuple[WideDeep, dict[str, np.ndarray]], tmp_path: Path) -> None:
    model, rows = census
    assert len(rows["age"]) == 16281
    some = {name: values[:500] for name, values in rows.items()}
    file = onnx.save(model, tmp_path / "census.onnx", rows=some)
    loaded = tf.saved_model.load(str(savedmodel.save(model, tmp_path, name="census", rows=some)))
    hostile = hostile_rows(model.schema, known_values(model), 5_000, seed=1)
    for some in (hostile, rows):
        expected = model(as_tensors(some)).numpy()[:, 0]
        assert np.isfinite(expected).all()
        from_onnx = run(file, some)["probability"]
        served = loaded.signatures["serving_default"](**as_tensors(some))["probability"].numpy()
        np.testing.assert_allclose(from_onnx, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(served, expected, rtol=0, atol=1e-6)
    assert np.std(from_onnx) > 0.05


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression", "wide", "deep"])
@pytest.mark.parametrize("hostile", [False, True])
def test_every_kind_of_feature(
    name: str, hostile: bool, models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    model = models[name]
    rows = random_rows(500, seed=2)
    if hostile:
        rows = hostile_rows(model.schema, known_values(model), 2000, seed=2)
    session = open_session(exports[name][1], tuple(model.transform(as_tensors(random_rows(1)))))
    found = session.run(rows)
    prepared = model.transform(as_tensors(rows))
    for key, values in prepared.items():
        if key == "numeric":
            np.testing.assert_allclose(found[key], values, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(found[key], values)
    answer = model(as_tensors(rows)).numpy()
    if name == "regression":
        np.testing.assert_allclose(found["prediction"], answer[:, 0], rtol=1e-5, atol=2e-5)
    else:
        assert found["probability"].shape == (answer.shape if name == "multiclass" else answer.shape[:1])
        np.testing.assert_allclose(found["probability"].reshape(answer.shape), answer, rtol=0, atol=1e-6)
    if name == "multiclass":
        assert found["classes"].tolist() == [["low", "middle", "high"]] * len(answer)


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression", "wide", "deep"])
def test_the_file_is_standard_and_describes_itself(
    name: str, models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    proto = onnx_format.load(str(exports[name][1]))
    onnx_format.checker.check_model(proto, full_check=True)
    assert {(entry.domain, entry.version) for entry in proto.opset_import} <= {("", 18), ("ai.onnx.ml", 2)}
    assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx.ml"}
    schema = models[name].schema
    assert [entry.name for entry in proto.graph.input] == [entry.name for entry in schema.inputs]
    assert [len(entry.type.tensor_type.shape.dim) for entry in proto.graph.input] == [1] * len(schema.inputs)
    outputs = {"regression": ["prediction"], "multiclass": ["probability", "logit", "classes"]}
    assert [entry.name for entry in proto.graph.output] == outputs.get(name, ["probability", "logit"])
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert Schema.from_dict(json.loads(metadata["tfwd_schema"])) == schema
    assert metadata["tfwd_version"] == "0.1.0"


@pytest.mark.parametrize("name", ["binary", "multiclass"])
def test_nothing_is_computed_twice(name: str, exports: dict[str, tuple[Path, Path]]) -> None:
    """Nor handed on without being computed, nor computed of constants alone."""
    graph = onnx_format.load(str(exports[name][1])).graph
    seen = {(node.op_type, *node.input, *(a.SerializeToString() for a in node.attribute)) for node in graph.node}
    assert len(seen) == len(graph.node)
    assert "Identity" not in {node.op_type for node in graph.node}
    constants = {entry.name for entry in graph.initializer}
    assert not [node.name for node in graph.node if constants >= set(node.input)]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_any_number_of_rows(count: int, exports: dict[str, tuple[Path, Path]]) -> None:
    rows = random_rows(7, seed=3)
    whole = run(exports["binary"][1], rows)["probability"]
    found = run(exports["binary"][1], {name: values[:count] for name, values in rows.items()})["probability"]
    assert found.shape == (count,)
    np.testing.assert_allclose(found, whole[:count], atol=1e-6)


def test_the_tables_are_the_models_own_to_the_bit(
    models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    expected = tables(models["binary"].ranker)
    assert set(expected) == {"wide", "embedding_4", "embedding_8"}
    session = open_session(exports["binary"][1], tables=tuple(expected))
    held = {entry.name: entry for entry in onnx_format.load(str(exports["binary"][1])).graph.initializer}
    for name, variable in expected.items():
        assert held[table_name(name)].raw_data == variable.numpy().tobytes()
        assert session.table(name, 0, variable.shape[0]).tobytes() == variable.numpy().tobytes()
        assert session.table(name, 3, 7).tobytes() == variable.numpy()[3:7].tobytes()


@pytest.mark.usefixtures("one_conversion")
def test_large_tables_lie_beside_the_file(
    models: dict[str, WideDeep],
    exports: dict[str, tuple[Path, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnx, "INLINE_BYTES", 1000)
    file = tmp_path / "model.onnx"
    file.write_bytes(b"an older file")
    onnx.save(models["binary"], file)
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "model.onnx.data"]
    size = sum(int(np.prod(variable.shape)) * 4 for variable in tables(models["binary"].ranker).values())
    assert (tmp_path / "model.onnx.data").stat().st_size >= size
    assert file.stat().st_size < exports["binary"][1].stat().st_size
    onnx_format.checker.check_model(str(file))
    rows = random_rows(100, seed=4)
    assert run(file, rows)["probability"].tolist() == run(exports["binary"][1], rows)["probability"].tolist()
    monkeypatch.undo()
    onnx.save(models["binary"], file)
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.usefixtures("one_conversion")
def test_a_failed_export_leaves_the_older_file(
    models: dict[str, WideDeep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"an older file")

    def fails(*_: Any) -> None:
        raise ExportError("no")

    monkeypatch.setattr(onnx, "check_whole", fails)
    with pytest.raises(ExportError, match="no"):
        onnx.save(models["binary"], tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"an older file"


def test_a_hashed_feature_is_refused_by_name_and_taken_as_a_fingerprint(
    hashed: WideDeep, hashed_exports: tuple[Path, Path], tmp_path: Path
) -> None:
    model, (folder, file) = hashed, hashed_exports
    with pytest.raises(ExportError, match=r"\['url'\].*--fingerprint-inputs"):
        onnx.save(model, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    rows = random_rows(400, hashed=True, seed=9)
    names = [entry.name for entry in onnx_format.load(str(file)).graph.input]
    assert names == [entry.name for entry in model.schema.inputs if entry.name != "url"] + ["url_fingerprint"]
    raw = {name: values for name, values in rows.items() if name != "url"}
    found = run(file, raw | {"url_fingerprint": fingerprints(rows["url"])})["probability"]
    np.testing.assert_allclose(found, model(as_tensors(rows)).numpy()[:, 0], rtol=0, atol=1e-6)
    served = tf.saved_model.load(str(folder)).signatures["serving_default"](**as_tensors(rows))["probability"]
    np.testing.assert_allclose(found, served, rtol=0, atol=1e-6)


def test_fingerprints_are_farmhash() -> None:
    # FarmHash's k2 for no bytes; the bins are TensorFlow's own, by another operation.
    assert fingerprints(np.array([""], object)).view(np.uint64)[0] == 0x9AE16A3B2F90404F
    words = np.array(["a", "é", "x" * 200], object)
    bins = tf.strings.to_hash_bucket_fast(words.tolist(), 997).numpy()
    assert (fingerprints(words).view(np.uint64) % np.uint64(997)).astype(int).tolist() == bins.tolist()
    numbers = np.array([7, -1], np.int64)
    assert fingerprints(numbers).tolist() == fingerprints(np.array(["7", "-1"], object)).tolist()


def test_an_input_with_the_name_of_an_output_is_refused(
    models: dict[str, WideDeep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Schema, "answer_names", ("age", "logit"))
    with pytest.raises(ExportError, match=r"\['age'\] would be both"):
        onnx.save(models["wide"], tmp_path / "model.onnx")
