"""TF Serving's kit: every file against its validator, with a spoilt twin; the clients against the SavedModel."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import kit_validators as check
import numpy as np
import pytest
import tensorflow as tf
from made_once import made
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from export.parity import compare as parity
from export.savedmodel import writer as savedmodel
from export.serving import batching, page, rows, tf_serving
from export.serving.found import Version
from export.serving.settings import Settings
from tfwd.errors import ConfigError, ExportError
from tfwd.inference.metadata import of_saved_model
from tfwd.model.wide_deep import WideDeep

SETTINGS = Settings(cores=3, tf_serving_image="registry.example/tf:9", claim="shop-models")


@pytest.fixture(scope="module")
def output(exports: dict[str, tuple[Path, Path]], bag_exports: dict[str, Path]) -> Path:
    """A folder of models of every task and with lists, one of them in two versions, and its kit."""

    def make(folder: Path) -> None:
        for name in ("binary", "multiclass", "regression"):
            shutil.copytree(exports[name][0], folder / "out" / name / "1", copy_function=os.link)
        shutil.copytree(exports["binary"][0], folder / "out" / "binary" / "10")
        shutil.copytree(bag_exports["savedmodel"], folder / "out" / "bags" / "1")
        tf_serving.write(folder / "out", SETTINGS)

    return made("kit-of-tf-serving", make) / "out"


def text(output: Path, name: str) -> str:
    return (output / "serving" / name).read_text(encoding="utf-8")


SPOILT = [
    ("models.config", check.models, 'name: "bags"', 'nome: "bags"'),
    ("models.config", check.models, 'name: "bags"', 'name: "binary"'),
    ("canary/binary/2-canary.config", check.models, "versions: 10", "versions: 9"),
    ("canary/binary/1-load.config", check.models, "value: 1\n", "value: 7\n"),
    ("batching.config", check.batching, "value: 3", "value: 0"),
    ("batching.config", check.batching, "{ value: 3 }", ": 3"),
    ("../binary/10/batching_params.pbtxt", check.batching, "allowed_batch_sizes: 256", "allowed_batch_sizes: 512"),
    ("../binary/10/batching_params.pbtxt", check.batching, "allowed_batch_sizes: 4\n", "allowed_batch_sizes: 99\n"),
    ("monitoring.config", check.monitoring, "enable: true", "enabled: true"),
    ("session.config", check.session, "inter_op_parallelism_threads: 3", 'inter_op_parallelism_threads: "3"'),
    ("docker-compose.yaml", check.compose, "    healthcheck:", "    healthchecks:"),
    ("docker-compose.yaml", check.compose, "    cap_drop:\n", "    cap_drop: all\n    cap_add:\n"),
    ("kubernetes.yaml", check.kubernetes, "periodSeconds: 5", "periodSecond: 5"),
    ("kubernetes.yaml", check.kubernetes, "minReplicas: 2", "minReplicas: two"),
    ("kubernetes.yaml", check.kubernetes, "    name: tf-serving\n  minReplicas", "    name: other\n  minReplicas"),
    ("kubernetes.yaml", check.kubernetes, "              port: http", "              port: https"),
]


@pytest.mark.parametrize(("name", "validate", "old", "new"), SPOILT, ids=[f"{s[0]} {s[3]!r}" for s in SPOILT])
def test_a_file_is_valid_and_a_spoilt_twin_is_not(output: Path, name: str, validate: Any, old: str, new: str) -> None:
    good = text(output, name)
    assert validate(good) is None
    assert old in good
    assert validate(good.replace(old, new, 1)) is not None


def test_the_choices_are_in_the_files(output: Path) -> None:
    for name in ("docker-compose.yaml", "kubernetes.yaml", "README.md"):
        assert "registry.example/tf:9" in text(output, name)
    assert 'claimName: "shop-models"' in text(output, "kubernetes.yaml")
    (deployment, *_) = check.documents(text(output, "kubernetes.yaml"))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"]["cpu"] == "3"
    compose = check.documents(text(output, "docker-compose.yaml"))[0]["services"]["tf-serving"]
    assert compose["command"] == container["args"]
    # What a server is told to read is there.
    named = [argument.partition("=")[2] for argument in container["args"] if "/models/" in argument]
    assert named
    assert all((output / path.removeprefix("/models/")).is_file() for path in named)


@pytest.mark.parametrize("name", ["bags", "binary", "multiclass", "regression"])
def test_only_what_the_server_can_batch_is_batched(output: Path, name: str) -> None:
    """Every input of every signature has rows first, and nothing else that differs from request to request."""
    version = max((output / name).iterdir(), key=lambda folder: int(folder.name))
    proto = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    shapes = [
        [dim.size for dim in info.tensor_shape.dim]
        for signature in proto.meta_graphs[0].signature_def.values()
        for info in signature.inputs.values()
    ]
    fits = all(shape and shape[0] == -1 and -1 not in shape[1:] for shape in shapes)
    assert (version / batching.FILE).is_file() == fits == (name != "bags")


def test_the_largest_batch_is_that_of_the_warm_up() -> None:
    assert batching.sizes(256) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert batching.sizes(100) == [1, 2, 4, 8, 16, 32, 64, 100]
    assert batching.sizes(1) == [1]


def test_the_next_version_of_a_batched_model_is_batched_too(
    output: Path, tmp_path: Path, models: dict[str, WideDeep], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = output / "binary" / "10", tmp_path / "clicks" / "2"
    shutil.copytree(first, tmp_path / "clicks" / "1", copy_function=os.link)
    # What is in a SavedModel, and whether it answers as the model does, is for other tests.
    copied = shutil.ignore_patterns(batching.FILE)
    monkeypatch.setattr(savedmodel, "_write", lambda _, whole, *__: shutil.copytree(first, whole, ignore=copied))
    monkeypatch.setattr(parity, "check_savedmodel", lambda *_: None)
    model = models["binary"]
    assert savedmodel.save(model, tmp_path, name="clicks") == second
    assert (second / batching.FILE).read_text() == (first / batching.FILE).read_text()
    batching.inherit(second, second.parent, [1], model.schema, lists=True)
    assert not (second / batching.FILE).exists()
    batching.inherit(second, second.parent, [1, 2], model.schema, lists=False)
    batching.inherit(second, second.parent, [], model.schema, lists=False)
    assert not (second / batching.FILE).exists()


def test_no_model_is_exported_into_the_folder_of_the_kits(models: dict[str, WideDeep], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="serving: no model can be called serving"):
        savedmodel.save(models["binary"], tmp_path, name="serving")
    assert list(tmp_path.iterdir()) == []


def page_of(output: Path, name: str) -> str:
    return page.page(output, Version(name, 1, output / name / "1"), SETTINGS, {}, 0)


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression"])
def test_the_page_says_what_the_server_answers(output: Path, name: str) -> None:
    """An object for each row; for a signature with one output its bare value."""
    proto = saved_model_pb2.SavedModel.FromString((output / name / "1" / "saved_model.pb").read_bytes())
    outputs = set(proto.meta_graphs[0].signature_def["serving_default"].outputs)
    (said,) = re.findall(r"answers with `(\{\"predictions.*?)`", page_of(output, name))
    (row,) = json.loads(said.replace("...", "0"))["predictions"]
    assert row == 0 if len(outputs) == 1 else set(row) == outputs


def test_the_example_of_grpc_may_have_a_missing_number(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = output / "bags" / "1"
    (row,) = rows.examples(version, of_saved_model(version).schema)
    row |= {"age": float("nan"), "shares": [0.5, float("nan")]}
    monkeypatch.setattr(page, "examples", lambda *_: [row])
    found = re.search(r"(?ms)^    import grpc.*?(?=^    stub)", page_of(output, "bags"))
    assert found is not None
    space: dict[str, Any] = {}
    exec(textwrap.dedent(found[0]), space)
    given = {name: tf.make_ndarray(value) for name, value in space["request"].inputs.items()}
    assert set(given) == set(row)
    np.testing.assert_array_equal(given["age"], np.array([np.nan], np.float32))
    np.testing.assert_array_equal(given["shares"], np.array([[0.5, np.nan]], np.float32))


@pytest.fixture(scope="module")
def loaded(output: Path) -> dict[str, Any]:
    return {name: tf.saved_model.load(str(output / name / "1")).signatures for name in ("bags", "binary")}


def answers(signatures: Any, body: dict[str, Any]) -> dict[str, Any]:
    """What TF Serving answers in the row format: keys are the signature's inputs, no more and no fewer."""
    signature = signatures[body.get("signature_name", "serving_default")]
    wanted = signature.structured_input_signature[1]
    rows = body["instances"]
    assert all(set(row) == set(wanted) for row in rows)
    columns = {name: tf.constant([row[name] for row in rows], spec.dtype) for name, spec in wanted.items()}
    assert all(len(columns[name].shape) == len(spec.shape) for name, spec in wanted.items())
    found = {name: value.numpy().tolist() for name, value in signature(**columns).items()}
    if len(found) == 1:
        return {"predictions": next(iter(found.values()))}
    return {"predictions": [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]}


