"""A server over its life: versions come and go, workers die, it stops; limits, a token, TLS, logs and counters."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from contract_cases import PREDICT, ROW, instances
from prometheus_client.parser import text_string_to_metric_families
from serving import Served, census_version, copied, served, wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of one model with version 3."""
    target = tmp_path / "models"
    (target / "census").mkdir(parents=True)
    copied(census_version(), target / "census" / "3")
    yield target
    shutil.rmtree(target)


def versions(server: Served) -> dict[str, str]:
    status = server.ask("/v1/models/census").json["model_version_status"]
    return {entry["version"]: entry["state"] for entry in status}


def test_versions_come_and_go_without_a_failed_request(folder: Path) -> None:
    with served(folder, "--poll-seconds", "0.1") as server, ThreadPoolExecutor(3) as pool:
        stop, seen, failed = threading.Event(), set(), []

        def ask() -> None:
            while not stop.is_set():
                reply = server.ask(PREDICT, instances(ROW))
                seen.add(reply.headers.get("x-model-version"))
                if reply.status != 200:
                    failed.append(reply)

        asking = [pool.submit(ask) for _ in range(3)]
        try:
            copied(census_version(), folder / "census" / "10")
            wait_until(lambda: versions(server) == {"10": "AVAILABLE"})
            # What cannot be loaded says so, and the others go on.
            (folder / "census" / "11").mkdir()
            (folder / "census" / "11" / "model.onnx").write_bytes(b"no model")
            wait_until(lambda: versions(server).get("11") == "END")
            assert versions(server)["10"] == "AVAILABLE"
            error = server.ask("/v1/models/census/versions/11").json["model_version_status"][0]["status"]
            assert error["error_code"] == "INTERNAL"
            assert "cannot be read as an ONNX model" in error["error_message"]
            # What is not named by a number is no version.
            (folder / "census" / "notes").mkdir()
            shutil.rmtree(folder / "census" / "11")
            shutil.rmtree(folder / "census" / "10")
            wait_until(lambda: versions(server) == {"3": "AVAILABLE"})
        finally:
            stop.set()
        for future in asking:
            future.result()
        assert not failed
        assert seen == {"3", "10"}


