"""TensorFlow Serving's gRPC services, for clients and tests: they need its API, which imports TensorFlow."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
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

from tfwd.server import examples_api, predict_api, rest, values
from tfwd.server.host import Host
from tfwd.server.repository import Version
from tfwd.server.request_error import RequestError
from tfwd.server.signature import Signature, Tensors

_CODES = {400: StatusCode.INVALID_ARGUMENT, 404: StatusCode.NOT_FOUND, 503: StatusCode.UNAVAILABLE}
_STATES = {"LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}


async def start(server: Host, host: str, port: int) -> Any:
    """Starts the services; returns the gRPC server, which `stop` ends.

    Args:
        server: what answers.
        host: the address.
        port: the port.
    """
    made = grpc.aio.server(options=[("grpc.max_receive_message_length", server.settings.limits.body)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(server), made)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(server), made)
    shown = f"[{host}]" if ":" in host else host
    if not made.add_insecure_port(f"{shown}:{port}"):
        raise RequestError(f"{shown}:{port} cannot be listened on. Choose another --grpc-port.")
    await made.start()
    return made


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server: Host) -> None:
        self._server = server

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            version = _version(self._server, request.model_spec)
            name = request.model_spec.signature_name or "serving_default"
            batcher = version.batcher(name)
            arrays = _arrays(request.inputs, batcher.signature, self._server)
            outputs = await batcher.answer(predict_api.of_arrays(arrays, batcher.signature, by_row=False))
        except RequestError as error:
            await context.abort(_CODES.get(error.status, StatusCode.INTERNAL), error.message)
        answer = predict_pb2.PredictResponse()
        _say(answer.model_spec, version, name)
        wanted = list(request.output_filter) or list(outputs)
        for key in wanted:
            if key not in outputs:
                await context.abort(StatusCode.INVALID_ARGUMENT, f"output tensor alias not found in signature: {key}")
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
        return answer

    async def Classify(self, request: Any, context: Any) -> Any:  # noqa: N802
        version, outputs = await self._examples(request, context, "classify")
        schema, answer = version.model.schema, classification_pb2.ClassificationResponse()
        _say(answer.model_spec, version, "classify")
        for row in examples_api.scores(schema, outputs):
            found = answer.result.classifications.add()
            for label, score in zip(schema.classes, row, strict=True):
                found.classes.add(label=label, score=float(score))
        return answer

    async def Regress(self, request: Any, context: Any) -> Any:  # noqa: N802
        version, outputs = await self._examples(request, context, "regress")
        answer = regression_pb2.RegressionResponse()
        _say(answer.model_spec, version, "regress")
        for value in outputs[version.model.schema.answer]:
            answer.result.regressions.add(value=float(value))
        return answer

    async def _examples(self, request: Any, context: Any, method: Any) -> tuple[Version, Tensors]:
        try:
            version = _version(self._server, request.model_spec)
            schema = version.model.schema
            name = request.model_spec.signature_name or "serving_default"
            examples_api.check_method(name, method, examples_api.methods(schema).get(name))
            batcher = version.batcher("serving_default")
            body = _body(request.input)
            asked = examples_api.read(body, schema, batcher.signature, self._server.settings.limits)
            return version, await batcher.answer(asked)
        except RequestError as error:
            await context.abort(_CODES.get(error.status, StatusCode.INTERNAL), error.message)
            raise

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            version = _version(self._server, request.model_spec)
        except RequestError as error:
            await context.abort(_CODES.get(error.status, StatusCode.INTERNAL), error.message)
        if list(request.metadata_field) != ["signature_def"]:
            await context.abort(StatusCode.INVALID_ARGUMENT, "Metadata field must be signature_def")
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        _say(answer.model_spec, version, "")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        json_format.ParseDict(
            rest.metadata(version)["metadata"]["signature_def"], signatures, ignore_unknown_fields=True
        )
        answer.metadata["signature_def"].Pack(signatures)
        return answer


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, server: Host) -> None:
        self._server = server

    async def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        spec = request.model_spec
        number = spec.version.value if spec.HasField("version") else None
        try:
            found = self._server.repository.status(spec.name, number, spec.version_label or None)
        except RequestError as error:
            await context.abort(_CODES.get(error.status, StatusCode.INTERNAL), error.message)
        answer = get_model_status_pb2.GetModelStatusResponse()
        for entry in found:
            state = answer.model_version_status.add(version=int(entry["version"]), state=_STATES[entry["state"]])
            state.status.error_message = entry["status"]["error_message"]
        return answer


def _version(server: Host, spec: Any) -> Version:
    number = spec.version.value if spec.HasField("version") else None
    return server.repository.get(spec.name, number, spec.version_label or None)


def _say(spec: Any, version: Version, signature: str) -> None:
    spec.name, spec.version.value, spec.signature_name = version.name, version.number, signature


def _arrays(inputs: Any, signature: Signature, server: Host) -> Tensors:
    arrays: Tensors = {}
    limits = server.settings.limits
    for spec in signature.inputs:
        if spec.name not in inputs:
            continue
        try:
            found = tf.make_ndarray(inputs[spec.name])
        except (ValueError, TypeError) as error:
            raise RequestError(f"Input {spec.name!r} is not a tensor: {error}") from None
        dtype = "string" if found.dtype == object else found.dtype.name
        if dtype != spec.dtype or found.ndim != len(spec.shape):
            wanted = f"{spec.dtype} of {len(spec.shape)} dimensions"
            raise RequestError(f"Input {spec.name!r}: expected {wanted}, received {dtype} of the shape {found.shape}.")
        if spec.of_rows and len(found) > limits.rows:
            raise values.too_many(len(found), limits.rows)
        if found.ndim == 2:
            values.refuse_length(spec, found.shape[1], limits.list_values)
        arrays[spec.name] = _texts(spec.name, found) if dtype == "string" else found
    return arrays


def _texts(name: str, found: Any) -> Any:
    try:
        flat = [one.decode("utf-8") for one in np.ravel(found)]
    except UnicodeDecodeError:
        raise RequestError(f"Input {name!r}: a string is not UTF-8.") from None
    made = np.empty(len(flat), object)
    made[:] = flat
    return made.reshape(found.shape)


def _body(given: Any) -> dict[str, Any]:
    """Returns examples as the REST API takes them."""
    kind = given.WhichOneof("kind")
    if kind is None:
        raise RequestError("The request has no examples.")
    listed = getattr(given, kind)
    context = _features(listed.context) if kind == "example_list_with_context" else {}
    return {"examples": [_features(example) for example in listed.examples], "context": context}


def _features(example: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind is None:
            continue
        listed = list(getattr(feature, kind).value)
        try:
            found[name] = [one.decode("utf-8") for one in listed] if kind == "bytes_list" else listed
        except UnicodeDecodeError:
            raise RequestError(f"Feature {name[:100]!r}: a string is not UTF-8.") from None
    return found
