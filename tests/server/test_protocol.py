"""What a connection may send before it is a request, and how a body may come."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterator

import pytest
from contract_cases import PREDICT, ROW, instances
from serving import Served, models, served

BODY = json.dumps(instances(ROW)).encode()
HEAD = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n".encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(models(), "--timeout", "0.5", "--max-body-mb", "0.1") as running:
        yield running


def sent(server: Served, *parts: bytes) -> bytes:
    """Sends parts, and reads until the server closes or has answered."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except OSError:  # closed while it was still sent
            pass
        found = b""
        try:
            while part := connection.recv(65_536):
                found += part
                if b"\r\n\r\n" in found and b"connection: close" not in found:
                    break
        except ConnectionResetError:
            pass
        return found


@pytest.mark.parametrize(
    ("parts", "status", "says"),
    [
        ([b""], None, ""),
        ([b"GET /healthz HT"], 408, "The headers did not arrive within 0.5 s."),
        ([HEAD], 408, "The headers did not arrive"),
        ([HEAD + b"Content-Length: 10\r\n\r\n"], 408, "The body did not arrive within 0.5 s."),
        ([HEAD + b"Content-Length: 10\r\n\r\n", b"{"], 408, "The body did not arrive"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"], 408, "The body did not arrive"),
        ([HEAD + b"X: ", *[b"x" * 65_536] * 8], 431, "The headers are larger than 65,536 bytes."),
        ([HEAD, *[b"X: " + b"x" * 1000 + b"\r\n"] * 500], 431, "The headers are larger"),
        ([b"GET /", *[b"x" * 65_536] * 8], 431, "The headers are larger"),
    ],
)
def test_what_is_too_slow_or_too_long_is_refused(
    server: Served, parts: list[bytes], status: int | None, says: str
) -> None:
    answer = sent(server, *parts)
    assert answer.startswith(b"" if status is None else f"HTTP/1.1 {status} ".encode()), answer
    assert says.encode() in answer
    assert bool(answer) == (status is not None)
    assert server.ask(PREDICT, instances(ROW)).status == 200


def test_headers_after_the_last_chunk_have_an_end(server: Served) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n"
    assert b" 200 OK" in sent(server, head + chunk + b"X-Sum: 1\r\n\r\n")
    assert b" 200 OK" not in sent(server, head + chunk, *[b"X: " + b"x" * 60_000 + b"\r\n"] * 100)
    assert server.ask(PREDICT, instances(ROW)).status == 200


def test_a_packed_body_may_have_several_members(server: Served) -> None:
    whole = server.ask(PREDICT, BODY).json
    members = gzip.compress(BODY[:40]) + gzip.compress(BODY[40:])
    for body, encoding in ((members, "gzip"), (zlib.compress(BODY), "deflate"), (gzip.compress(BODY), "gzip")):
        assert server.ask(PREDICT, body, {"Content-Encoding": encoding}).json == whole
    for body in (gzip.compress(BODY) + b"more", gzip.compress(BODY)[:-1], b"no gzip", members[:-9]):
        reply = server.ask(PREDICT, body, {"Content-Encoding": "gzip"})
        assert reply.status == 400
        assert "gzip" in reply.json["error"]
    bomb = gzip.compress(b"[" * 50_000) * 10
    assert server.ask(PREDICT, bomb, {"Content-Encoding": "gzip"}).status == 413


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/healthz", "GET"),
        ("GET", PREDICT, "POST"),
        ("POST", "/v1/models/census", "GET"),
        ("OPTIONS", "/v2/models/census/infer", "POST"),
        ("POST", "/v2/models/census", "GET"),
    ],
)
def test_another_method_is_refused_and_told_which(server: Served, method: str, path: str, allowed: str) -> None:
    reply = server.ask(path, method=method)
    assert reply.status == 405
    assert reply.headers["allow"] == allowed
