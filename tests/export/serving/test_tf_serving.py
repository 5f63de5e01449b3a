"""TF Serving's kit: every file against its validator, with a spoilt twin; the clients against the SavedModel."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
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
import yaml
from export_models import FEATURES, everything
from google.protobuf import text_format
from made_once import made
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from export.savedmodel import writer as savedmodel
from export.serving import batching, monitoring, rows, tf_serving
from export.serving.settings import Settings
from tfwd.errors import ConfigError, ExportError
from tfwd.inference.metadata import of_saved_model

SETTINGS = Settings(cores=3, tf_serving_image="registry.example/tf:9", claim="shop-models")


@pytest.fixture(scope="module")
def output(exports: dict[str, tuple[Path, Path]], bag_exports: dict[str, Path]) -> Path:
    """A folder of models of every task and with lists, one of them in two versions, and its kit."""

    def make(folder: Path) -> None:
        for name in ("binary", "multiclass", "regression"):
            shutil.copytree(exports[name][0], folder / "out" / name / "1")
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


def test_every_step_of_a_canary_follows_from_the_one_before(output: Path) -> None:
    """A label is given only to a version that the step before has loaded, or that is loaded already."""
    folder = output / "serving" / "canary" / "binary"
    loaded: set[int] = {1}
    for file in sorted(folder.iterdir()):
        assert check.models(file.read_text()) is None
        config = text_format.Parse(file.read_text(), model_server_config_pb2.ModelServerConfig())
        others = {entry.name for entry in config.model_config_list.config}
        assert others == {"bags", "binary", "multiclass", "regression"}
        own = next(entry for entry in config.model_config_list.config if entry.name == "binary")
        assert set(own.version_labels.values()) <= loaded
        loaded = set(own.model_version_policy.specific.versions)
    assert loaded == {10}
    assert [file.name for file in (output / "serving" / "canary" / "bags").iterdir()] == ["1-stable.config"]


def test_the_choices_are_in_the_files(output: Path) -> None:
    for name in ("docker-compose.yaml", "kubernetes.yaml", "README.md"):
        assert "registry.example/tf:9" in text(output, name)
    assert "claimName: shop-models" in text(output, "kubernetes.yaml")
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


def test_the_next_version_of_a_batched_model_is_batched_too(output: Path, tmp_path: Path) -> None:
    model = everything(features=[feature for feature in FEATURES if feature.get("column") in ("class", "level")])
    first, second = output / "binary" / "10", tmp_path / "clicks" / "2"
    shutil.copytree(first, tmp_path / "clicks" / "1")
    savedmodel.save(model, tmp_path, name="clicks")
    assert (second / batching.FILE).read_text() == (first / batching.FILE).read_text()
    batching.inherit(second, second.parent, [1], model.schema, lists=True)
    assert not (second / batching.FILE).exists()
    batching.inherit(second, second.parent, [1, 2], model.schema, lists=False)
    batching.inherit(second, second.parent, [], model.schema, lists=False)
    assert not (second / batching.FILE).exists()


def test_prometheus_takes_its_files(output: Path) -> None:
    """The form here; what the expressions mean is for promtool."""
    main, alerts = (yaml.safe_load(text(output, f"monitoring/{name}")) for name in ("prometheus.yml", "alerts.yml"))
    (job,) = main["scrape_configs"]
    assert job["metrics_path"] in text(output, "monitoring.config")
    assert main["rule_files"] == ["alerts.yml"]
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 5
    assert all({"alert", "expr", "labels", "annotations"} <= set(rule) for rule in rules)
    board = json.loads(text(output, "monitoring/grafana/dashboards/tf-serving.json"))
    assert len({panel["id"] for panel in board["panels"]}) == len(monitoring.PANELS)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


# Two servers, of which one fails and is slow: of its requests, 2 in 10 fail; all take 0.4 to 0.8 s.
SERIES = """
rule_files: [alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: up{job="tf-serving", instance="a"}
        values: 1x60
      - series: up{job="tf-serving", instance="b"}
        values: 0x60
      - series: :tensorflow:serving:request_count{model_name="good", status="OK"}
        values: 0+600x60
      - series: :tensorflow:serving:request_count{model_name="bad", status="OK"}
        values: 0+480x60
      - series: :tensorflow:serving:request_count{model_name="bad", status="INTERNAL"}
        values: 0+120x60
      - series: :tensorflow:serving:request_count{model_name="odd", status="OK"}
        values: 0+100x60
      - series: :tensorflow:serving:request_count{model_name="odd", status="INVALID_ARGUMENT"}
        values: 0+100x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="good", le="1000"}
        values: 0+600x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="good", le="+Inf"}
        values: 0+600x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="bad", le="400000"}
        values: 0x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="bad", le="800000"}
        values: 0+600x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="bad", le="+Inf"}
        values: 0+600x60
      - series: :tensorflow:cc:saved_model:load_attempt_count{model_path="/models/bad/2", status="fail"}
        values: 0x39 1x20
      - series: :tensorflow:cc:saved_model:load_attempt_count{model_path="/models/good/2", status="success"}
        values: 0x39 1x20
    promql_expr_test:
      - expr: count by (alertname, model_name, model_path, instance) (ALERTS{alertstate="firing"})
        eval_time: 45m
        exp_samples:
          - {labels: '{alertname="TFServingDown", instance="b"}', value: 1}
          - {labels: '{alertname="TFServingFails", model_name="bad"}', value: 1}
          - {labels: '{alertname="TFServingRequestsInvalid", model_name="odd"}', value: 1}
          - {labels: '{alertname="TFServingSlow", model_name="bad"}', value: 1}
          - {labels: '{alertname="TFServingVersionDoesNotLoad", model_path="/models/bad/2"}', value: 1}
