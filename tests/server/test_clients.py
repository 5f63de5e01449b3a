"""Real clients of other projects: TF Serving's gRPC stubs, curl, node, and Triton's client where it is installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from contract_cases import PREDICT, ROW, columns, instances
from serving import ROOT, Served, models, served

ROWS = [ROW, {**ROW, "age": 20.0, "occupation": "電車男"}]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(models()) as running:
        yield running


@pytest.fixture(scope="module")
def answers(server: Served) -> list[float]:
    return [row["probability"] for row in server.ask(PREDICT, instances(*ROWS)).json["predictions"]]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server: Served, answers: list[float]) -> None:
    url = f"http://localhost:{server.port}{PREDICT}"
    ran = subprocess.run(
        ["curl", "-sf", "--compressed", url, "-d", json.dumps(instances(*ROWS))], capture_output=True, check=True
    )
    assert [row["probability"] for row in json.loads(ran.stdout)["predictions"]] == answers


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node(server: Served, answers: list[float]) -> None:
    program = """
    const [url, body] = process.argv.slice(1)
    fetch(url, {method: "POST", body}).then(async reply => console.log(reply.status, await reply.text()))
    """
    url = f"http://localhost:{server.port}{PREDICT}"
    ran = subprocess.run(
        ["node", "-e", program, url, json.dumps(instances(*ROWS))], capture_output=True, check=True, text=True
    )
    status, _, text = ran.stdout.partition(" ")
    assert status == "200"
    assert [row["probability"] for row in json.loads(text)["predictions"]] == answers


def test_triton_client(server: Served, answers: list[float]) -> None:
    from tritonclient import http

    client = http.InferenceServerClient(f"localhost:{server.port}")
    assert client.is_server_live()
    assert client.is_model_ready("census")
    inputs = []
    for name, values in columns(*ROWS).items():
        array = np.array(values, object if isinstance(values[0], str) else np.float32)
        entry = http.InferInput(name, [len(values)], "BYTES" if array.dtype == object else "FP32")
        entry.set_data_from_numpy(array)
        inputs.append(entry)
    for more in ({}, {"request_compression_algorithm": "gzip"}):
        found = client.infer("census", inputs, **more).as_numpy("probability")
        np.testing.assert_allclose(found, answers, rtol=1e-6)
    outputs = [http.InferRequestedOutput("logit", binary_data=False)]
    assert client.infer("census", inputs, outputs=outputs).as_numpy("logit").shape == (2,)


_KSERVE_PROGRAM = """
import asyncio, json, sys
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig

async def ask(url, columns, rows):
    by_row = await InferenceRESTClient(RESTConfig(protocol="v1")).infer(url, {"instances": rows}, model_name="census")
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url) and await client.is_server_ready(url)
    assert await client.is_model_ready(url, "census")
    inputs = []
    for name, values in columns.items():
        kind = "BYTES" if isinstance(values[0], str) else "FP32"
        inputs.append(InferInput(name=name, shape=[len(values)], datatype=kind, data=values))
    request = InferRequest(model_name="census", infer_inputs=inputs)
    by_tensor = await client.infer(url, request, model_name="census")
    found = {output.name: output.data for output in by_tensor.outputs}
    print(json.dumps([[row["probability"] for row in by_row["predictions"]], found["probability"]]))

asyncio.run(ask(sys.argv[1], *json.loads(sys.argv[2])))
"""
_KSERVE = ROOT / ".cache" / "servers" / "kserve" / "bin" / "python"


@pytest.mark.skipif(not _KSERVE.exists(), reason="make bench-servers has made no environment with KServe")
def test_kserve_client(server: Served, answers: list[float]) -> None:
    url = f"http://localhost:{server.port}"
    program = [str(_KSERVE), "-c", _KSERVE_PROGRAM, url, json.dumps([columns(*ROWS), ROWS])]
    ran = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    by_row, by_tensor = json.loads(ran.stdout.splitlines()[-1])
    assert by_row == by_tensor == answers


def test_tf_serving_stubs() -> None:
    """The stubs of tensorflow-serving-api, as its users call them."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        served(models(), "--grpc-port", str(port), "--label", "census/stable=1", "--workers", "2") as server,
        grpc.insecure_channel(f"localhost:{port}") as channel,
    ):
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
