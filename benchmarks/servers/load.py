"""Load by wrk: its script, written from the requests, and what it measures."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_LONGEST = 60
# `done` runs once, after the last answer; wrk counts in microseconds.
_SCRIPT = """\
local bodies = {{
{bodies}
}}
local requests, last = {{}}, 0

function init(arguments)
  for place, body in ipairs(bodies) do
    requests[place] = wrk.format("POST", nil, {{["Content-Type"] = "application/json"}}, body)
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"rate": %.1f, "p50": %.3f, "p99": %.3f, "requests": %d, "failed": %d}}\\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.requests, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def script(bodies: Sequence[bytes]) -> str:
    """Returns a script for wrk that posts the bodies in turn, prepared before the clock starts.

    Args:
        bodies: JSON in UTF-8 without line ends, which Lua would change.
    """
    return _SCRIPT.format(bodies=",\n".join(_quoted(body.decode()) for body in bodies))


def _quoted(text: str) -> str:
    """Returns a string of Lua in long brackets, in which nothing is escaped; their level is one that the text lacks."""
    if re.search(r"[\r\n]", text):
        raise ValueError("A body with a line end would reach the server changed.")
    level = max((len(signs) for signs in re.findall(r"\](=*)(?=\]|$)", text)), default=-1) + 1
    return f"[{'=' * level}[{text}]{'=' * level}]"


def load(url: str, bodies: Path, connections: int, seconds: float) -> dict[str, float]:
    """Sends requests over so many connections, each the next as soon as its last is answered.

    Args:
        url: where to post.
        bodies: the file of `script`.
        connections: kept open.
        seconds: whole ones; more if no request is answered meanwhile.

    Returns:
        `rate` in requests a second, `p50` and `p99` in milliseconds, `requests`, and `failed`: answers that are not
        2xx or 3xx, lost connections and time-outs.

    Raises:
        SystemExit: wrk is missing, or failed.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed. On Debian and Ubuntu: apt-get install wrk")
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds:.0f}s"]
    command += ["--timeout", f"{_LONGEST}s", "--script", str(bodies), url]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if not measured["requests"] and seconds < _LONGEST:
        return load(url, bodies, connections, min(4 * seconds, _LONGEST))
    return measured