@pytest.fixture(scope="module")
def rest(loaded: dict[str, Any]) -> Iterator[str]:
    """A server of the SavedModels over REST."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name, _, verb = self.path.removeprefix("/v1/models/").partition(":")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                assert verb == "predict"
                status, answer = 200, answers(loaded[name], json.loads(body))
            except Exception as error:
                status, answer = 400, {"error": str(error)}
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


# Imports the clients of some folders, one after the other: a process of node takes longer than they do.
NODE = """
for (const folder of process.argv.slice(3)) {
  console.log(`== ${folder}`);
  await import(`${folder}/client.mjs`);
}
"""
CLIENTS = {"rest.py": [], "client.sh": ["sh", "curl"], "client.mjs": ["node"]}


@pytest.fixture(scope="module")
def refused(output: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clients of a model, with a request that its signature does not take."""
    folder = tmp_path_factory.mktemp("refused") / "binary"
    shutil.copytree(output / "serving" / "clients" / "binary", folder)
    (folder / "predict.json").write_text('{"instances": [{"x": 1}]}')
    return folder


@pytest.fixture(scope="module", params=CLIENTS)
def said(request: pytest.FixtureRequest, output: Path, rest: str, refused: Path) -> list[str]:
    """What a client says for two models, and then for a request that is refused, whereupon it fails."""
    client = request.param
    for needed in CLIENTS[client]:
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not on the PATH")
    folders = [*(output / "serving" / "clients" / name for name in ("bags", "binary")), refused]
    if client == "rest.py":
        return [_in_this_process(folder / client, rest) for folder in folders]
    command = [
        "node",
        "--input-type=module",
        "--eval",
        NODE,
        "--",
        "node",
        rest,
        *(folder.as_uri() for folder in folders),
    ]
    commands = [command] if client == "client.mjs" else [["sh", str(folder / client), rest] for folder in folders]
    ran = [subprocess.run(each, capture_output=True, text=True, check=False, timeout=60) for each in commands]
    assert [each.returncode == 0 for each in ran[:-1]] == [True] * (len(ran) - 1)
    assert ran[-1].returncode != 0
    if client == "client.mjs":
        good, other, bad = (part.partition("\n")[2] for part in ran[0].stdout.split("== ")[1:])
        return [good, other, bad + ran[0].stderr]
    return [each.stdout + each.stderr for each in ran]


