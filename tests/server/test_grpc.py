"""gRPC beside HTTP: the same token, certificate, limits, errors, counters and log."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from contract_cases import ROW, columns
from serving import census_version, free_port, port_in_use, wait_until
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfwd.errors import ConfigError
from tfwd.server import grpc_service, grpc_values
from tfwd.server.app import Server
from tfwd.server.process import Process
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Limits, Listening, Settings
from tfwd.server.signature import Signature, Spec

Stub = prediction_service_pb2_grpc.PredictionServiceStub


@asynccontextmanager
async def running(listening: Listening, **settings: Any) -> AsyncIterator[tuple[Server, Any]]:
    """A server of this process that answers gRPC alone, and its gRPC server."""
    server = Server(Settings(str(census_version() / "model.onnx"), "census", **settings))
    await server.start()
    try:
        answering = await grpc_service.start(server, listening)
        try:
            yield server, answering
        finally:
            await answering.stop(None)
    finally:
        await server.stop()


def ask(asking: Callable[[Stub, Server], Awaitable[Any]], **settings: Any) -> Any:
    """What a client got from a server with these settings."""

    async def run() -> Any:
        listening = Listening(grpc_port=free_port())
        async with (
            running(listening, **settings) as (server, _),
            grpc.aio.insecure_channel(f"127.0.0.1:{listening.grpc_port}") as channel,
        ):
            return await asking(Stub(channel), server)

    return asyncio.run(run())


def request(**changed: Any) -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest()
    made.model_spec.name = "census"
    for name, values in columns(ROW).items():
        made.inputs[name].CopyFrom(changed.get(name, tf.make_tensor_proto(values)))
    return made


def tensor(shape: list[int], **values: Any) -> tensor_pb2.TensorProto:
    made = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, **values)
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


def test_the_token_is_asked_for() -> None:
    async def asking(stub: Stub, _: Server) -> None:
        for wrong in ((), (("authorization", "s3cret"),), (("authorization", "Bearer s3cre"),)):
            code, why = await refused(stub.Predict(request(), metadata=wrong))
            assert code == grpc.StatusCode.UNAUTHENTICATED
            assert why == "The header Authorization must be: Bearer TOKEN, with the server's token."
        for right in ("Bearer s3cret", "bearer s3cret"):
            await stub.Predict(request(), metadata=(("authorization", right),))

    ask(asking, token="s3cret")


def test_every_method_asks_for_the_token() -> None:
    async def run() -> None:
        listening = Listening(grpc_port=free_port())
        async with (
            running(listening, token="s3cret"),
            grpc.aio.insecure_channel(f"127.0.0.1:{listening.grpc_port}") as channel,
        ):
            for service, methods in (
                ("PredictionService", ("Predict", "Classify", "Regress", "GetModelMetadata", "MultiInference")),
                ("ModelService", ("GetModelStatus", "HandleReloadConfigRequest")),
            ):
                for method in methods:
                    # What is no message at all would be told as such if it were read.
                    code, _ = await refused(channel.unary_unary(f"/tensorflow.serving.{service}/{method}")(b"\xff"))
                    assert code == grpc.StatusCode.UNAUTHENTICATED, method

    asyncio.run(run())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
def test_speaks_tls_with_the_certificate_of_https(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)

    async def run() -> None:
        listening = Listening(grpc_port=free_port(), certificate=certificate, key=key)
        address = f"127.0.0.1:{listening.grpc_port}"
        trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
        named = (("grpc.ssl_target_name_override", "localhost"),)
        async with running(listening), grpc.aio.secure_channel(address, trusted, named) as channel:
            assert (await Stub(channel).Predict(request())).model_spec.version.value == 1
            async with grpc.aio.insecure_channel(address) as plain:
                assert (await refused(Stub(plain).Predict(request())))[0] == grpc.StatusCode.UNAVAILABLE

    asyncio.run(run())


FLOATS = Signature("serving_default", (Spec("x", "float32", (None,)), Spec("y", "float32", (None, None))), (), dict)
LIMITS = Limits(body=1000, rows=100, list_values=50)


def unpacked(**tensors: tensor_pb2.TensorProto) -> Any:
    return grpc_values.arrays(tensors, FLOATS, LIMITS)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("x", tensor([200_000_000], float_val=[1]), "200000000 rows, more than the server's limit of 100"),
        ("x", tensor([2**45], float_val=[1]), "35184372088832 rows"),
        ("x", tensor([2**45], tensor_content=b"1234"), "35184372088832 rows"),
        ("y", tensor([1, 2**45], float_val=[1]), "a list has 35184372088832 values"),
        ("y", tensor([100, 50], float_val=[1]), "larger than the server's limit of 1,000 bytes"),
        ("x", tensor([-1], float_val=[1]), "of the shape that is not known"),
        ("x", tensor([1] * 300, float_val=[1]), "expected DT_FLOAT of 1 dimensions"),
        ("x", tensor([], float_val=[1]), "received DT_FLOAT of the shape []"),
        ("x", tensor([2], float_val=[1, 2, 3]), "its shape has 2 values, float_val has 3"),
        ("x", tensor([2]), "its shape has 2 values, float_val has 0"),
        ("x", tensor([2], int_val=[1, 2]), "its shape has 2 values, float_val has 0"),
        ("x", tensor([2], tensor_content=b"123"), "2 values of DT_FLOAT take 8 bytes, tensor_content has 3"),
        ("x", tensor_pb2.TensorProto(dtype=types_pb2.DT_VARIANT), "received DT_VARIANT"),
        ("x", tensor_pb2.TensorProto(dtype=999), "received type 999"),
    ],
)
def test_a_tensor_is_refused_before_it_is_unpacked(name: str, given: tensor_pb2.TensorProto, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        unpacked(**{name: given})
    assert message in refused.value.message


def test_the_limit_is_of_all_inputs_together() -> None:
    unpacked(x=tensor([100], float_val=[1]), y=tensor([3, 50], float_val=[1]))
    with pytest.raises(RequestError, match="limit of 1,000 bytes"):
        unpacked(x=tensor([100], float_val=[1]), y=tensor([4, 50], float_val=[1]))


def test_a_long_string_stands_for_others_within_the_limit() -> None:
    signature = Signature("serving_default", (Spec("x", "string", (None,)),), (), dict)
    given = tf.make_tensor_proto("電車" * 20, shape=[8])
    found = grpc_values.arrays({"x": given}, signature, LIMITS)["x"]
    assert found.tolist() == ["電車" * 20] * 8
    with pytest.raises(RequestError, match="limit of 1,000 bytes"):
        grpc_values.arrays({"x": tf.make_tensor_proto("電車" * 20, shape=[80])}, signature, LIMITS)


@pytest.mark.parametrize(
    "given",
    [
        tf.make_tensor_proto(np.arange(6, dtype=np.float32).reshape(2, 3)),
        tf.make_tensor_proto([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        tf.make_tensor_proto(7.0, shape=[2, 3]),
        tensor([2, 3], float_val=[1, 2]),
        tensor([0, 3]),
        tensor([2, 0]),
    ],
)
def test_a_tensor_is_unpacked_as_tensorflow_does(given: tensor_pb2.TensorProto) -> None:
    found = unpacked(y=given)["y"]
    np.testing.assert_array_equal(found, tf.make_ndarray(given))
    assert found.dtype == np.float32


@pytest.mark.parametrize(("dtype", "least"), [("int64", -(2**63)), ("int32", -(2**31))])
def test_integers_and_single_values(dtype: str, least: int) -> None:
    signature = Signature("recommend", (Spec("k", dtype, ()),), (), dict)
    found = grpc_values.arrays({"k": tf.make_tensor_proto(least, dtype)}, signature, LIMITS)["k"]
    assert (found.shape, found.dtype.name, found.item()) == ((), dtype, least)


def test_what_is_too_large_is_told_before_the_answer() -> None:
    async def asking(stub: Stub, _: Server) -> None:
        code, why = await refused(stub.Predict(request(age=tensor([200_000_000], float_val=[1]))))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert why == "The request has 200000000 rows, more than the server's limit of 20 (--max-rows)."
        long = predict_pb2.PredictRequest()
        long.model_spec.name = "n" * 20_000
        for packed in (None, grpc.Compression.Gzip):
            code, _ = await refused(stub.Predict(long, compression=packed))
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        many = classification_pb2.ClassificationRequest()
        many.model_spec.name, many.model_spec.signature_name = "census", "classify"
        for _ in range(21):
            many.input.example_list.examples.add()
        code, why = await refused(stub.Classify(many))
        assert (code, why[:23]) == (grpc.StatusCode.INVALID_ARGUMENT, "The request has 21 rows")
        wanted = request()
        wanted.output_filter.extend(["probability", "nothing"])
        code, why = await refused(stub.Predict(wanted))
        assert (code, why) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "output tensor alias not found in signature: nothing",
        )
        # It was counted as asked, and nothing else is known of a model that is not there.
        assert (await refused(stub.Predict(predict_pb2.PredictRequest())))[0] == grpc.StatusCode.NOT_FOUND

    ask(asking, limits=Limits(body=10_000, rows=20))


def test_requests_are_counted_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async def asking(stub: Stub, server: Server) -> str:
        await stub.Predict(request())
        await refused(stub.Predict(request(age=tensor([2], float_val=[1]))))
        await refused(stub.Predict(predict_pb2.PredictRequest()))
        return server.counters.exposition().decode()

    text = ask(asking, access_log=True)
    assert ':request_count{model_name="census",status="OK"} 1\n' in text
    assert ':request_count{model_name="census",status="INVALID_ARGUMENT"} 1\n' in text
    assert ':request_latency_count{API="Predict",entrypoint="GRPC",model_name="census"} 1\n' in text
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == [200, 400, 404]
    first = {key: value for key, value in lines[0].items() if key not in ("time", "milliseconds")}
    assert first == {
        "client": "127.0.0.1",
        "method": "GRPC",
        "path": "/tensorflow.serving.PredictionService/Predict",
        "status": 200,
        "model": "census",
        "version": "1",
        "rows": 1,
    }


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RequestError("too late", 504), grpc.StatusCode.DEADLINE_EXCEEDED, "too late"),
        (RequestError("full", 503), grpc.StatusCode.UNAVAILABLE, "full"),
        (RequestError("broken", 500), grpc.StatusCode.INTERNAL, "broken"),
        (ValueError("a secret"), grpc.StatusCode.INTERNAL, "The server failed. Its log says why."),
    ],
)
def test_errors_have_the_code_of_tensorflow(error: Exception, code: grpc.StatusCode, message: str) -> None:
    async def asking(stub: Stub, server: Server) -> None:
        async def fail(_: Any) -> None:
            raise error

        server.repository.get("census").batchers["serving_default"].answer = fail  # type: ignore
        assert await refused(stub.Predict(request())) == (code, message)

    ask(asking)


def test_a_port_in_use_is_named() -> None:
    async def run(port: int) -> None:
        async with running(Listening(grpc_port=port)):
            pass

    with (
        port_in_use() as port,
        pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be listened on. Choose another --grpc-port"),
    ):
        asyncio.run(run(port))


def test_a_client_over_ipv6_is_named() -> None:
    assert grpc_service._client("ipv6:%5B::1%5D:50000") == ("::1",)
    assert grpc_service._client("ipv4:127.0.0.1:50000") == ("127.0.0.1",)


def test_the_drain_takes_no_new_request_and_answers_those_in_progress() -> None:
    port = free_port()
    began, go_on = threading.Event(), threading.Event()
    bound = socket.create_server(("127.0.0.1", 0))
    process = Process(Settings(str(census_version() / "model.onnx"), "census"), Listening(grpc_port=port), began.set)
    thread = threading.Thread(target=process.run, args=([bound],))
    thread.start()
    try:
        assert began.wait(60)
        batcher = process._server.repository.get("census").batchers["serving_default"]
        answer, asked = batcher.answer, threading.Event()

        async def slow(*given: Any) -> Any:
            asked.set()
            while not go_on.is_set():
                await asyncio.sleep(0.01)
            return await answer(*given)

        batcher.answer = slow  # type: ignore
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            early = Stub(channel).Predict.future(request(), timeout=60)
            assert asked.wait(60)
            process.should_exit = True
            wait_until(lambda: _refuses(port))
            assert not early.done()
            go_on.set()
            assert early.result().model_spec.version.value == 1
    finally:
        process.should_exit = True
        go_on.set()
        thread.join(60)
    assert not thread.is_alive()


def _refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0
