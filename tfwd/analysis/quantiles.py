"""The exact values at given places of a sorted column, in bounded memory.

DuckDB's own exact quantiles gather a column into one list, which cannot spill to disk: it grows with the rows and fails
at the memory limit. Instead, the values of a long column are counted in bins of equal width from the lowest to the
highest, and only the bins that contain a wanted place are examined further.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from tfwd.analysis.workspace import Workspace

# Up to this many values DuckDB gathers a list, which is faster and takes 8 bytes per value.
_GATHERED = 2**21
# Bins per pass, and how many rows of all wanted bins together are read value by value.
_BINS, _READ = 2**14, 2**22


@ibis.udf.agg.builtin
def quantile_disc(values: float, positions: list[float]) -> list[float]:  # type: ignore[empty-body]
    """DuckDB's exact quantiles, which are values in the data, not means of two values."""


@dataclass(frozen=True)
class _Span:
    """Neighbouring values: `count` values from `low` to `high`; the whole column has `below` lower ones."""

    low: float
    high: float
    below: int
    count: int


def values_at(workspace: Workspace, column: str, summary: dict[str, Any], places: Iterable[int]) -> dict[int, float]:
    """Returns the values at given places of a sorted column.

    Args:
        workspace: the table with the column.
        column: a column of numbers; missing ones are left out.
        summary: its `minimum`, `maximum` and `count`.
        places: from 1 to the count.

    Returns:
        Place -> value.
    """
    count, ordered = summary["count"], sorted(places)
    if count > _GATHERED:
        return _within(workspace, column, _Span(summary["minimum"], summary["maximum"], 0, count), ordered)
    # The middle of the interval of positions that lead to a place: no rounding of q * n can miss it.
    positions = ibis.literal([(place - 0.5) / count for place in ordered], type="array<float64>")
    values = workspace.record(workspace.table.aggregate(q=quantile_disc(workspace.table[column], positions)))["q"]
    return dict(zip(ordered, values, strict=True))


def _within(workspace: Workspace, column: str, span: _Span, places: list[int]) -> dict[int, float]:
    if span.low == span.high:
        return dict.fromkeys(places, span.low)
    wanted = _wanted(workspace, column, span, places)
    few = _READ // len(wanted)
    found: dict[int, float] = {}
    read: dict[int, tuple[_Span, list[int]]] = {}
    for number, (part, inside) in wanted.items():
        if part.low < part.high and part.count <= few:
            read[number] = (part, inside)
        else:
            found |= _within(workspace, column, part, inside)
    return found | (_read(workspace, column, span, read) if read else {})


def _bin(value: ir.FloatingValue, span: _Span) -> ir.IntegerValue:
    # Each step keeps the order, rounding included: a lower value is never in a higher bin.
    width = ibis.literal((span.high - span.low) / _BINS, type="float64")
    return ((value - ibis.literal(span.low, type="float64")) / width).floor().cast("int64")


def _rows(workspace: Workspace, column: str, span: _Span) -> ir.Table:
    table = workspace.table.select(value=workspace.table[column].cast("float64"))
    inside = table.value.between(ibis.literal(span.low, type="float64"), ibis.literal(span.high, type="float64"))
    table = table.filter(inside)
    return table.mutate(bin=_bin(table.value, span))


def _wanted(workspace: Workspace, column: str, span: _Span, places: list[int]) -> dict[int, tuple[_Span, list[int]]]:
    """The bins that contain wanted places, each with its places, by the bin's number."""
    rows = _rows(workspace, column, span)
    counted = rows.group_by("bin").aggregate(n=rows.count(), low=rows.value.min(), high=rows.value.max())
    answer = workspace.arrow(counted.order_by("bin"))
    numbers, counts, lows, highs = (answer[name].to_numpy() for name in ("bin", "n", "low", "high"))
    reached = span.below + np.cumsum(counts)
    wanted: dict[int, tuple[_Span, list[int]]] = {}
    for place, index in zip(places, np.searchsorted(reached, places).tolist(), strict=True):
        count = int(counts[index])
        part = _Span(float(lows[index]), float(highs[index]), int(reached[index]) - count, count)
        wanted.setdefault(int(numbers[index]), (part, []))[1].append(place)
    return wanted


def _read(
    workspace: Workspace, column: str, span: _Span, wanted: dict[int, tuple[_Span, list[int]]]
) -> dict[int, float]:
    rows = _rows(workspace, column, span)
    rows = rows.filter(rows.bin.isin(list(wanted)))
    answer = workspace.arrow(rows.group_by("bin", "value").aggregate(n=rows.count()).order_by("value"))
    bins, values, counts = (answer[name].to_numpy() for name in ("bin", "value", "n"))
    found: dict[int, float] = {}
    for number, (part, places) in wanted.items():
        own = np.flatnonzero(bins == number)
        reached = part.below + np.cumsum(counts[own])
        found |= zip(places, values[own[np.searchsorted(reached, places)]].tolist(), strict=True)
    return found
