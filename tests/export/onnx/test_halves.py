"""The two halves of a file, joined in ONNX Runtime, against the whole file; and what is beside a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import bag_cases
import datetime_cases
import numpy as np
import onnx as onnx_format
import onnxruntime
import pytest
from export_models import random_rows
from onnx import TensorProto, helper

from export.onnx import writer as onnx
from export.onnx.cuda import without_kernel
from export.onnx.halves import half_files, halve
from export.onnx.parts import publish
from export.parity import compare as parity
from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values
from tfwd.errors import ExportError, RunError
from tfwd.inference.load import load_scorer
from tfwd.inference.metadata import of_session
from tfwd.inference.onnx_session import new_session
from tfwd.model.wide_deep import WideDeep

NAMES = ["binary", "multiclass", "regression", "wide", "deep"]


def run(file: Path, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(None, {e.name: rows[e.name] for e in session.get_inputs()}), strict=True))


def joined(file: Path, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The answers of both halves, as anyone would ask for them."""
    first, second = half_files(file)
    found = run(first, rows)
    return {name: values for name, values in found.items() if "/" not in name} | run(second, found)


def check(file: Path, rows: dict[str, np.ndarray]) -> None:
    expected, found = run(file, rows), joined(file, rows)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert (found[name].shape, found[name].dtype) == (values.shape, values.dtype)
        if name == "classes":
            assert found[name].tolist() == values.tolist()
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_joined_they_are_the_whole(
    name: str, models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    file = exports[name][1]
    check(file, hostile_rows(models[name].schema, known_values(models[name]), 2000, seed=21))
    for count in (0, 1):
        check(file, random_rows(count))


@pytest.mark.parametrize("longest", [0, 3, 230])
def test_lists(longest: int, bag_exports: dict[str, Path]) -> None:
    check(bag_exports["onnx"], bag_cases.arrays(bag_cases.rows(50, seed=22, longest=longest)))


def test_moments() -> None:
    schema = datetime_cases.trained().model.schema
    known = known_values(datetime_cases.trained().model)
    check(datetime_cases.exported()["onnx"], hostile_rows(schema, known, 500, seed=23))


@pytest.mark.parametrize("name", [*NAMES, "hashed", "bags", "moments"])
def test_the_second_half_has_a_kernel_on_a_gpu_for_every_operation(
    name: str, exports: dict[str, tuple[Path, Path]], bag_exports: dict[str, Path], request: pytest.FixtureRequest
) -> None:
    if name == "hashed":
        file = request.getfixturevalue("hashed_exports")[1]
    else:
        file = {"bags": bag_exports["onnx"], "moments": datetime_cases.exported()["onnx"]}.get(name)
        file = exports[name][1] if file is None else file
    first, second = (onnx_format.load(str(half)) for half in half_files(file))
    for half in (first, second):
        onnx_format.checker.check_model(half, full_check=True)
    assert without_kernel(second) == []
    assert "LabelEncoder of string" in without_kernel(first)
    assert {entry.domain for entry in second.opset_import} == {""}
    names = [entry.name for entry in second.graph.input]
    assert names == [entry.name for entry in first.graph.output if entry.name != "classes"]
    assert all(entry.name.startswith("transform/") for entry in second.graph.input)
    held = [{e.name for e in graph.initializer if "/" in e.name} for graph in (first.graph, second.graph)]
    whole = {entry.name for entry in onnx_format.load(str(file)).graph.initializer}
    assert {name for name in whole if name.startswith("rounds/")} <= held[0]
    assert {name for name in whole if name.startswith("tables/")} <= held[1]


def test_an_operation_without_a_kernel_is_said(models: dict[str, WideDeep], tmp_path: Path) -> None:
    node = helper.make_node("Celu", ["x"], ["y"])
    words = helper.make_node("Identity", ["w"], ["v"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    texts = [helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in "wv"]
    graph = helper.make_graph([node, words], "g", [values[0], texts[0]], [values[1], texts[1]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    assert without_kernel(model) == ["Celu of float", "Identity of string"]
    written = onnx.Written(tmp_path / "m.onnx", (), 0.0, half_files(tmp_path / "m.onnx"), ("Celu of float",))
    assert written.report()[-1].endswith("no kernel for a GPU: Celu of float.")


def test_metadata(exports: dict[str, tuple[Path, Path]]) -> None:
    file = exports["binary"][1]
    found = {}
    for place in (file, *half_files(file)):
        found[place] = new_session(place, place.parent).get_modelmeta().custom_metadata_map
    whole, first, second = found.values()
    assert first == whole | {"tfwd_part": "transform"}
    assert second == {key: value for key, value in whole.items() if key != "tfwd_ranges"} | {"tfwd_part": "ranker"}
    assert json.loads(whole["tfwd_ranges"]) == {"age": [17.0, 99.0]}
    assert of_session(new_session(file, file.parent), file).ranges == {"age": (17.0, 99.0)}


@pytest.mark.parametrize("part", ["transform", "ranker"])
def test_a_half_is_no_model(part: str, exports: dict[str, tuple[Path, Path]]) -> None:
    file = exports["binary"][1].with_name(f"binary.{part}.onnx")
    with pytest.raises(RunError, match=rf"binary\.{part}\.onnx is the half '{part}' of a model. Expected: a whole"):
        load_scorer(file)
    with pytest.raises(RunError, match=f"the half '{part}' of a model"):
        of_session(new_session(file, file.parent), file)


@pytest.mark.parametrize("ranges", [{"nobody": (0, 1)}, {"age": (2, 1)}, {"class_": (0, 1)}, {"age": (0, np.nan)}])
def test_ranges_of_no_numeric_input_are_refused(
    ranges: dict[str, Any], models: dict[str, WideDeep], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="ranges"):
        onnx.save(models["binary"], tmp_path / "model.onnx", ranges=ranges)
    assert os.listdir(tmp_path) == []


def copied(file: Path, folder: Path) -> tuple[Path, Path]:
    """Halves that may be spoilt."""
    places = half_files(folder / "spoilt.onnx")
    for half, place in zip(half_files(file), places, strict=True):
        place.write_bytes(half.read_bytes())
    return places


def test_a_spoilt_half_is_named(
    models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    first, second = copied(exports["binary"][1], tmp_path)
    assert parity.check_halves(models["binary"], first, second, random_rows(50), hostile=100) <= 1e-6
    proto = onnx_format.load(str(second))
    tensor = next(entry for entry in proto.graph.initializer if entry.name == "tables/wide")
    values = onnx_format.numpy_helper.to_array(tensor).copy()
    values[5] += 1e-4
    tensor.raw_data = values.tobytes()
    onnx_format.save(proto, str(second))
    with pytest.raises(ExportError, match=r"file in halves disagrees .* on feature '\w+'.*row 5 of table 'wide'"):
        parity.check_halves(models["binary"], first, second, hostile=0)
    first, second = copied(exports["binary"][1], tmp_path)
    proto = onnx_format.load(str(first))
    for node in proto.graph.node:
        for attribute in node.attribute:
            attribute.strings[:] = [b"swapped" if word == "日本語".encode() else word for word in attribute.strings]
    onnx_format.save(proto, str(first))
    with pytest.raises(ExportError, match=r"feature 'class_'.*Expected: .*'class_': '日本語'"):
        parity.check_halves(models["binary"], first, second, random_rows(200), hostile=0)


@pytest.mark.usefixtures("one_conversion")
def test_halves_of_two_models_never_lie_beside_each_other(
    models: dict[str, WideDeep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, halves = tmp_path / "model.onnx", ["model.ranker.onnx", "model.transform.onnx"]
    onnx.save(models["binary"], file, split=True)
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", *halves]

    def fails(*_: Any) -> float:
        raise ExportError("no")

    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(parity, "check_halves", fails)
        with pytest.raises(ExportError, match="no"):
            onnx.save(models["wide"], file, split=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    replace = os.replace

    def killed(source: Path, target: Path) -> None:
        if str(target) == str(file):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        for split in (True, False):
            with pytest.raises(KeyboardInterrupt):
                onnx.save(models["wide"], file, split=split)
            assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    onnx.save(models["wide"], file, split=True)
    check(file, random_rows(20))
    onnx.save(models["binary"], file)
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_parts_are_there_before_the_whole_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And older ones go before it: a server that looks once a second loads the whole with what lies beside it."""
    files: dict[str | None, Path] = {None: tmp_path / "m.onnx", "recommend": tmp_path / "m.recommend.onnx"}
    files |= zip(("transform", "ranker"), half_files(files[None]), strict=True)
    for folder in ("new", "aside"):
        (tmp_path / folder).mkdir()

    def write(folder: Path, *parts: str | None) -> dict[str | None, Path]:
        made = {part: folder / files[part].name for part in parts}
        for part, place in made.items():
            graph = helper.make_graph([], folder.name, [], [])
            proto = helper.make_model(graph)
            helper.set_model_props(proto, {} if part is None else {"tfwd_part": part})
            onnx_format.save_model(proto, str(place))
        return made

    def lying() -> dict[str, str]:
        return {path.name: onnx_format.load(str(path)).graph.name for path in sorted(tmp_path.glob("*.onnx"))}

    write(tmp_path, None, "recommend", "ranker")
    replace, seen = os.replace, []

    def watched(source: Path, target: Path) -> None:
        replace(source, target)
        if target == files[None]:
            seen.append(lying())

    monkeypatch.setattr(os, "replace", watched)
    publish(write(tmp_path / "new", None, "recommend", "transform"), files, tmp_path / "aside")
    assert seen == [dict.fromkeys(["m.onnx", "m.recommend.onnx", "m.transform.onnx"], "new")]


@pytest.mark.usefixtures("one_conversion")
def test_what_is_no_half_is_kept(models: dict[str, WideDeep], tmp_path: Path) -> None:
    """Neither removed by an export without halves, nor replaced by one with them."""
    file, other = tmp_path / "model.onnx", tmp_path / "model.ranker.onnx"
    for content in (b"", b"mine", None):
        if content is None:
            onnx.save(models["wide"], other)
        else:
            other.write_bytes(content)
        before = other.read_bytes()
        onnx.save(models["wide"], file)
        assert other.read_bytes() == before
        with pytest.raises(ExportError, match=r"model\.ranker\.onnx exists and is not a part of a model"):
            onnx.save(models["wide"], file, split=True)
        assert other.read_bytes() == before


@pytest.mark.usefixtures("one_conversion")
def test_large_tables_lie_beside_the_halves(
    models: dict[str, WideDeep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "INLINE_BYTES", 1000)
    file = onnx.save(models["multiclass"], tmp_path / "model.onnx", split=True, half_tables=True)
    wanted = [f"model{part}.onnx{end}" for part in ("", ".ranker", ".transform") for end in ("", ".data")]
    assert sorted(os.listdir(tmp_path)) == wanted
    rows = random_rows(50)
    check(file, rows)
    monkeypatch.undo()
    monkeypatch.setattr(parity, "HOSTILE_ROWS", 50)
    onnx.save(models["multiclass"], file)
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_second_half_that_reads_raw_inputs_is_refused(models: dict[str, WideDeep]) -> None:
    nodes = [
        helper.make_node("Identity", ["age"], ["transform/numeric"]),
        helper.make_node("Add", ["transform/numeric", "age"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    names = ["age", "transform/numeric", "logit", "probability"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in names]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]))
    with pytest.raises(ExportError, match=r"The ranker half .* reads \['age'\]\. Expected: only \['transform/numeric'"):
        halve(model, models["binary"].schema)
