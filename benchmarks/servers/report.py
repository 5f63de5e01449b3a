"""What was measured of the servers, as Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TypedDict

from benchmarks.timing import markdown

OURS, BASE = "tfwd", "baseline"
# By setting, as "1x32" for requests of a row over 32 connections, a dict a round: `load.load`'s figures, and
# `processor`, the milliseconds of processor time that the server takes for a request.
Rounds = dict[str, list[dict[str, float]]]


class Server(TypedDict):
    """What was measured of a server.

    Keys:
        name: in the tables.
        started: seconds until the first answer.
        memory: resident memory of all its processes at the end, in MB.
        rounds: by setting.
    """

    name: str
    started: float
    memory: float
    rounds: Rounds


class Figures(TypedDict):
    """Everything that was measured.

    Keys:
        seconds: of each measurement.
        load: of the machine at the start of each measurement.
        servers: by key.
    """

    seconds: float
    load: list[float]
    servers: dict[str, Server]


def tables(figures: Figures) -> str:
    """Returns the tables, each with a line on what it shows."""
    servers = figures["servers"]
    rounds = next(iter(servers.values()))["rounds"]
    settings, count = list(rounds), len(next(iter(rounds.values())))
    header = ["", *("n={} c={}".format(*each.split("x")) for each in settings)]

    def table(*shown: tuple[str, str], more: Callable[[Server], list[str]] = lambda _: []) -> list[list[str]]:
        """A line a server: medians of the figures, each in its format."""
        return [
            [
                server["name"],
                *(" / ".join(format(_median(server, each, key), form) for key, form in shown) for each in settings),
                *more(server),
            ]
            for server in servers.values()
        ]

    def process(server: Server) -> list[str]:
        return [f"{server['memory']:,.0f}", f"{server['started']:.1f}"]

    parts = [
        f"Requests per second, medians of {count} rounds of {figures['seconds']:.0f} s; n rows a request, c "
        "connections:",
        markdown([*header, "memory, MB", "start, s"], table(("rate", ",.0f"), more=process)),
        "Milliseconds per request, p50 / p99:",
        markdown(header, table(("p50", ".2f"), ("p99", ".1f"))),
        "Processor milliseconds of the server per request:",
        markdown(header, table(("processor", ".2f"))),
    ]
    if OURS in servers and len(servers) > 1:
        others = [server for key, server in servers.items() if key != OURS]
        ratios = [[each["name"], *(f"{_ratio(servers[OURS], each, s):.2f}" for s in settings)] for each in others]
        said = "How many times the requests per second of each `tfwd serve` answers, medians of the rounds' ratios:"
        parts += [said, markdown(header, ratios)]
    load = figures["load"]
    parts.append(
        f"Load of the machine before each measurement: {min(load):.1f} to {max(load):.1f}, "
        f"median {statistics.median(load):.1f}."
    )
    return "\n\n".join(parts)


def floors(figures: Figures) -> list[str]:
    """Returns what the server must reach and does not, one line each; empty if it reaches all that was measured."""
    servers = figures["servers"]
    missed = []
    for setting, other, times in (("1x32", BASE, 1.4), ("1x32", "kserve", 3.0)):
        if {OURS, other} <= servers.keys() and setting in servers[OURS]["rounds"]:
            ratio = _ratio(servers[OURS], servers[other], setting)
            if ratio < times:
                missed.append(f"{setting}: {ratio:.2f} times {servers[other]['name']}, not {times}.")
    if {OURS, BASE} <= servers.keys() and "1x1" in servers[OURS]["rounds"]:
        ours, limit = _median(servers[OURS], "1x1", "p50"), 1.15 * _median(servers[BASE], "1x1", "p50") + 0.1
        if ours > limit:
            missed.append(f"1x1: p50 {ours:.3f} ms, more than {limit:.3f}.")
    return missed


def _ratio(ours: Server, other: Server, setting: str) -> float:
    pairs = zip(ours["rounds"][setting], other["rounds"][setting], strict=True)
    return statistics.median(mine["rate"] / theirs["rate"] for mine, theirs in pairs)


def _median(server: Server, setting: str, key: str) -> float:
    return statistics.median(entry[key] for entry in server["rounds"][setting])
