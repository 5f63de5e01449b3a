"""`tfwd serve` beside other servers: `python -m benchmarks.servers`, after `python -m benchmarks.servers.setup`.

Each server is started and answers every request, and its answers are compared with ONNX Runtime's. Then wrk, on the
same cores, loads one of them after the other, setting by setting, round after round. Writes the raw figures, and from
them the tables.

While a server is worked on: `python -m benchmarks.servers --only tfwd baseline --seconds 1 --rounds 7`. On a machine
that has other work, compare the processor milliseconds, and the ratios over many short rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.documents import put
from benchmarks.servers import report, setup
from benchmarks.servers.contenders import CONTENDERS, Contender, Running, chosen, running
from benchmarks.servers.load import load, script
from benchmarks.servers.work import Work

SETTINGS = ("1x1", "1x8", "1x32", "200x1", "200x8", "200x32")
_WARM = {1: 32, 200: 8}


def measure(options: argparse.Namespace, contenders: Sequence[Contender]) -> report.Figures:
    """Starts the servers, checks their answers and measures all rounds."""
    work = Work.of(options.folder / "work")
    sizes = sorted({int(setting.split("x")[0]) for setting in options.settings})
    bodies = {
        (size, dialect): [work.body(rows, dialect) for rows in work.requests(size)]
        for size in sizes
        for dialect in {each.dialect for each in contenders}
    }
    scripts = {key: options.folder / f"{key[1]}-{key[0]}.lua" for key in bodies}
    for key, file in scripts.items():
        file.write_text(script(bodies[key]), encoding="utf-8")
    figures: report.Figures = {"seconds": options.seconds, "load": [], "servers": {}}
    with contextlib.ExitStack() as stack:
        servers: list[Running] = []
        for each in contenders:
            log = options.folder / f"{each.key}.log"
            server = stack.enter_context(running(each, options.folder, bodies[sizes[0], each.dialect][0], log))
            for size in sizes:
                for rows, body in zip(work.requests(size), bodies[size, each.dialect], strict=True):
                    work.check(rows, server.ask(body), each.dialect, each.outputs, each.name)
                load(server.url, scripts[size, each.dialect], _WARM[size], 2)
            server.rest()
            servers.append(server)
            figures["servers"][each.key] = {"name": each.name, "started": server.started, "memory": 0.0, "rounds": {}}
        for number in range(options.rounds):
            for setting in options.settings:
                size, connections = map(int, setting.split("x"))
                # Each round has an order of its own, so that nobody always comes after the same one.
                for server in random.Random(f"{number} {setting}").sample(servers, len(servers)):
                    each = server.contender
                    figures["load"].append(os.getloadavg()[0])
                    before = server.processor()
                    result = load(server.url, scripts[size, each.dialect], connections, options.seconds)
                    if result["failed"] or not result["requests"]:
                        raise SystemExit(
                            f"{each.name}, {setting}: {result}. {options.folder / each.key}.log may say why."
                        )
                    result["processor"] = (server.processor() - before) / result["requests"] * 1e3
                    server.rest()
                    figures["servers"][each.key]["rounds"].setdefault(setting, []).append(result)
                    shown = " ".join(f"{key} {result[key]:,.2f}" for key in ("rate", "p50", "p99", "processor"))
                    print(f"{number} {setting:6} {each.key:10} {shown}", flush=True)
        for server in servers:
            figures["servers"][server.contender.key]["memory"] = server.memory()
    return figures


def main() -> None:
    """Measures, or reads what was measured; prints, and writes what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--settings", nargs="+", default=SETTINGS, choices=SETTINGS, help="rows x connections")
    parser.add_argument("--only", nargs="+", help=f"of {', '.join(each.key for each in CONTENDERS)}; all by default")
    parser.add_argument("--folder", type=Path, default=setup.FOLDER, help="of the environments and the model")
    parser.add_argument("--json", type=Path, help="raw figures [default: figures.json in the folder]")
    parser.add_argument("--read", action="store_true", help="measure nothing, read --json")
    parser.add_argument("--document", type=Path, help="a .md whose part between the servers' marks is replaced")
    options = parser.parse_args()
    # So that the servers are stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    file = options.json or options.folder / "figures.json"
    if options.read:
        figures: report.Figures = json.loads(file.read_text(encoding="utf-8"))
    else:
        figures = measure(options, chosen(options.only))
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    text = report.tables(figures)
    print(f"\n{text}")
    if options.document:
        put(text, "servers", options.document)
    missed = report.floors(figures)
    if missed:
        sys.exit("\nBelow the floor:\n" + "\n".join(missed))


if __name__ == "__main__":
    main()