def test_a_model_appears_and_disappears(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with served(tmp_path / "models", "--poll-seconds", "0.1", ready=False) as server:
        wait_until(lambda: not _refuses(server.port))
        assert server.ask("/healthz").status == 200
        assert server.ask("/readyz").status == 503
        assert server.ask("/v2/health/ready").status == 503
        assert server.ask(PREDICT, instances(ROW)).status == 404
        (tmp_path / "models" / "census").mkdir()
        copied(census_version(), tmp_path / "models" / "census" / "1")
        wait_until(lambda: server.ask("/readyz").status == 200)
        assert server.ask(PREDICT, instances(ROW)).status == 200
        shutil.rmtree(tmp_path / "models" / "census")
        wait_until(lambda: server.ask(PREDICT, instances(ROW)).status == 404)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of the versions 3 and 4, with labels and a log, for what it can be asked beside other tests."""
    target = tmp_path_factory.mktemp("shared")
    (target / "census").mkdir()
    for number in ("3", "4"):
        copied(census_version(), target / "census" / number)
    with served(target, "--label", "census/stable=3", "--label", "census/canary=4", "--access-log") as server:
        yield server


def test_labels_keep_their_version(shared: Served) -> None:
    for label, number in (("stable", "3"), ("canary", "4")):
        reply = shared.ask(f"/v1/models/census/labels/{label}:predict", instances(ROW))
        assert (reply.status, reply.headers["x-model-version"]) == (200, number)
    assert shared.ask(PREDICT, instances(ROW)).headers["x-model-version"] == "4"
    assert shared.ask("/v2/models/census").json["versions"] == ["3", "4"]


def test_a_killed_worker_is_replaced_and_its_counts_stay(folder: Path) -> None:
    with served(folder, "--workers", "2") as server:
        for _ in range(20):
            assert server.ask(PREDICT, instances(ROW)).status == 200
        children = _children(server.process.pid)
        os.kill(children[0], signal.SIGKILL)
        wait_until(lambda: len(set(_children(server.process.pid)) - {children[0]}) >= 2, server.process, server.log)
        wait_until(lambda: _answers(server))
        counts = _samples(server)[":tensorflow:serving:request_count"]
        assert sum(value for labels, value in counts if labels["status"] == "OK") >= 20


def _children(parent: int) -> list[int]:
    """The worker processes, which multiprocessing starts."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            line = path.with_name("cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == parent and "spawn_main" in line:
            found.append(int(path.parent.name))
    return sorted(found)


def _answers(server: Served) -> bool:
    try:
        return server.ask(PREDICT, instances(ROW)).status == 200
    except OSError:
        return False


def _samples(server: Served) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The metrics, read as Prometheus reads them."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(server.ask("/metrics").content.decode()):
        for sample in family.samples:
            # This parser, unlike Prometheus itself, appends `_total` to the name of a counter.
            found.setdefault(sample.name.removesuffix("_total"), []).append((sample.labels, sample.value))
    return found


def test_requests_values_and_times_are_counted(folder: Path) -> None:
    with served(folder) as server:
        strange = {**ROW, "occupation": "Astronaut", "education": "", "age": float("nan")}
        assert server.ask(PREDICT, instances(ROW, strange, {**ROW, "occupation": "Juggler"})).status == 200
        assert server.ask(PREDICT, instances({})).status == 400
        assert server.ask("/v1/models/nope:predict", instances({})).status == 404
        found = _samples(server)
        counts = {labels["status"]: value for labels, value in found[":tensorflow:serving:request_count"]}
        assert counts == {"OK": 1, "INVALID_ARGUMENT": 1}
        (buckets,) = [
            v for labels, v in found[":tensorflow:serving:request_latency_count"] if labels["API"] == "Predict"
        ]
        assert buckets == 1
        ends = [
            value for labels, value in found[":tensorflow:serving:request_latency_bucket"] if labels["le"] == "+Inf"
        ]
        assert ends == [1]
        values = {(labels["input"], labels["kind"]): value for labels, value in found["tfwd_input_values"]}
        assert values["occupation", "unseen"] == 2
        assert values["education", "missing"] == 1
        assert values["age", "missing"] == 1
        assert values["education", "unseen"] == 0
        assert found["tfwd_rows"] == [({"model_name": "census", "version": "3"}, 3)]


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """What a server that is started in this test has made of its folder of counters."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return lambda: list((tmp_path / "temporary").glob("tfwd-server-*"))


def test_stops_when_it_has_answered_and_leaves_nothing(counters: Callable[[], list[Path]]) -> None:
    with served(census_version() / "model.onnx") as server:
        assert len(counters()) == 1
        path = "/v1/models/model:predict"
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            body = json.dumps(instances(ROW)).encode()
            slow.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)))
            slow.sendall(body[:-10])
            wait_until(lambda: server.ask("/healthz").status == 200)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: _refuses(server.port))
            slow.sendall(body[-10:])
            assert b"200 OK" in slow.recv(10_000)
        assert server.process.wait(20) == 0
        assert not counters()


def test_ctrl_c_leaves_nothing(counters: Callable[[], list[Path]]) -> None:
    with served(census_version() / "model.onnx") as server:
        assert len(counters()) == 1
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
        assert not counters()


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def test_workers_ask_for_a_token_and_leave_nothing(
    folder: Path, tmp_path: Path, counters: Callable[[], list[Path]]
) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    with served(folder, "--token-file", str(tmp_path / "token"), "--workers", "2") as server:
        assert server.ask(PREDICT, instances(ROW)).status == 401
        assert server.ask(PREDICT, instances(ROW), {"Authorization": "Bearer s3cre"}).status == 401
        assert server.ask(PREDICT, instances(ROW), {"Authorization": "s3cret"}).status == 401
        assert server.ask("/metrics").status == 401
        assert server.ask(PREDICT, instances(ROW), {"Authorization": "Basic s3cret"}).status == 401
        # Upper and lower case of the scheme are one (RFC 9110, 11.1).
        for scheme in ("Bearer", "bearer"):
            assert server.ask(PREDICT, instances(ROW), {"Authorization": f"{scheme} s3cret"}).status == 200
        assert server.ask("/healthz").status == 200
        assert "s3cret" not in server.log.read_text()
        # Nor is it in what others may read of a process.
        for process in (server.process.pid, *_children(server.process.pid)):
            for name in ("environ", "cmdline"):
                assert b"s3cret" not in Path(f"/proc/{process}/{name}").read_bytes()
        assert len(counters()) == 1
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert not counters()


def test_speaks_tls(folder: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    with served(folder, "--tls-cert", str(certificate), "--tls-key", str(key), ready=False) as server:
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        request = urllib.request.Request(
            f"https://127.0.0.1:{server.port}{PREDICT}", json.dumps(instances(ROW)).encode()
        )
        wait_until(lambda: not _refuses(server.port))
        with urllib.request.urlopen(request, context=context) as reply:
            assert "predictions" in json.load(reply)


def test_logs_each_request_if_it_is_told_to(shared: Served) -> None:
    path = PREDICT.replace(":", "/versions/3:")
    shared.ask(path, instances(ROW, ROW))
    shared.ask(path, {})
    wait_until(lambda: shared.log.read_text().count(path) == 2)
    lines = [json.loads(line) for line in shared.log.read_text().splitlines() if line.startswith("{")]
    first, second = [line for line in lines if line["path"] == path]
    assert (first["status"], first["rows"], first["model"], first["version"]) == (200, 2, "census", "3")
    assert (second["status"], second["rows"]) == (400, 0)


def test_a_full_queue_and_a_slow_body_are_refused(folder: Path) -> None:
    options = ("--queue-rows", "5", "--batch-microseconds", "300000", "--timeout", "0.5", "--batch-rows", "50")
    with served(folder, *options) as server, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: server.ask(PREDICT, instances(ROW, ROW)), range(4)))
        assert sorted(reply.status for reply in replies) == [200, 200, 503, 503]
        assert {reply.headers.get("retry-after") for reply in replies if reply.status == 503} == {"1"}
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{" % PREDICT.encode())
            begun = time.monotonic()
            assert b"408 Request Timeout" in slow.recv(10_000)
            assert time.monotonic() - begun < 20


@pytest.mark.parametrize("options", [(), ("--batch-rows", "0"), ("--batch-microseconds", "2000")])
def test_a_bad_request_does_not_hurt_its_neighbours(shared: Served, folder: Path, options: tuple[str, ...]) -> None:
    running = served(folder, *options) if options else contextlib.nullcontext(shared)
    with running as server, ThreadPoolExecutor(8) as pool:
        alone = server.ask(PREDICT, instances(ROW)).json["predictions"][0]["logit"]
        bodies = [instances(ROW), instances({**ROW, "age": "x"}), b"{", instances({**ROW, "age": 20.0})] * 10
        replies = list(pool.map(lambda body: server.ask(PREDICT, body), bodies))
        assert [reply.status for reply in replies] == [200, 400, 400, 200] * 10
        # Sums of a larger batch may be in another order.
        found = [reply.json["predictions"][0]["logit"] for reply in replies[::4]]
        assert found == pytest.approx([alone] * 10, abs=1e-5)
