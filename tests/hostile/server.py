"""Attacks on a running `tfwd serve`.

`python tests/hostile/server.py fuzz [--requests 10000]`: malformed requests; each must get 4xx and a message.
`python tests/hostile/server.py soak [--seconds 600]`: load, new versions, killed workers, garbage and slow clients.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "server"), str(HERE.parent.parent)]

# ruff: noqa: E402
from contract_cases import INFER, NUMBERS, PREDICT, REGRESS, ROW, changed, infer, instances
from serving import Served, copied, models, served

Random = random.Random


def main() -> int:
    """Runs one attack; 1 if the server did something wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", choices=["fuzz", "soak"])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faults = fuzz(given.requests, given.seed) if given.attack == "fuzz" else soak(given.seconds, given.seed)
    print(f"faults: {len(faults)}")
    for fault in faults[:20]:
        print(fault)
    return int(bool(faults))


# --- malformed requests -----------------------------------------------------------------------------------------------

NO_TEXT: tuple[Any, ...] = (None, True, 5, 1.5, [], {}, ["Sales"], {"b64": 1}, {"b64": "%"}, {"b65": "U2FsZXM="})
NO_NUMBER: tuple[Any, ...] = (None, True, "39", [], {}, [39.0], {"b64": "MQ=="}, "NaN", "")


def wrong_value(rng: Random) -> tuple[str, Any]:
    name = rng.choice(list(ROW))
    value = rng.choice(NO_NUMBER if name in NUMBERS else NO_TEXT)
    rows = [ROW] * rng.randrange(4) + [changed(ROW, **{name: value})] + [ROW] * rng.randrange(4)
    return PREDICT, instances(*rows)


def wrong_keys(rng: Random) -> tuple[str, Any]:
    name = rng.choice(list(ROW))
    row = changed(ROW, **{name: ...}) if rng.random() < 0.5 else {**ROW, name.upper(): 1}
    return PREDICT, instances(ROW, row)


def wrong_form(rng: Random) -> tuple[str, Any]:
    return PREDICT, rng.choice(
        [
            [],
            5,
            "x",
            None,
            {},
            {"instances": {}},
            {"instances": []},
            {"instances": [[]]},
            {"instances": [5]},
            {"instances": None},
            {"inputs": []},
            {"inputs": {}},
            {"inputs": ROW},
            {"instances": [ROW], "inputs": {}},
            {"instances": [ROW], "signature_name": rng.choice([5, [], "x", "classify"])},
        ]
    )


def cut(rng: Random) -> tuple[str, Any]:
    text = json.dumps(instances(ROW)).encode()
    return PREDICT, text[: rng.randrange(len(text))]


def noise(rng: Random) -> tuple[str, Any]:
    return rng.choice([PREDICT, REGRESS, INFER]), rng.randbytes(rng.randrange(1, 2000))


def spoilt(rng: Random) -> tuple[str, Any]:
    """A byte that no JSON has outside of a string, in a place between values."""
    text = json.dumps(instances(ROW)).encode()
    places = [index for index, byte in enumerate(text) if byte in b"{}[],:"]
    at = rng.choice(places)
    return PREDICT, text[:at] + bytes([rng.choice([0, 7, 127, 200, 255])]) + text[at:]


def deep(rng: Random) -> tuple[str, Any]:
    depth = rng.choice([50, 500, 5000, 100_000])
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return PREDICT, b'{"instances":' + opening * depth + b"1" + closing * rng.choice([0, depth]) + b"}"


def large(rng: Random) -> tuple[str, Any]:
    if rng.random() < 0.1:
        return PREDICT, b" " * (17 * 2**20)
    return PREDICT, instances(*[ROW] * 10_001) if rng.random() < 0.1 else b'{"instances":' + b" " * 100_000


def encoded(rng: Random) -> tuple[str, Any]:
    text = json.dumps(instances(ROW))
    return PREDICT, text.encode(rng.choice(["utf-16", "utf-32", "utf-16-le"]))


def example(rng: Random) -> tuple[str, Any]:
    name = rng.choice(list(ROW))
    value = rng.choice(
        [None, 5, True, {}, [[]], "39" if name in NUMBERS else 1.5, [1.5, 2.5, "x"], ["a", "b"], [1.0, 2.0]]
    )
    body = {"signature_name": "regress", "examples": [changed(ROW, **{name: value})]}
    return REGRESS, {**body, **rng.choice([{}, {"context": []}, {"examples": {}}])}


