"""A curve of answers along one input, as a drawing that takes the page's colours, and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfwd.page.asking import Point
from tfwd.page.fields import Field
from tfwd.page.markup import answer_text, meter, table, text
from tfwd.schema import Schema

_WIDTH, _HEIGHT = 640.0, 300.0
# A quarter of a smaller range has no digits left.
_TINY = 1e-300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 14.0, 40.0


def curve_panel(schema: Schema, field: Field, points: Sequence[Point], chosen: int) -> str:
    """Returns the curve along a field: a line for a range, bars for categories.

    Args:
        schema: the answer's schema.
        field: the field.
        points: its points.
        chosen: the number of the answer: 0, or that of a class.
    """
    answers = [float(point.answers[chosen]) for point in points]
    if field.kind not in ("number", "moment"):
        return _bars(schema, field, points, answers)
    drawn, said = [], []
    for point, answer in zip(points, answers, strict=True):
        if point.value is None or not math.isfinite(answer) or _is_far(field, float(point.value)):
            here = "This row, " if point.here else ""
            said.append(f"<p>{here}{text(field.label)} {text(point.text)}: {text(answer_text(schema, answer))}.</p>")
        else:
            drawn.append((point, answer))
    line = _line(schema, field, drawn) if drawn else ""
    return line + "".join(said) + _figures(schema, field, points, answers)


def _is_far(field: Field, value: float) -> bool:
    """Whether a value lies so far outside of the training range that a curve up to it would show nothing else."""
    assert field.low is not None
    assert field.high is not None
    span = field.high - field.low
    return not field.low - span / 2 <= value <= field.high + span / 2


def _bars(schema: Schema, field: Field, points: Sequence[Point], answers: Sequence[float]) -> str:
    finite = [answer for answer in answers if math.isfinite(answer)]
    low, high = (0.0, 1.0) if schema.task != "regression" else (min([0.0, *finite]), max(finite, default=0.0))
    span = high - low or 1.0
    rows = []
    for point, answer in zip(points, answers, strict=True):
        here = ' <span class="here">this row</span>' if point.here else ""
        shown = f'<span class="name">{text(point.text)}</span>{here}{meter((answer - low) / span)}'
        rows.append([shown, f'<span class="amount">{text(answer_text(schema, answer))}</span>'])
    what = " with one value more" if field.kind == "categories" else ""
    caption = f"{text(field.label)}{what}, everything else as in the row"
    return table([text(field.label), text(_axis(schema))], rows, caption, "why")


def _line(schema: Schema, field: Field, drawn: Sequence[tuple[Point, float]]) -> str:
    xs = [float(point.value or 0) for point, _ in drawn]
    ys = [answer for _, answer in drawn]
    y_ticks = _heights(schema, ys)
    low, high = min(xs), max(xs)
    span = high - low or 1.0

    def x(value: float) -> float:
        return _LEFT + (value - low) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        share = (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for tick in y_ticks:
        shown = _tick(tick) if schema.task == "regression" else f"{_tick(100 * tick)} %"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{text(shown)}</text>')
    x_ticks = [low + span * part / 4 for part in range(5)] if field.kind == "moment" else ticks(low, high)
    for tick in (tick for tick in x_ticks if low <= tick <= high):
        shown = field.shown(round(tick)).partition(" ")[0] if field.kind == "moment" else _tick(tick)
        anchor = "end" if x(tick) > _WIDTH - 30 else "start" if x(tick) < _LEFT + 5 else "middle"
        parts.append(
            f'<text x="{x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="{anchor}">{text(shown)}</text>'
        )
    places = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, ys, strict=True))
    parts.append(f'<polyline class="curve" points="{places}"/>')
    for (point, answer), at in zip(drawn, xs, strict=True):
        if point.here:
            parts.append(f'<line class="now" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
            parts.append(f'<circle class="now" cx="{x(at):.1f}" cy="{y(answer):.1f}" r="5"/>')
        said = f"{point.text}: {answer_text(schema, answer)}"
        parts.append(
            f'<circle class="point" cx="{x(at):.1f}" cy="{y(answer):.1f}" r="7"><title>{text(said)}</title></circle>'
        )
    ends = ", ".join(f"{answer_text(schema, answer)} at {point.text}" for point, answer in (drawn[0], drawn[-1]))
    label = f"{_axis(schema)} along {field.label}: {ends}"
    return (
        f'<svg class="tfwd-curve" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{text(label)}">'
        f'{"".join(parts)}<text class="axis" x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 3:.0f}" '
        f'text-anchor="middle">{text(field.label)}</text></svg>'
    )


def _figures(schema: Schema, field: Field, points: Sequence[Point], answers: Sequence[float]) -> str:
    """All points in a table to unfold."""
    rows = [
        [text(point.text) + (' <span class="here">this row</span>' if point.here else ""), text(answer_text(schema, a))]
        for point, a in zip(points, answers, strict=True)
    ]
    figures = table([text(field.label), text(_axis(schema))], rows, kind="figures")
    return f"<details><summary>The figures</summary>{figures}</details>"


def _axis(schema: Schema) -> str:
    return "prediction" if schema.task == "regression" else "probability"


def _heights(schema: Schema, answers: Sequence[float]) -> list[float]:
    """The ticks of the axis of answers: from 0, up to 1 for probabilities at most, below 0 for a regression alone."""
    if schema.task == "regression" and not schema.counts:
        return ticks(min(0.0, *answers), max(answers))
    most = 1.0 if schema.task != "regression" else math.inf
    # A curve along 0 has an axis all the same.
    return ticks(0.0, min(top, most) if (top := max(answers)) > _TINY else 1.0)


def ticks(low: float, high: float) -> list[float]:
    """Returns round numbers around a range, at least two, at equal distances of 1, 2 or 5 times a power of ten."""
    if not high - low > max(1e-9 * max(abs(low), abs(high)), _TINY):
        around = max(abs(low), abs(high))
        around = around / 2 if around > _TINY else 0.5
        low, high = low - around, high + around
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [step * at for at in range(first, last + 1)]


def _tick(value: float) -> str:
    return f"{value:,.10g}" if value == 0 or 1e-4 <= abs(value) < 1e7 else f"{value:.3g}"