"""


def test_the_alerts_ring_for_what_they_say(output: Path) -> None:
    tool = check.program("promtool")
    if tool is None:
        pytest.skip("promtool, of the package prometheus, is not on the PATH: the expressions are not tried")
    main, alerts = text(output, "monitoring/prometheus.yml"), text(output, "monitoring/alerts.yml")
    both = ("prometheus.yml", main), ("alerts.yml", alerts)
    assert check.said([tool, "check", "config", "prometheus.yml"], *both) is None
    spoilt = ("prometheus.yml", main.replace("scrape_configs", "scrapes")), both[1]
    assert check.said([tool, "check", "config", "prometheus.yml"], *spoilt) is not None
    run = [tool, "test", "rules", "series.yml"]
    assert check.said(run, ("series.yml", SERIES), both[1]) is None
    milliseconds = alerts.replace("> 100000", "> 1000000")
    assert check.said(run, ("series.yml", SERIES), ("alerts.yml", milliseconds)) is not None
    panels = check.queries(json.loads(text(output, "monitoring/grafana/dashboards/tf-serving.json")))
    rules = [tool, "check", "rules", "panels.yml"]
    assert check.said(rules, ("panels.yml", check.as_rules(panels))) is None
    assert check.said(rules, ("panels.yml", check.as_rules([*panels, "sum by (le (x)"]))) is not None


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


CLIENTS = {"rest.py": sys.executable, "client.sh": "sh", "client.mjs": "node"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["bags", "binary"])
def test_a_client_gets_the_answers_of_its_rows(
    output: Path, rest: str, loaded: dict[str, Any], client: str, name: str
) -> None:
    for needed in (CLIENTS[client], *(["curl"] if client == "client.sh" else [])):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not on the PATH")
    folder = output / "serving" / "clients" / name
    shown = subprocess.run(
        [CLIENTS[client], str(folder / client), rest], capture_output=True, text=True, check=True, timeout=60
    )
    body = json.loads((folder / "predict.json").read_text())
    assert len(body["instances"]) > 1
    word, _, answer = shown.stdout.strip().partition(" ")
    assert word == "predict"
    got = [row["probability"] for row in json.loads(answer)["predictions"]]
    expected = [row["probability"] for row in answers(loaded[name], body)["predictions"]]
    assert got == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("client", ["rest.py", "client.sh", "client.mjs"])
def test_a_client_says_what_the_server_refuses(output: Path, rest: str, client: str, tmp_path: Path) -> None:
    if shutil.which(CLIENTS[client]) is None:
        pytest.skip(f"{CLIENTS[client]} is not on the PATH")
    shutil.copytree(output / "serving" / "clients" / "binary", tmp_path / "binary")
    (tmp_path / "binary" / "predict.json").write_text('{"instances": [{"x": 1}]}')
    command = [CLIENTS[client], str(tmp_path / "binary" / client), rest]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode != 0
    assert "400" in shown.stdout + shown.stderr


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
            state = "AVAILABLE" if self.path.removeprefix("/v1/models/") in known else "LOADING"
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
    for number in ("1", "2"):
        shutil.copytree(output / "binary" / "1", tmp_path / "clicks" / number)
    canary = tf_serving.write(tmp_path) / "canary" / "clicks"
    assert len(list(canary.iterdir())) == 4
    shutil.rmtree(tmp_path / "clicks" / "1")
    tf_serving.write(tmp_path)
    assert [file.name for file in canary.iterdir()] == ["1-stable.config"]


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
        ({"claim": "A_b"}, "--claim"),
        ({"claim": ""}, "--claim"),
    ],
)
def test_a_choice_that_a_file_cannot_hold_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Settings(**given)


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