def inference(rng: Random) -> tuple[str, Any]:
    body = infer(ROW)
    entry = rng.choice(body["inputs"])
    key, values = rng.choice(
        [
            ("shape", [None, [], [2], [-1], ["1"], [1, 2], [1] * 50, [2**63], 1]),
            ("datatype", [None, "FP64", "fp32", 5, "BOOL", ["FP32"]]),
            ("data", [None, [], 5, {}, [None], [[]], [1.0, 2.0, 3.0], "x"]),
            ("name", [None, "", "x", 5, list(ROW)]),
            ("parameters", [5, [], {"binary_data_size": -1}, {"binary_data_size": 10}, {"binary_data_size": "1"}]),
        ]
    )
    entry[key] = rng.choice(values)
    return INFER, body


def route(rng: Random) -> tuple[str, Any]:
    name = rng.choice(["census", "nope", "%00", "a" * 500, "../..", "census/versions/99", "census/labels/x", "%ff"])
    return f"/v1/models/{name}{rng.choice([':explain', ':predict/x', '/versions/x:predict'])}", instances(ROW)


MAKERS: tuple[Callable[[Random], tuple[str, Any]], ...] = (
    wrong_value,
    wrong_keys,
    wrong_form,
    cut,
    noise,
    spoilt,
    deep,
    large,
    encoded,
    example,
    inference,
    route,
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {},
    {},
    {"Content-Type": "x/y"},
    {"Accept": "*/*;q=x"},
    {"X-Long": "x" * 3000},
)
WRONG_HEADERS = ({"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}, {"Inference-Header-Content-Length": "-1"})
RAW = (
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST /v1/models/census:predict HTTP/9.9\r\n\r\n",
    b"POST /v1/models/census:predict HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST /v1/models/census:predict HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    b"POST /v1/models/census:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 70_000),
)


def fuzz(count: int, seed: int) -> list[str]:
    """Sends malformed requests; returns what the server did wrong."""
    faults: list[str] = []
    seen: Counter[int] = Counter()
    with served(models()) as server:
        right = server.ask(PREDICT, instances(ROW)).json
        for number in range(count):
            rng = Random(f"{seed} {number}")
            if number % 25 == 0:
                status, content = raw(server, rng.choice(RAW))
                seen[status] += 1
                if not 400 <= status < 500:
                    faults.append(f"{number}: a raw request was answered with {status} {content!r:.200}")
                continue
            maker = rng.choice(MAKERS)
            path, body = maker(rng)
            headers = rng.choice(WRONG_HEADERS if maker is wrong_form else HEADERS)
            reply = server.ask(path, body, headers)
            seen[reply.status] += 1
            told = reply.content[:1] == b"{" and bool(json.loads(reply.content).get("error"))
            if not (400 <= reply.status < 500 and told):
                faults.append(f"{number} ({maker.__name__}): {reply.status} {reply.content!r:.200} to {body!r:.200}")
            if number % 100 == 99:
                again = server.ask(PREDICT, instances(ROW)).json
                if again != right:
                    faults.append(f"{number}: a good request was answered with {again}")
        if server.process.poll() is not None:
            faults.append("the server has ended")
    print(f"{count} requests: {dict(sorted(seen.items()))}")
    return faults


def raw(server: Served, content: bytes) -> tuple[int, bytes]:
    """Sends bytes over a connection; returns the status, 400 if it was closed without a word."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            found = connection.recv(10_000)
        except OSError:
            return 400, b""
    return (int(found.split()[1]), found) if found.startswith(b"HTTP/") else (400, found)


# --- soak -------------------------------------------------------------------------------------------------------------


def soak(seconds: float, seed: int) -> list[str]:
    """Loads a server with two workers for a time; returns what went wrong."""
    from tfwd.inference.load import load_scorer

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "models"
        (folder / "census").mkdir(parents=True)
        files = [models() / "census" / "1" / "model.onnx", other(Path(temporary))]
        rng = np.random.default_rng(seed)
        rows = [{**ROW, "age": float(age), "hours_per_week": float(rng.integers(1, 99))} for age in range(17, 97)]
        arrays = {name: np.array([row[name] for row in rows]) for name in ROW}
        expected = [load_scorer(file).score(arrays)["probability"] for file in files]
        put(files[0], folder / "census" / "1")
        attack = Soak(folder, files, rows, expected, seed)
        with served(folder, "--workers", "2", "--poll-seconds", "0.2") as server:
            attack.run(server, seconds)
        return attack.faults


def other(folder: Path) -> Path:
    """A second model of the same inputs with other weights."""
    from census_cases import trained

    from export.onnx import writer

    model = trained().model
    for variable in model.trainable_variables:
        variable.assign(variable * 0.5)
    return writer.save(model, folder / "other.onnx")


def put(file: Path, version: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(file, Path(folder) / "model.onnx")
        copied(Path(folder), version)


class Soak:
    """Clients, a deployer and a killer around one server."""

    def __init__(
        self, folder: Path, files: list[Path], rows: list[dict[str, Any]], expected: list[Any], seed: int
    ) -> None:
        self.folder, self.files, self.rows, self.expected, self.seed = folder, files, rows, expected, seed
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.end = 0.0
        self.killed = [0.0]
        self.memory: list[tuple[float, float]] = []

    def run(self, server: Served, seconds: float) -> None:
        """Runs everything at once until the time is over."""
        begun = time.monotonic()
        self.end = begun + seconds
        with ThreadPoolExecutor(20) as pool:
            work = [pool.submit(self.ask, server, index) for index in range(16)]
            work += [pool.submit(self.deploy), pool.submit(self.slow, server), pool.submit(self.kill, server, seconds)]
            while time.monotonic() < self.end:
                self.memory.append((time.monotonic() - begun, resident(server)))
                time.sleep(2)
            for one in work:
                one.result()
        minutes = seconds / 10
        second = [size for at, size in self.memory if minutes < at <= 2 * minutes]
        last = [size for at, size in self.memory if at > seconds - minutes]
        growth = float(np.median(last) / np.median(second)) if second and last else 1.0
        print(f"{dict(self.counts)}; memory {np.median(second):.0f} to {np.median(last):.0f} MB, {growth:.3f} times")
        if growth > 1.05:
            self.faults.append(f"memory grew {growth:.3f} times from the second tenth of the time to the last")

    def ask(self, server: Served, index: int) -> None:
        rng = Random(f"{self.seed} {index}")
        while time.monotonic() < self.end:
            if rng.random() < 0.01:
                self.garbage(server, rng)
                continue
            chosen = rng.sample(range(len(self.rows)), rng.choice([1, 1, 1, 5, 60]))
            begun = time.monotonic()
            try:
                reply = server.ask(PREDICT, instances(*(self.rows[place] for place in chosen)))
            except (OSError, http.client.HTTPException) as error:
                # Only the connections of a worker that was killed may fail.
                if not any(begun - 1 < at < time.monotonic() for at in self.killed):
                    self.faults.append(f"a connection failed: {error!r}")
                self.counts["lost with a killed worker"] += 1
                continue
            if reply.status != 200:
                self.faults.append(f"{reply.status} {reply.content!r:.200}")
                continue
            model = (int(reply.headers["x-model-version"]) + 1) % 2
            found = [row["probability"] for row in reply.json["predictions"]]
            wrong = np.abs(np.array(found) - self.expected[model][chosen]).max()
            if not wrong < 1e-6:
                self.faults.append(f"version {reply.headers['x-model-version']} answered {wrong} away from its model")
            self.counts["right"] += 1

    def garbage(self, server: Served, rng: Random) -> None:
        path, body = rng.choice(MAKERS)(rng)
        try:
            reply = server.ask(path, body)
        except (OSError, http.client.HTTPException):
            return
        if not 400 <= reply.status < 500:
            self.faults.append(f"garbage was answered with {reply.status} {reply.content!r:.200}")
        self.counts["garbage refused"] += 1

    def deploy(self) -> None:
        number = 1
        while time.monotonic() < self.end:
            time.sleep(min(20, max(0.0, self.end - time.monotonic())))
            number += 1
            put(self.files[(number + 1) % 2], self.folder / "census" / str(number))
            if number > 3:
                shutil.rmtree(self.folder / "census" / str(number - 3))
            self.counts["versions"] += 1

    def slow(self, server: Served) -> None:
        body = json.dumps(instances(ROW)).encode()
        while time.monotonic() < self.end:
            try:
                with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
                    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall(head.encode())
                    for byte in range(0, len(body), 20):
                        connection.sendall(body[byte : byte + 20])
                        time.sleep(0.1)
                    if b"200 OK" in connection.recv(1000):
                        self.counts["slow clients"] += 1
            except OSError:
                pass

    def kill(self, server: Served, seconds: float) -> None:
        for _ in range(2):
            time.sleep(seconds / 3)
            workers = [
                child for child in psutil.Process(server.process.pid).children() if "spawn_main" in str(child.cmdline())
            ]
            self.killed.append(time.monotonic())
            os.kill(workers[0].pid, signal.SIGKILL)
            self.counts["workers killed"] += 1


def resident(server: Served) -> float:
    """The memory of all processes of a server, in MB."""
    total = 0
    for process in [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 2**20


if __name__ == "__main__":
    assert threading.current_thread() is threading.main_thread()
    sys.exit(main())
