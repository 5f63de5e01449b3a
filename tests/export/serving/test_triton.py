"""Triton's kit: its configurations against Triton's own message, its Python model against ONNX Runtime.

A real Triton loads and answers in `tests.hostile.triton`.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import kit_cases
import kit_validators as check
import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.serving import triton, triton_config
from export.serving.settings import Settings
from tfwd.errors import ExportError


@pytest.fixture(scope="module")
def output(
    tmp_path_factory: pytest.TempPathFactory, exports: dict[str, tuple[Path, Path]], bag_exports: dict[str, Path]
) -> Path:
    folder = tmp_path_factory.mktemp("triton")
    for name in ("binary", "multiclass"):
        kit_cases.as_version(exports[name][1], folder / name / "2")
    kit_cases.as_version(bag_exports["onnx"], folder / "bags" / "1")
    kit_cases.write_halves(folder / "halves" / "3")
    triton.write(folder, Settings(cores=3))
    return folder


def config(file: Path) -> Any:
    return text_format.Parse(file.read_text(), model_config_pb2.ModelConfig())


MODELS = {
    "onnxruntime": {"bags", "binary", "halves", "multiclass"},
    "python": {"bags", "binary", "halves", "multiclass"},
    "ensemble": {"halves", "halves_transform", "halves_ranker"},
}


@pytest.mark.parametrize("form", MODELS)
def test_a_repository_has_the_inputs_and_outputs_of_the_file(output: Path, form: str) -> None:
    repository = output / "serving" / "triton" / form
    assert {folder.name for folder in repository.iterdir()} == MODELS[form]
    for folder in repository.iterdir():
        file = folder / "config.pbtxt"
        assert check.triton(file.read_text()) is None
        found = config(file)
        assert found.name == folder.name
        (version,) = (entry for entry in folder.iterdir() if entry.is_dir())
        assert version.name == {"bags": "1", "binary": "2", "multiclass": "2"}.get(folder.name, "3")
        if found.platform == "ensemble":
            assert list(version.iterdir()) == []
            continue
        assert (version / found.default_model_filename).is_file()
        (model,) = version.glob("*.onnx")
        session = onnxruntime.InferenceSession(str(model))
        for tensors, own in ((session.get_inputs(), found.input), (session.get_outputs(), found.output)):
            assert [tensor.name for tensor in tensors] == [entry.name for entry in own]
            for tensor, entry in zip(tensors, own, strict=True):
                # What Triton hands to the model: rows, and then the reshaped dimensions if there is a reshape.
                inner = list(entry.reshape.shape) if entry.HasField("reshape") else list(entry.dims)
                assert all(
                    one == two or not isinstance(one, int) for one, two in zip(tensor.shape[1:], inner, strict=True)
                )
                kind = model_config_pb2.DataType.Name(entry.data_type).removeprefix("TYPE_").lower()
                assert kind.replace("fp32", "float") in tensor.type


def test_the_parts_of_an_ensemble_run_where_they_can(output: Path) -> None:
    """Strings on the CPU, the rest on the GPU; and what one gives is what the other takes."""
    repository = output / "serving" / "triton" / "ensemble"
    first, second, whole = (
        config(repository / f"halves{part}" / "config.pbtxt") for part in ("_transform", "_ranker", "")
    )
    kinds = model_config_pb2.ModelInstanceGroup.Kind.Name
    assert [(kinds(part.instance_group[0].kind), part.instance_group[0].count) for part in (first, second)] == [
        ("KIND_CPU", 3),
        ("KIND_GPU", 1),
    ]
    assert model_config_pb2.TYPE_STRING not in {entry.data_type for entry in second.input}
    steps = whole.ensemble_scheduling.step
    assert [step.model_name for step in steps] == [first.name, second.name]
    given = {entry.name for entry in whole.input}
    for step, part in zip(steps, (first, second), strict=True):
        assert set(step.input_map) == {entry.name for entry in part.input}
        assert set(step.input_map.values()) <= given
        assert set(step.output_map) <= {entry.name for entry in part.output}
        given |= set(step.output_map.values())
    assert {entry.name for entry in whole.output} == {"probability", "logit", "classes"} <= given


SPOILT = [
    ("max_batch_size: 256", "max_batch_sizes: 256"),
    ("TYPE_FP32", "TYPE_FLOAT"),
    ("KIND_CPU", "KIND_CPUS"),
    ('name: "logit"', 'name: "probability"'),
    ('inputs { key: "', 'inputs { key: "no_'),
    ("zero_data: true", "zero_data: 7.5"),
    ("dynamic_batching {", "dynamic_batching"),
]


@pytest.mark.parametrize(("old", "new"), SPOILT)
def test_a_spoilt_configuration_is_not_triton_s(output: Path, old: str, new: str) -> None:
    good = (output / "serving" / "triton" / "onnxruntime" / "binary" / "config.pbtxt").read_text()
    assert check.triton(good) is None
    assert old in good
    assert check.triton(good.replace(old, new, 1)) is not None


class _Error(Exception):
    """Triton's error."""


class _Tensor:
    def __init__(self, name: str, values: Any) -> None:
        self.name, self.values = name, values

    def as_numpy(self) -> Any:
        return self.values


class _Request(dict):
    def requested_output_names(self) -> list[str]:
        return ["probability"]