def _in_this_process(file: Path, server: str) -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "argv", [str(file), server])
        try:
            runpy.run_path(str(file), run_name="__main__")
        except SystemExit as end:
            # Python prints it and fails, since it is a text.
            assert isinstance(end.code, str)
            return end.code
    return out.getvalue()


def test_a_client_gets_the_answers_of_its_rows(output: Path, loaded: dict[str, Any], said: list[str]) -> None:
    for name, shown in zip(("bags", "binary"), said, strict=False):
        body = json.loads((output / "serving" / "clients" / name / "predict.json").read_text())
        assert len(body["instances"]) > 1
        word, _, answer = shown.strip().partition(" ")
        assert word == "predict"
        got = [row["probability"] for row in json.loads(answer)["predictions"]]
        expected = [row["probability"] for row in answers(loaded[name], body)["predictions"]]
        assert got == pytest.approx(expected, abs=1e-7)


def test_a_client_says_what_the_server_refuses(said: list[str]) -> None:
    assert "400" in said[-1]
    assert "predictions" not in said[-1]


def test_the_client_of_grpc_sends_what_the_signature_takes(
    output: Path, loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
            signature = loaded[request.model_spec.name][request.model_spec.signature_name]
            wanted = signature.structured_input_signature[1]
            given = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
            assert {key: value.dtype for key, value in given.items()} == {k: spec.dtype for k, spec in wanted.items()}
            answer = predict_pb2.PredictResponse()
            for key, value in signature(**given).items():
                answer.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            answer.model_spec.version.value = 1
            return answer

    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        for name in ("bags", "binary"):
            file = output / "serving" / "clients" / name / "grpc_client.py"
            monkeypatch.setattr(sys, "argv", [str(file), f"127.0.0.1:{port}"])
            space = {"__name__": "__main__", "__file__": str(file)}
            exec(compile(file.read_text(), str(file), "exec"), space)
            said = capsys.readouterr().out
            assert said.startswith("predict version 1 ")
            body = json.loads((file.parent / "predict.json").read_text())
            expected = [row["probability"] for row in answers(loaded[name], body)["predictions"]]
            got = json.loads(said.partition("probability=")[2].split("\n")[0])
            assert got == pytest.approx(expected, abs=1e-7)
    finally:
        server.stop(None)


def test_the_health_check_of_compose_asks_for_each_model(output: Path) -> None:
    """The very command, in bash, against a server that knows some models."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not on the PATH")
    known: set[str] = set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state = "AVAILABLE" if self.path.removeprefix("/v1/models/") in known else "UNAVAILABLE"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"model_version_status": [{"state": state}]}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    compose = check.documents(text(output, "docker-compose.yaml"))[0]
    _, *command = compose["services"]["tf-serving"]["healthcheck"]["test"]
    # Compose writes a dollar as two.
    command = [part.replace("$$", "$").replace("/8501", f"/{server.server_port}") for part in command]
    codes = []
    for model in ("", "bags", "binary", "multiclass", "regression"):
        known.add(model)
        codes.append(subprocess.run(command, capture_output=True, check=False, timeout=60).returncode)
    server.shutdown()
    assert codes == [1, 1, 1, 1, 0]


def test_a_folder_that_the_server_would_not_load_is_refused(output: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"must hold exported models.*export.savedmodel RUN --output \S+ --name wide"):
        tf_serving.write(tmp_path)
    shutil.copytree(output / "binary" / "1", tmp_path / "clicks" / "1")
    tf_serving.write(tmp_path)
    (tmp_path / "clicks" / "2").mkdir()
    (tmp_path / "clicks" / "2" / "model.onnx").touch()
    with pytest.raises(ExportError, match=r"clicks/2 must hold a SavedModel.*--name clicks"):
        tf_serving.write(tmp_path)
    os.rename(tmp_path / "clicks", tmp_path / "a $name")
    with pytest.raises(ExportError, match="has a name that is not for servers"):
        tf_serving.write(tmp_path)


def test_what_a_kit_no_longer_has_goes(output: Path, tmp_path: Path) -> None:
    for version in ("clicks/1", "clicks/2", "old/1"):
        shutil.copytree(output / "binary" / "1", tmp_path / version, copy_function=os.link)
    folder = tf_serving.write(tmp_path)
    assert len(list((folder / "canary" / "clicks").iterdir())) == 4
    shutil.rmtree(tmp_path / "clicks" / "1")
    shutil.rmtree(tmp_path / "old")
    tf_serving.write(tmp_path)
    assert [file.name for file in (folder / "canary" / "clicks").iterdir()] == ["1-stable.config"]
    assert [entry.name for kind in ("canary", "clients") for entry in (folder / kind).iterdir()] == ["clicks"] * 2


def test_rows_with_the_fewest_missing_values_come_first(output: Path) -> None:
    """JSON.parse does not read NaN: a request has one only if the warm-up has no better rows."""
    for name in ("bags", "binary"):
        version = output / name / "1"
        every = rows.examples(version, of_saved_model(version).schema, 100)
        flat = [[one for value in row.values() for one in np.ravel(np.array(value, object))] for row in every]
        lacking = [sum(one in ("", -(2**63)) or one != one for one in row) for row in flat]
        assert len(every) > 3
        assert lacking == sorted(lacking)
    assert "NaN" not in text(output, "clients/binary/predict.json")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cores": 0}, "cores"),
        ({"tf_serving_image": "a b"}, "--tf-serving-image"),
        ({"server_image": "x\nRUN y"}, "--server-image"),
        ({"tfwd_version": "1; rm"}, "--tfwd-version"),
        ({"storage_uri": "models"}, "--storage-uri"),
        ({"storage_uri": "https://h/x?sig=a&b=c"}, "--storage-uri.*without a query"),
        ({"claim": "A_b"}, "--claim"),
        ({"claim": ""}, "--claim"),
        ({"claim": "a..b"}, "--claim"),
        ({"claim": "a" * 254}, "--claim"),
        ({"server_image": "registry:5000/x:"}, "--server-image"),
        ({"triton_image": "HOST/Name"}, "--triton-image"),
        ({"triton_image": "x@sha256:12"}, "--triton-image"),
    ],
)
def test_a_choice_that_a_file_cannot_hold_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Settings(**given)


@pytest.mark.parametrize(
    "image", ["x", "registry:5000/a/b_c:T.1", "h.example/x@sha256:" + "0" * 64, Settings.triton_image]
)
def test_an_image_may_have_a_host_a_tag_and_a_digest(image: str) -> None:
    assert Settings(server_image=image).server_image == image


@pytest.mark.parametrize("claim", ["true", "123", "a" * 253])
def test_a_claim_is_a_name_whatever_it_looks_like(output: Path, claim: str) -> None:
    """YAML would read a bare `true` and `123` as something else than text."""
    written = text(output, "kubernetes.yaml").replace("shop-models", Settings(claim=claim).claim)
    (deployment, *_) = check.documents(written)
    (volume, _) = deployment["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim


def test_memory_holds_the_models_twice(output: Path) -> None:
    (deployment, *_) = check.documents(text(output, "kubernetes.yaml"))
    resources = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
    once, twice = (int(resources[kind]["memory"].removesuffix("Mi")) for kind in ("requests", "limits"))
    files = sum(
        file.stat().st_size
        for name, version in (("bags", "1"), ("binary", "10"), ("multiclass", "1"), ("regression", "1"))
        for file in (output / name / version).rglob("*")
        if file.is_file()
    )
    assert twice - once == pytest.approx(1.2 * files / 2**20, abs=1)
    assert np.isfinite(files)
