"""The routes of TensorFlow Serving's REST API, `/v1/models/...`."""

from __future__ import annotations

import re
from typing import Any

from tfwd.server import examples_api, json_codec, predict_api
from tfwd.server.answer import Answer
from tfwd.server.body import ClientGone, Receive
from tfwd.server.host import Host
from tfwd.server.repository import Version
from tfwd.server.request_error import RequestError, refusal
from tfwd.server.signature import TENSORFLOW_TYPES, Method, Signature, Spec

_ROUTE = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]{1,18})|/labels/(?P<label>[^/:]+))?"
    r"(?P<asked>/metadata|:predict|:classify|:regress)?/?"
)
_KINDS = {":predict": "Predict", ":classify": "Classify", ":regress": "Regress"}


async def answer(server: Host, method: str, path: str, headers: dict[bytes, bytes], receive: Receive) -> Answer:
    """Answers a request below `/v1/`.

    Raises:
        RequestError: it gets no answer; knows the model and what was asked.
    """
    route = _ROUTE.fullmatch(path)
    asked = route["asked"] if route is not None else None
    if route is None or (method == "POST") != (asked in _KINDS) or method not in ("GET", "HEAD", "POST"):
        allow = "" if route is None else "POST" if asked in _KINDS else "GET"
        raise RequestError(f"Malformed request: {method:.20} {path:.200}", 405 if allow else 404, allow=allow)
    name, label = route["name"], route["label"]
    number = int(route["version"]) if route["version"] is not None else None
    if asked is None:
        return Answer(json_codec.dumps({"model_version_status": server.repository.status(name, number, label)}))
    version = server.repository.get(name, number, label)
    if asked == "/metadata":
        return Answer(json_codec.dumps(metadata(version)), model=name, version=version.header)
    try:
        return await _asked(server, version, asked, headers, receive)
    except ClientGone:
        raise
    except Exception as error:
        raise refusal(error, name, _KINDS[asked], version.header)  # noqa: B904 - it has its cause


async def _asked(server: Host, version: Version, asked: str, headers: dict[bytes, bytes], receive: Receive) -> Answer:
    limits, model = server.settings.limits, version.model
    body = json_codec.loads(await server.read(headers, receive), limits.containers)
    name = predict_api.signature_name(body)
    if asked == ":predict":
        signature = _predicting(version, name)
        request = predict_api.read(body, signature, limits)
        outputs = await version.batchers[name].answer(request, server.alone)
        content = predict_api.write(outputs, request.by_row)
    else:
        kind: Method = "classify" if asked == ":classify" else "regress"
        known = dict.fromkeys(model.signatures, "predict") | examples_api.methods(model.schema)
        examples_api.check_method(name, kind, known.get(name))  # type: ignore[arg-type]
        signature = model.signatures["serving_default"]
        request = examples_api.read(body, model.schema, signature, limits)
        outputs = await version.batchers["serving_default"].answer(request, server.alone)
        write = examples_api.classified if kind == "classify" else examples_api.regressed
        content = write(model.schema, outputs)
    return Answer(content, model=version.name, kind=_KINDS[asked], version=version.header, rows=request.rows)


def _predicting(version: Version, name: str) -> Signature:
    found = version.model.signatures.get(name)
    if found is None:
        if name in examples_api.methods(version.model.schema):
            raise RequestError(
                f'The signature {name!r} takes examples: POST them to :{name}, as {{"examples": [...]}}.'
            )
        version.batcher(name)  # says which there are
        raise AssertionError
    return found


def metadata(version: Version) -> dict[str, Any]:
    """Returns what `/metadata` says of a version, in TensorFlow Serving's form."""
    model = version.model
    definitions = {
        name: {
            "inputs": {spec.name: _tensor(spec) for spec in signature.inputs},
            "outputs": {spec.name: _tensor(spec) for spec in signature.outputs},
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }
        for name, signature in model.signatures.items()
    }
    examples = Spec("inputs", "string", (None,))
    for name, method in examples_api.methods(model.schema).items():
        if name not in definitions:
            definitions[name] = {
                "inputs": {"inputs": _tensor(examples)},
                "outputs": {spec.name: _tensor(spec) for spec in _EXAMPLE_OUTPUTS[method]},
                "method_name": f"tensorflow/serving/{method}",
                "defaults": {},
            }
    return {
        "model_spec": {"name": version.name, "signature_name": "", "version": str(version.number)},
        "metadata": {"signature_def": {"signature_def": definitions}},
    }


_EXAMPLE_OUTPUTS = {
    "classify": (Spec("classes", "string", (None, None)), Spec("scores", "float32", (None, None))),
    "regress": (Spec("outputs", "float32", (None,)),),
}


def _tensor(spec: Spec) -> dict[str, Any]:
    sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape]
    return {
        "dtype": TENSORFLOW_TYPES[spec.dtype],
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
        "name": f"{spec.name}:0",
    }
