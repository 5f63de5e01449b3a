"""Scoring with an ONNX file by distinct values, against ONNX Runtime on the whole file, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_format
import onnxruntime
import pandas as pd
import pyarrow as pa
import pytest
from export_models import random_rows
from onnx import TensorProto, helper

from export.onnx import writer as onnx
from export.onnx.interface import fingerprints
from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values
from tfwd.data.chunk import Chunk
from tfwd.data.source import Source
from tfwd.inference import onnx_message, onnx_scorer
from tfwd.inference.load import load_scorer
from tfwd.inference.onnx_scorer import OnnxScorer
from tfwd.inference.onnx_split import split
from tfwd.inference.prediction import predict
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import Schema

NAMES = ["binary", "multiclass", "regression", "wide", "deep"]


def whole(file: Path, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs() if entry.name != "classes"]
    return dict(zip(names, session.run(names, {e.name: rows[e.name] for e in session.get_inputs()}), strict=True))


def as_chunk(schema: Schema, rows: dict[str, np.ndarray]) -> Chunk:
    values, dictionaries = {}, {}
    for entry in schema.inputs:
        column = rows[entry.name]
        if entry.kind == "string":
            encoded = pa.array(column.tolist(), pa.string()).dictionary_encode()
            column, dictionaries[entry.name] = encoded.indices.to_numpy(), encoded.dictionary
        values[entry.name] = column
    return Chunk(schema.inputs, values, dictionaries, None, None, None, len(rows[schema.inputs[0].name]))


def check(scorer: OnnxScorer, rows: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for received in (scorer.score(rows), scorer.score_chunk(as_chunk(scorer.schema, rows))):
        assert list(received) == list(expected)
        for name, values in expected.items():
            assert received[name].shape == values.shape
            assert received[name].dtype == np.float32
            np.testing.assert_allclose(received[name], values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_whole_graph_on_hostile_rows(
    name: str, models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    file = exports[name][1]
    rows = hostile_rows(models[name].schema, known_values(models[name]), onnx_scorer._ROWS + 904, seed=3)
    check(OnnxScorer(file), rows, whole(file, rows))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_few_rows(count: int, exports: dict[str, tuple[Path, Path]]) -> None:
    rows = random_rows(count)
    check(OnnxScorer(exports["binary"][1]), rows, whole(exports["binary"][1], rows))


def test_fingerprints_are_taken_of_distinct_values(hashed: WideDeep, hashed_exports: tuple[Path, Path]) -> None:
    file = hashed_exports[1]
    rows = hostile_rows(hashed.schema, known_values(hashed), 5000, seed=4)
    check(OnnxScorer(file), rows, whole(file, {**rows, "url_fingerprint": fingerprints(rows["url"])}))


@pytest.mark.usefixtures("one_conversion")
@pytest.mark.parametrize("inline", [True, False])
def test_tables_beside_the_message_and_beside_the_file(
    inline: bool, models: dict[str, WideDeep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_message, "_LARGE", 512)
    if not inline:
        monkeypatch.setattr(onnx, "INLINE_BYTES", 0)
    file = onnx.save(models["binary"], tmp_path / "tables.onnx")
    assert (tmp_path / "tables.onnx.data").exists() == (not inline)
    rows = random_rows(100)
    check(OnnxScorer(file), rows, whole(file, rows))


@pytest.mark.parametrize("name", NAMES)
def test_no_string_is_left_for_the_rows(name: str, exports: dict[str, tuple[Path, Path]]) -> None:
    model = onnx_format.load(str(exports[name][1]))
    outputs = [entry.name for entry in model.graph.output if entry.name != "classes"]
    lookups, ids = split(model, outputs)
    assert lookups is not None
    assert {node.op_type for node in lookups.graph.node} == {"Cast", "LabelEncoder"}
    assert set(ids) == {"class_", "user_id", "citt_"}
    kinds = {entry.name: entry.type.tensor_type.elem_type for entry in model.graph.input}
    assert TensorProto.STRING not in kinds.values()
    assert {name for names in ids.values() for name in names} <= set(kinds)
    assert [entry.name for entry in model.graph.output] == outputs
    onnx_format.checker.check_model(model)
    onnx_format.checker.check_model(lookups)


def test_predictions_of_a_file_of_many_chunks(
    models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """Chunks with other words each; every row has the answer that it has alone in a batch of its neighbours."""
    schema = models["multiclass"].schema
    rows = random_rows(300_000, seed=5)
    rows["citt_"][200_000:] = "Turin"
    columns = {entry.column: rows[entry.name] for entry in schema.inputs}
    frame = pd.DataFrame(columns)
    for entry in schema.inputs:
        if entry.kind == "integer":
            frame[entry.column] = frame[entry.column].astype("Int64").mask(frame[entry.column] == -(2**63))
    frame.assign(row=np.arange(len(frame))).to_parquet(tmp_path / "rows.parquet")
    source = Source.open(tmp_path / "rows.parquet")
    predict(load_scorer(exports["multiclass"][1]), source, tmp_path / "answers.parquet", key=("row",))
    answers = pd.read_parquet(tmp_path / "answers.parquet")
    assert answers["row"].tolist() == list(range(300_000))
    for start in (0, 150_000, 299_000):
        some = {name: values[start : start + 1000] for name, values in rows.items()}
        expected = whole(exports["multiclass"][1], some)["probability"]
        received = answers.iloc[start : start + 1000]
        for index, label in enumerate(("low", "middle", "high")):
            np.testing.assert_allclose(received[f"probability_{label}"], expected[:, index], rtol=1e-6, atol=1e-7)
        assert received["predicted"].tolist() == [("low", "middle", "high")[i] for i in expected.argmax(axis=1)]


def made(nodes: list[Any], inputs: dict[str, int], outputs: dict[str, int]) -> onnx_format.ModelProto:
    values = [[helper.make_tensor_value_info(n, k, ["batch"]) for n, k in part.items()] for part in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *values)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 2)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def run(model: onnx_format.ModelProto, feeds: dict[str, Any]) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def encoder(source: str, output: str) -> Any:
    return helper.make_node(
        "LabelEncoder",
        [source],
        [output],
        domain="ai.onnx.ml",
        keys_strings=["a", "b"],
        values_int64s=[5, 6],
        default_int64=-1,
    )


def test_a_graph_without_lookups_stays_whole() -> None:
    model = made([helper.make_node("Neg", ["x"], ["y"])], {"x": TensorProto.FLOAT}, {"y": TensorProto.FLOAT})
    before = model.SerializeToString()
    assert split(model, ["y"]) == (None, {})
    assert model.SerializeToString() == before


def test_what_reads_the_strings_otherwise_keeps_them() -> None:
    """A second reader of a column, a lookup that nobody needs, and a branch that reads an id from outside."""
    branch = [
        helper.make_graph(
            [helper.make_node(op, ["id"], [f"{op}_id"])],
            op,
            [],
            [helper.make_tensor_value_info(f"{op}_id", TensorProto.INT64, None)],
        )
        for op in ("Identity", "Neg")
    ]
    nodes = [
        encoder("word", "id"),
        encoder("other", "unneeded"),
        helper.make_node("If", ["flag"], ["chosen"], then_branch=branch[0], else_branch=branch[1]),
        helper.make_node("Identity", ["word"], ["same"]),
    ]
    inputs = {"word": TensorProto.STRING, "other": TensorProto.STRING, "flag": TensorProto.BOOL}
    model = made(
        nodes, inputs, {"chosen": TensorProto.INT64, "same": TensorProto.STRING, "unneeded": TensorProto.INT64}
    )
    model.graph.input[2].type.tensor_type.shape.ClearField("dim")
    words = np.array(["b", "a", "zz"], object)
    expected = run(model, {"word": words, "other": words, "flag": np.array(False)})[:2]
    lookups, ids = split(model, ["chosen", "same"])
    assert ids == {"word": ["id"]}
    assert sorted(entry.name for entry in model.graph.input) == ["flag", "id", "word"]
    (found,) = run(lookups, {"word": words})
    received = run(model, {"id": found, "word": words, "flag": np.array(False)})
    assert (
        [values.tolist() for values in received]
        == [values.tolist() for values in expected]
        == [
            [-6, -5, 1],
            ["b", "a", "zz"],
        ]
    )
