"""The benchmark of servers: what it sends, and what it makes of the figures."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import report
from benchmarks.servers.load import load, script

BODIES = [b"{}", b'{"a": "]]", "b": ["]=]"]}', '{"name": "Z\u00fcrich \\" \\\\ \\n"}'.encode(), b'[[["]"]]]']


@pytest.fixture
def received() -> Any:
    """A server that keeps what it gets, and its address."""
    bodies: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_every_body_arrives_as_it_is_in_turn(received: Any, tmp_path: Path) -> None:
    url, bodies = received
    (tmp_path / "bodies.lua").write_text(script(BODIES), encoding="utf-8")
    measured = load(f"{url}/some:predict", tmp_path / "bodies.lua", 1, 1)
    # The first is wrk's own, which finds out whether anybody answers; the last may not be answered any more.
    assert measured["requests"] <= len(bodies)
    assert {path for path, _ in bodies} == {"/some:predict"}
    sent = [body for _, body in bodies]
    start = BODIES.index(sent[1])
    assert sent[1:9] == [BODIES[(start + place) % len(BODIES)] for place in range(8)]
    assert measured["failed"] == 0
    assert 0 < measured["p50"] <= measured["p99"]
    measured = load(f"{url}/broken", tmp_path / "bodies.lua", 2, 1)
    assert measured["failed"] == measured["requests"] > 0


def test_a_body_that_lua_would_change_is_refused() -> None:
    for end in (b"\n", b"\r"):
        with pytest.raises(ValueError, match="line end"):
            script([b"{}" + end])


def figures(**rates: float) -> report.Figures:
    def server(name: str, rate: float) -> report.Server:
        entry = {"rate": rate, "p50": 8 / rate, "p99": 20 / rate, "processor": 5 / rate}
        rounds = {setting: [{**entry, "rate": rate * change} for change in (1, 2)] for setting in ("1x1", "1x32")}
        return {"name": f"server {name}", "started": 1.5, "memory": 80.0, "rounds": rounds}

    return {"seconds": 5, "load": [1.0, 3.0], "servers": {name: server(name, rate) for name, rate in rates.items()}}


def test_the_tables_hold_medians_and_ratios_of_the_same_round() -> None:
    text = report.tables(figures(tfwd=30.0, baseline=20.0))
    assert "| server baseline | 30 | 30 | 80 | 1.5 |" in text
    assert "| server baseline | 0.40 / 1.0 | 0.40 / 1.0 |" in text
    assert "| server baseline | 0.25 | 0.25 |" in text
    assert "| server baseline | 1.50 | 1.50 |" in text
    assert "median 2.0" in text
    # What is written can be read again.
    assert report.tables(json.loads(json.dumps(figures(tfwd=30.0, baseline=20.0)))) == text


def test_what_is_below_its_floor_is_named() -> None:
    assert report.floors(figures(tfwd=30.0, baseline=20.0, kserve=9.0)) == []
    missed = report.floors(figures(tfwd=20.0, baseline=20.0, kserve=9.0))
    assert [line.split(":")[0] for line in missed] == ["1x32", "1x32"]
    # A p50 of 8 ms against one of 4 ms.
    assert report.floors(figures(tfwd=1.0, baseline=2.0))[-1] == "1x1: p50 8.000 ms, more than 4.700."
    assert report.floors(figures(baseline=2.0, kserve=9.0)) == []