def python_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The generated model, started as Triton starts it."""
    utils = types.ModuleType("triton_python_backend_utils")
    utils.TritonError, utils.Tensor = _Error, _Tensor  # type: ignore[attr-defined]
    utils.InferenceResponse = lambda output_tensors, error=None: (output_tensors, error)  # type: ignore[attr-defined]
    utils.get_input_tensor_by_name = lambda request, name: _Tensor(name, request[name])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utils)
    (version,) = (entry.name for entry in folder.iterdir() if entry.is_dir())
    spec = importlib.util.spec_from_file_location("model", folder / version / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = config(folder / "config.pbtxt")
    described = {key: [{"name": entry.name} for entry in getattr(found, key)] for key in ("input", "output")}
    model = module.TritonPythonModel()
    model.initialize({"model_config": json.dumps(described), "model_repository": str(folder), "model_version": version})
    return model


def test_the_python_model_answers_each_request_as_if_it_were_alone(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = output / "serving" / "triton" / "python" / "halves"
    model = python_model(folder, monkeypatch)
    session = onnxruntime.InferenceSession(str(folder / "3" / "model.onnx"))
    random = np.random.default_rng(3)
    words = np.array([b"Sales", b"Tech", "日本語".encode(), b"other", b""], object)
    requests = []
    for rows, width in ((1, 2), (3, 2), (2, 4), (1, 2), (256, 1)):
        age = random.normal(40, 20, rows).astype(np.float32)
        requests.append(_Request(job=random.choice(words, rows), liked=random.choice(words, (rows, width)), age=age))
    requests.insert(2, _Request(job=np.array([b"\xff"], object), liked=np.array([[b"Tech"]], object), age=age[:1]))
    # Rows that do not fit together: ONNX Runtime refuses them, alone and in company.
    requests.insert(3, _Request(job=words[:3], liked=np.array([[b"Tech", b"Tech"]] * 2, object), age=age[:1]))
    answers = model.execute(requests)
    assert len(answers) == len(requests)
    for place, (request, (tensors, error)) in enumerate(zip(requests, answers, strict=True)):
        if place in (2, 3):
            assert isinstance(error, _Error)
            assert tensors == []
            continue
        assert error is None
        (tensor,) = tensors
        given = {
            key: np.array([v.decode() for v in values.ravel()], object).reshape(values.shape)
            if values.dtype == object
            else values
            for key, values in request.items()
        }
        np.testing.assert_allclose(tensor.values, session.run(["probability"], given)[0], atol=1e-7)
    model.finalize()


def test_tables_beside_a_file_come_along(tmp_path: Path) -> None:
    first, _ = kit_cases.halves()
    folder = tmp_path / "big" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(first.SerializeToString())
    (folder / "model.onnx.data").write_bytes(b"tables")
    kit = triton.write(tmp_path, Settings(cores=1))
    for form in ("onnxruntime", "python"):
        assert (kit / form / "big" / "1" / "model.onnx.data").read_bytes() == b"tables"
    # A second call replaces a repository as a whole, and takes away the one that there is nothing for.
    (kit / "python" / "left").mkdir()
    (kit / "ensemble").mkdir()
    triton.write(tmp_path, Settings(cores=1))
    assert sorted(entry.name for entry in kit.glob("[!.]*")) == ["Dockerfile", "README.md", "onnxruntime", "python"]
    assert [entry.name for entry in (kit / "python").iterdir()] == ["big"]


def test_the_image_for_the_python_form_is_a_dockerfile(output: Path) -> None:
    good = (output / "serving" / "triton" / "Dockerfile").read_text()
    twins = [good.replace("RUN pip", "RUN sudo pip"), good.replace("USER", "USERS")]
    assert check.dockerfiles([good, *twins]) == [True, False, False]


def test_what_triton_cannot_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"must hold ONNX models, as in \S+/wide_deep/1/model.onnx.*a folder without"):
        triton.write(tmp_path)
    folder = tmp_path / "shop" / "4"
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "assets.extra" / "tfwd.json").touch()
    with pytest.raises(ExportError, match=r"shop/4 with a SavedModel only.*--output \S+/shop/4/model.onnx"):
        triton.write(tmp_path)
    (folder / "model.onnx").write_bytes(b"no")
    with pytest.raises(ExportError, match=r"model.onnx is not an ONNX file"):
        triton.write(tmp_path)
    first, second = kit_cases.halves()
    first.graph.input[2].type.tensor_type.shape.dim[0].dim_value = 1
    (folder / "model.onnx").write_bytes(first.SerializeToString())
    with pytest.raises(ExportError, match="'age' is 1 of type FLOAT. Expected: any number of rows first"):
        triton.write(tmp_path)
    assert not (tmp_path / "serving" / "triton" / "onnxruntime").exists()
    kit_cases.write_halves(tmp_path / "two" / "1")
    kit_cases.write_halves(tmp_path / "two_ranker" / "1")
    (folder / "model.onnx").unlink()
    with pytest.raises(ExportError, match="Two models would be called two_ranker in"):
        triton.write(tmp_path)
    odd = triton_config.Tensor('a "name" \\ é', "INT64", ())
    written = triton_config.model(
        "m", triton_config.Signature((odd,), (odd,)), "python", "model.py", 1, triton_config.Instances(1)
    )
    assert text_format.Parse(written, model_config_pb2.ModelConfig()).input[0].name == odd.name
    second.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    whole = triton_config.signature(tmp_path / "two" / "1" / "model.onnx")
    (tmp_path / "two" / "1" / "model.ranker.onnx").write_bytes(second.SerializeToString())
    steps = [
        (part, triton_config.signature(tmp_path / "two" / "1" / f"model.{part}.onnx"))
        for part in ("transform", "ranker")
    ]
    with pytest.raises(ExportError, match=r"ranker takes Tensor\(name='transform/numeric', kind='FP64'"):
        triton_config.ensemble("two", whole, steps, 256)
