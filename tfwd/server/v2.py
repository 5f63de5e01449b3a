"""The routes of the Open Inference Protocol, `/v2/...`."""

from __future__ import annotations

import re

from tfwd.server import infer_api, json_codec
from tfwd.server.answer import Answer
from tfwd.server.body import ClientGone, Receive
from tfwd.server.host import Host
from tfwd.server.repository import Version
from tfwd.server.request_error import RequestError, refusal
from tfwd.version import __version__

_ROUTE = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[0-9]{1,18}))?(?P<asked>/ready|/infer)?/?")
_LENGTH = b"inference-header-content-length"
_BINARY = (b"content-type", b"application/octet-stream")
PLATFORMS = {"onnx": "onnxruntime_onnx", "tensorflow": "tensorflow_savedmodel"}


async def answer(server: Host, method: str, path: str, headers: dict[bytes, bytes], receive: Receive) -> Answer:
    """Answers a request below `/v2`.

    Raises:
        RequestError: it gets no answer; knows the model and what was asked.
    """
    if path in ("/v2", "/v2/", "/v2/health/live", "/v2/health/ready"):
        _refuse_method(method, "GET")
        if path == "/v2/health/live":
            return Answer(b'{"live":true}')
        if path == "/v2/health/ready":
            return Answer(b'{"ready":true}') if server.ready else Answer(b'{"ready":false}', status=503)
        said = {"name": "tfwd", "version": __version__, "extensions": ["binary_tensor_data"]}
        return Answer(json_codec.dumps(said))
    route = _ROUTE.fullmatch(path)
    if route is None:
        raise RequestError(f"There is nothing at {path:.100}. Models are at /v2/models/NAME/infer.", 404)
    name, asked = route["name"], route["asked"]
    _refuse_method(method, "POST" if asked == "/infer" else "GET")
    version = server.repository.get(name, int(route["version"]) if route["version"] is not None else None)
    if asked == "/ready":
        return Answer(json_codec.dumps({"name": name, "ready": True}), version=version.header)
    if asked is None:
        model = version.model
        signature = model.signatures["serving_default"]
        numbers = server.repository.numbers(name)
        said_of = infer_api.metadata(name, numbers, signature, PLATFORMS[model.kind])
        return Answer(json_codec.dumps(said_of), version=version.header)
    try:
        return await _infer(server, version, headers, receive)
    except ClientGone:
        raise
    except Exception as error:
        raise refusal(error, name, "Infer", version.header)  # noqa: B904 - it has its cause


async def _infer(server: Host, version: Version, headers: dict[bytes, bytes], receive: Receive) -> Answer:
    length = headers.get(_LENGTH)
    content = await server.read(headers, receive)
    text, binary = infer_api.split(content, None if length is None else length.decode("latin-1"))
    limits = server.settings.limits
    body = json_codec.loads(text, limits.containers)
    batcher = version.batcher(infer_api.signature_of(body))
    question = infer_api.read(body, binary, batcher.signature, limits)
    outputs = await batcher.answer(question.asked, server.alone)
    written, json_length = infer_api.write(version.name, version.number, question, outputs)
    made = Answer(written, model=version.name, kind="Infer", version=version.header, rows=question.asked.rows)
    if json_length is not None:
        made.type = _BINARY
        made.headers.append((_LENGTH, str(json_length).encode()))
    return made


def _refuse_method(method: str, allowed: str) -> None:
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        raise RequestError(f"{method:.20} is not allowed here. Use {allowed}.", 405, allow=allowed)
