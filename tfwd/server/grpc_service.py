"""TensorFlow Serving's gRPC services, for clients and tests: they need its API, which imports TensorFlow."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import grpc
import tensorflow as tf
from google.protobuf import json_format
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfwd.errors import ConfigError
from tfwd.server import authorization, examples_api, grpc_values, predict_api, rest
from tfwd.server.answer import Answer
from tfwd.server.app import CODES, Server
from tfwd.server.repository import Version
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Listening
from tfwd.server.signature import Tensors

_LOG = logging.getLogger("tfwd.server")
_STATES = {"LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}
# gRPC's own, for a message beyond its limit.
_TOO_LARGE = StatusCode.RESOURCE_EXHAUSTED
_LARGEST_OPTION = 2**31 - 1


async def start(server: Server, listening: Listening) -> Any:
    """Starts the services; returns the gRPC server, which `stop` ends.

    Args:
        server: what answers.
        listening: where, and with which certificate.

    Raises:
        ConfigError: the port is in use.
    """
    options = [
        ("grpc.max_receive_message_length", min(server.settings.limits.body, _LARGEST_OPTION)),
        # Worker processes share the port; no other program may.
        ("grpc.so_reuseport", int(listening.workers > 1)),
    ]
    made = grpc.aio.server(interceptors=[_Guard(server)], options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(server), made)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(server), made)
    assert listening.grpc_port is not None
    address = listening.address(listening.grpc_port)
    try:
        if listening.certificate is None or listening.key is None:
            bound = made.add_insecure_port(address)
        else:
            pair = (listening.key.read_bytes(), listening.certificate.read_bytes())
            bound = made.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError:
        bound = 0
    if not bound:
        raise ConfigError(f"{address} cannot be listened on. Choose another --grpc-port.")
    await made.start()
    return made


class _Guard(grpc.aio.ServerInterceptor):
    """Stands before all methods: asks for the token, says errors as gRPC does, counts and logs.

    The methods of the services get an `Answer` instead of gRPC's context. They write into it what they were asked, as
    soon as they know it, and raise `RequestError`.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Returns what answers a request, of which only the headers have been read."""
        method = await continuation(details)
        if method is None:
            return None
        refused: RequestError | None = None
        header = dict(details.invocation_metadata).get("authorization", "")
        try:
            authorization.check(header.encode() if isinstance(header, str) else header, self._server.settings.token)
        except RequestError as error:
            refused = error

        async def answered(request: Any, context: Any) -> Any:
            begun = time.perf_counter()
            answer, message, why = Answer(b""), None, ""
            try:
                if refused is not None:
                    raise refused
                message = await method.unary_unary(request, answer)
            except RequestError as error:
                answer.status, why = error.status, error.message
            except Exception:  # a fault of ours must not be told in its own words
                _LOG.exception("%s failed", details.method)
                answer.status, why = 500, "The server failed. Its log says why."
            scope = {"client": _client(context.peer()), "method": "GRPC", "path": details.method}
            self._server.answered(scope, answer, 1e6 * (time.perf_counter() - begun), "GRPC")
            if answer.status != 200:
                await context.abort(_code(answer.status), why)
            return message

        # What comes without the token is not even parsed.
        parse = method.request_deserializer if refused is None else None
        return grpc.unary_unary_rpc_method_handler(answered, parse, method.response_serializer)


def _client(peer: str) -> tuple[str]:
    """Returns the address in `ipv4:127.0.0.1:50000` or `ipv6:%5B::1%5D:50000`."""
    return (unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]"),)


def _code(status: int) -> StatusCode:
    return _TOO_LARGE if status == 413 else StatusCode[CODES.get(status, "UNKNOWN")]


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def Predict(self, request: Any, answer: Answer) -> Any:  # noqa: N802
        version = _version(self._server, request.model_spec, answer, "Predict")
        name = request.model_spec.signature_name or "serving_default"
        batcher = version.batcher(name)
        known = [spec.name for spec in batcher.signature.outputs]
        wanted = list(dict.fromkeys(request.output_filter)) or known
        other = next((key for key in wanted if key not in known), None)
        if other is not None:
            raise RequestError(f"output tensor alias not found in signature: {other:.100}")
        arrays = grpc_values.arrays(request.inputs, batcher.signature, self._server.settings.limits)
        asked = predict_api.of_arrays(arrays, batcher.signature, by_row=False)
        outputs = await batcher.answer(asked)
        answer.rows = asked.rows
        message = predict_pb2.PredictResponse()
        _say(message.model_spec, version, name)
        for key in wanted:
            message.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
        return message

    async def Classify(self, request: Any, answer: Answer) -> Any:  # noqa: N802
        version, outputs = await self._examples(request, answer, "classify")
        schema, message = version.model.schema, classification_pb2.ClassificationResponse()
        _say(message.model_spec, version, "classify")
        for row in examples_api.scores(schema, outputs):
            found = message.result.classifications.add()
            for label, score in zip(schema.classes, row, strict=True):
                found.classes.add(label=label, score=float(score))
        return message

    async def Regress(self, request: Any, answer: Answer) -> Any:  # noqa: N802
        version, outputs = await self._examples(request, answer, "regress")
        message = regression_pb2.RegressionResponse()
        _say(message.model_spec, version, "regress")
        for value in outputs[version.model.schema.answer]:
            message.result.regressions.add(value=float(value))
        return message

    async def _examples(self, request: Any, answer: Answer, method: Any) -> tuple[Version, Tensors]:
        version = _version(self._server, request.model_spec, answer, method.capitalize())
        schema, limits = version.model.schema, self._server.settings.limits
        name = request.model_spec.signature_name or "serving_default"
        examples_api.check_method(name, method, examples_api.methods(schema).get(name))
        batcher = version.batcher("serving_default")
        body = grpc_values.examples(request.input, batcher.signature, limits)
        asked = examples_api.read(body, schema, batcher.signature, limits)
        outputs = await batcher.answer(asked)
        answer.rows = asked.rows
        return version, outputs

    async def GetModelMetadata(self, request: Any, answer: Answer) -> Any:  # noqa: N802
        version = _version(self._server, request.model_spec, answer)
        if list(request.metadata_field) != ["signature_def"]:
            raise RequestError("Metadata field must be signature_def")
        message = get_model_metadata_pb2.GetModelMetadataResponse()
        _say(message.model_spec, version, "")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        json_format.ParseDict(
            rest.metadata(version)["metadata"]["signature_def"], signatures, ignore_unknown_fields=True
        )
        message.metadata["signature_def"].Pack(signatures)
        return message


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def GetModelStatus(self, request: Any, answer: Answer) -> Any:  # noqa: N802
        name, number, label = _asked(request.model_spec)
        message = get_model_status_pb2.GetModelStatusResponse()
        for entry in self._server.repository.status(name, number, label):
            state = message.model_version_status.add(version=int(entry["version"]), state=_STATES[entry["state"]])
            state.status.error_message = entry["status"]["error_message"]
        return message


def _asked(spec: Any) -> tuple[str, int | None, str | None]:
    return spec.name, spec.version.value if spec.HasField("version") else None, spec.version_label or None


def _version(server: Server, spec: Any, answer: Answer, kind: str = "") -> Version:
    version = server.repository.get(*_asked(spec))
    answer.model, answer.version, answer.kind = version.name, version.header, kind
    return version


def _say(spec: Any, version: Version, signature: str) -> None:
    spec.name, spec.version.value, spec.signature_name = version.name, version.number, signature
