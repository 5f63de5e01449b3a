"""What is asked of a real server: every documented request, lists over HTTP, and TF Serving's gRPC with its stubs."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import ranking_cases
import tensorflow as tf
from contract_cases import CASES, PREDICT, ROW, Case, binary, columns, infer, instances
from serving import Served, free_port, models, served
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

OPTIONS = ("--label", "census/stable=1", "--keep-versions", "2")
LIMITS = ("--max-rows", "2000", "--max-list", "500", "--max-body-mb", "2")
FILMS = "/v1/models/films:predict"
USERS = {
    "user_id": ["1", "2"],
    "liked": [["m1", "m2"], ["m3", ""]],
    "city": ["Drama Town", "Nowhere"],
    "age": [30.0, 40.0],
}


@functools.cache
def grpc_port() -> int:
    """Where TF Serving's gRPC is answered."""
    return free_port()


@pytest.fixture(scope="module", params=["onnx", "tensorflow"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Answers for the census, a model of lists and a recommender, from ONNX files or from SavedModels.

    The recommender has two versions of an ONNX file, of which only the first has its lists beside it; a SavedModel has
    its lists inside. Only the one that imports TensorFlow anyway answers gRPC too, by two workers on one port.
    """
    target = tmp_path_factory.mktemp("served") / "models"
    shutil.copytree(models(), target)
    put_films(target / "films", request.param)
    more = ("--grpc-port", str(grpc_port()), "--workers", "2") if request.param == "tensorflow" else ()
    with served(target, *OPTIONS, *LIMITS, *more, "--backend", request.param) as running:
        yield running


def put_films(target: Path, backend: str) -> None:
    exported = ranking_cases.exported()
    if backend == "tensorflow":
        shutil.copytree(exported / "films" / "1", target / "1")
        shutil.copy(exported / "films.onnx", target / "1" / "model.onnx")
        return
    for version in ("1", "2"):
        (target / version).mkdir(parents=True)
        shutil.copy(exported / "films.onnx", target / version / "model.onnx")
    shutil.copy(exported / "films.recommend.onnx", target / "1" / "model.recommend.onnx")


def test_there_are_enough_requests() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_as_the_contract_says(server: Served, case: Case) -> None:
    reply = server.ask(case.path, case.body, dict(case.headers), case.method)
    content = reply.content
    if "inference-header-content-length" in reply.headers:
        content = content[: int(reply.headers["inference-header-content-length"])]
    assert reply.status == case.status, content
    assert reply.headers["content-type"] == "application/json"
    answer = json.loads(content)
    if callable(case.says):
        assert case.says(answer), answer
    else:
        assert set(answer) == {"error"}
        assert case.says in answer["error"]
    model_answered = reply.status == 200 and (":" in case.path or "infer" in case.path or "metadata" in case.path)
    assert reply.headers.get("x-model-version") == "1" or not model_answered


def test_numbers_are_those_of_the_model(server: Served) -> None:
    """By row, by column, in both protocols, alone and together: what the Keras model says."""
    from census_cases import trained

    from tfwd.inference.load import load_scorer

    rows = [ROW, {**ROW, "age": 20.0, "occupation": "Adm-clerical"}, {**ROW, "education": "", "hours_per_week": 99.0}]
    expected = load_scorer(trained().path).score({key: np.array(value) for key, value in columns(*rows).items()})
    by_row = server.ask(PREDICT, instances(*rows)).json["predictions"]
    np.testing.assert_allclose([row["probability"] for row in by_row], expected["probability"], atol=1e-6)
    np.testing.assert_allclose([row["logit"] for row in by_row], expected["logit"], atol=1e-5)
    by_column = server.ask(PREDICT, {"inputs": columns(*rows)}).json["outputs"]
    assert by_column["probability"] == [row["probability"] for row in by_row]
    by_v2 = server.ask("/v2/models/census/infer", infer(*rows)).json["outputs"]
    assert {tensor["name"]: tensor["data"] for tensor in by_v2} == by_column
    text, length = binary(*rows, back=True)
    reply = server.ask("/v2/models/census/infer", text, {"Inference-Header-Content-Length": length})
    start = int(reply.headers["inference-header-content-length"])
    assert np.frombuffer(reply.content[start:], "<f4").tolist() == np.float32(by_column["probability"]).tolist()


def asked(version: int = 1, **inputs: Any) -> tuple[str, dict[str, Any]]:
    path = FILMS.replace(":", f"/versions/{version}:")
    return path, {"signature_name": "recommend", "inputs": {**USERS, **inputs}}


def test_the_lists_of_the_recommender(server: Served) -> None:
    users = ranking_cases.users().head(4)
    expected = ranking_cases.trained().recommend(users, k=5, include_seen=True)
    length = max(map(len, users["liked"]))
    inputs = {
        "user_id": users["user_id"].tolist(),
        "city": users["city"].tolist(),
        "age": users["age"].astype(float).tolist(),
        "liked": [[*items, *[""] * (length - len(items))] for items in users["liked"]],
    }
    answer = server.ask(*asked(**inputs, k=5)).json["outputs"]
    assert np.ravel(answer["items"]).tolist() == expected["movie_id"].tolist()
    np.testing.assert_allclose(np.ravel(answer["scores"]), expected["score"], atol=1e-6)


def test_what_may_be_left_out_and_given(server: Served) -> None:
    usual = server.ask(*asked()).json["outputs"]
    assert np.shape(usual["items"]) == np.shape(usual["titles"]) == np.shape(usual["scores"]) == (2, 10)
    first = usual["items"][0][0]
    without = server.ask(*asked(exclude=[[first], [""]], k=3)).json["outputs"]["items"]
    assert without == [usual["items"][0][1:4], usual["items"][1][:3]]
    among = server.ask(*asked(candidates=[["m5", "m7", first]], k=3)).json["outputs"]["items"]
    assert among[0][0] == first
    assert sorted(among[0]) == sorted(among[1]) == sorted(["m5", "m7", first])


def test_the_open_inference_protocol_lists_too(server: Served) -> None:
    def tensor(name: str, values: Any, datatype: str = "BYTES") -> dict[str, Any]:
        data = np.ravel(np.array(values, object)).tolist()
        return {"name": name, "datatype": datatype, "shape": list(np.shape(values)), "data": data}

    inputs = [tensor(name, values, "FP32" if name == "age" else "BYTES") for name, values in USERS.items()]
    body = {"parameters": {"signature_name": "recommend"}, "inputs": [*inputs, tensor("k", 4, "INT32")]}
    path = "/v2/models/films/versions/1/infer"
    found = {entry["name"]: entry for entry in server.ask(path, body).json["outputs"]}
    assert found["items"]["shape"] == [2, 4]
    assert found["items"]["data"] == np.ravel(server.ask(*asked(k=4)).json["outputs"]["items"]).tolist()


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"k": 1_000_000}, "'k'"),
        ({"k": "5"}, "'k'"),
        ({"k": [5]}, "'k'"),
        ({"user_id": ["1"]}, "must have one number of rows"),
        ({"exclude": [["m1"]] * 3}, "'exclude' must have one row"),
        ({"candidates": [[5]]}, "candidates"),
    ],
)
def test_what_is_no_request_for_a_list(server: Served, inputs: dict[str, Any], says: str) -> None:
    reply = server.ask(*asked(**inputs))
    assert reply.status == 400
    assert says in reply.json["error"]


def test_without_lists_the_answer_says_what_writes_them(server: Served) -> None:
    if server.ask("/v2/models/films").json["platform"] == "tensorflow_savedmodel":
        assert server.ask(*asked()).status == 200
        return
    reply = server.ask(*asked(version=2))
    assert reply.status == 400
    assert "export.onnx writes that file" in reply.json["error"]


ROWS = [ROW, {**ROW, "age": 20.0, "occupation": "電車男"}]


@pytest.mark.parametrize("server", ["tensorflow"], indirect=True)
def test_tf_serving_stubs(server: Served) -> None:
    """The stubs of tensorflow-serving-api, as its users call them."""
    with grpc.insecure_channel(f"localhost:{grpc_port()}") as channel:
        expected = server.ask(PREDICT, instances(*ROWS)).json["predictions"]
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.version_label = "census", "stable"
        for name, values in columns(*ROWS).items():
            dtype = tf.string if isinstance(values[0], str) else tf.float32
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype))
        answer = stub.Predict(request, timeout=60)
        assert answer.model_spec.version.value == 1
        for name in ("probability", "logit"):
            found = tf.make_ndarray(answer.outputs[name])
            np.testing.assert_allclose(found, [row[name] for row in expected], rtol=1e-5)

        def example(row: dict[str, Any]) -> tf.train.Example:
            made = tf.train.Example()
            for name, value in row.items():
                feature = made.features.feature[name]
                if isinstance(value, str):
                    feature.bytes_list.value.append(value.encode())
                else:
                    feature.float_list.value.append(value)
            return made

        for kind, call in (
            (regression_pb2.RegressionRequest, stub.Regress),
            (classification_pb2.ClassificationRequest, stub.Classify),
        ):
            asked = kind()
            asked.model_spec.name = "census"
            asked.model_spec.signature_name = "regress" if kind is regression_pb2.RegressionRequest else "classify"
            asked.input.example_list.examples.extend(map(example, ROWS))
            result = call(asked, timeout=60).result
            if kind is regression_pb2.RegressionRequest:
                scores = [entry.value for entry in result.regressions]
            else:
                scores = [entry.classes[1].score for entry in result.classifications]
                assert [entry.label for entry in result.classifications[0].classes] == ["<=50K", ">50K"]
            np.testing.assert_allclose(scores, [row["probability"] for row in expected], rtol=1e-5)
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = "census"
        models_stub = model_service_pb2_grpc.ModelServiceStub(channel)
        states = models_stub.GetModelStatus(status, timeout=60).model_version_status
        assert [(entry.version, entry.state) for entry in states] == [(1, 30)]
        metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        metadata.model_spec.name = "census"
        found = stub.GetModelMetadata(metadata, timeout=60).metadata["signature_def"]
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert found.Unpack(signatures)
        assert signatures.signature_def["serving_default"].inputs["age"].dtype == tf.float32.as_datatype_enum
        for change, code in (
            (lambda r: r.model_spec.__setattr__("name", "nope"), grpc.StatusCode.NOT_FOUND),
            (lambda r: r.inputs.pop("age"), grpc.StatusCode.INVALID_ARGUMENT),
            (lambda r: r.inputs["age"].CopyFrom(tf.make_tensor_proto(1.0)), grpc.StatusCode.INVALID_ARGUMENT),
            (lambda r: r.inputs["age"].CopyFrom(tf.make_tensor_proto([1, 2])), grpc.StatusCode.INVALID_ARGUMENT),
        ):
            wrong = predict_pb2.PredictRequest()
            wrong.CopyFrom(request)
            change(wrong)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(wrong, timeout=60)
            assert caught.value.code() == code
