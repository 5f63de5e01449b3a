"""Panels are well-formed, show what they are given as text, and their figures sum."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import page_cases
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tfwd.inspection.contributions import Contributions, Term
from tfwd.page.asking import Answer, Point
from tfwd.page.curves import curve_panel, ticks
from tfwd.page.fields import Field
from tfwd.page.markup import decimals, number, percent, plain, signed
from tfwd.page.panels import answer_panel, comparison_panel, refusal_panel, why_panel
from tfwd.schema import Input, Schema

ALLOWED = {
    "caption", "circle", "details", "div", "li", "line", "mark", "p", "polyline", "span", "strong", "summary", "svg",
    "table", "tbody", "td", "text", "th", "thead", "title", "tr", "ul",
}  # fmt: skip
VOID = {"circle", "line", "polyline"}


class Reader(HTMLParser):
    """The text of a fragment; refuses tags that are not closed, are not the page's own, or run something."""

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said = ""
        self.feed(fragment)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data + " "


EVIL = (page_cases.COLUMN, page_cases.LABEL, *page_cases.VALUES)
BINARY = Schema((Input("a", page_cases.COLUMN, "string"),), "binary", page_cases.LABEL, ("no", "<i>yes</i>"))
CLASSES = tuple(f"<b>{name}</b>" for name in "abcdefg")
MULTICLASS = Schema(BINARY.inputs, "multiclass", page_cases.LABEL, CLASSES)
REGRESSION = Schema(BINARY.inputs, "regression", page_cases.LABEL)
COUNTS = Schema(BINARY.inputs, "regression", page_cases.LABEL, counts=True)
SCHEMAS = (BINARY, MULTICLASS, REGRESSION, COUNTS)


def answer(schema: Schema, seed: int = 0) -> Answer:
    """An answer with twenty evil terms."""
    generator = np.random.default_rng(seed)
    size = schema.outputs
    terms = tuple(
        Term("wide" if at % 2 else "deep", f"f{at % 6}", f"{text} {at}", text, generator.normal(size=size))
        for at, text in enumerate((*EVIL, *EVIL)[:20])
    )
    parts = Contributions(generator.normal(size=size), generator.normal(size=size), terms)
    logits = parts.logit
    if schema.task == "binary":
        values = 1 / (1 + np.exp(-logits))
    elif schema.task == "multiclass":
        values = np.exp(logits) / np.exp(logits).sum()
    else:
        values = np.exp(logits) if schema.counts else logits
    return Answer(values, logits, parts, (f"{page_cases.COLUMN} was not seen",))


def amounts(fragment: str) -> list[float]:
    found = re.findall(r'<span class="amount">([^<]*)</span>', fragment)
    return [float(text.replace("−", "-").replace(",", "")) for text in found]


@pytest.mark.parametrize("schema", SCHEMAS, ids=["binary", "multiclass", "regression", "counts"])
def test_the_answer_and_its_parts(schema: Schema) -> None:
    given = answer(schema)
    shown = answer_panel(schema, given, "<b>model</b>.onnx")
    assert page_cases.COLUMN in Reader(shown).said
    best = int(np.argmax(given.values)) if schema.task == "multiclass" else 0
    assert f'data-answer="{float(given.values[best])!r}"' in shown
    for chosen in range(schema.outputs):
        why = why_panel(schema, given, chosen)
        said = Reader(why).said
        assert page_cases.VALUES[0] in said
        # Rounded to cents, the parts are the logit, which the panel says too.
        assert sum(amounts(why)) == pytest.approx(float(given.parts.logit[chosen]), abs=0.005 * 23)
        total = re.search(r'data-logit="([^"]*)"', why)
        assert total is not None
        assert float(total[1]) == pytest.approx(float(given.parts.logit[chosen]))
        shown_terms = amounts(why.partition("<details>")[0])[2:]
        assert [abs(value) for value in shown_terms] == sorted(map(abs, shown_terms), reverse=True)


def test_two_rows_side_by_side() -> None:
    fields = (Field(BINARY.inputs[0], "category"), Field(Input("b", "b", "float"), "number"))
    first, second = answer(BINARY, 1), answer(BINARY, 2)
    rows = {"a": page_cases.VALUES[0], "b": 1.0}, {"a": page_cases.VALUES[2], "b": 1.0}
    shown = comparison_panel(BINARY, fields, (rows[0], first), (rows[1], second), 0)
    Reader(shown)
    assert shown.count("<mark>") == 2
    assert "&lt;b&gt;bold&lt;/b&gt;" in shown
    difference = second.parts.logit[0] - first.parts.logit[0]
    base = sum(float(x.parts.base[0] + x.parts.background[0]) * sign for x, sign in ((second, 1), (first, -1)))
    assert sum(amounts(shown)) == pytest.approx(float(difference) - base, abs=0.005 * 7)
    assert (
        "<table" not in comparison_panel(BINARY, fields, (rows[0], first), (rows[0], first), 0).partition("</table>")[2]
    )


@pytest.mark.parametrize("schema", SCHEMAS[:3], ids=["binary", "multiclass", "regression"])
def test_a_curve_of_a_range(schema: Schema) -> None:
    field = Field(Input("a", page_cases.COLUMN, "float"), "number", low=0.0, high=10.0)
    outputs = np.linspace(0.01, 0.4, 11)[:, None] * np.ones(schema.outputs)
    points = [Point(float(x), f"{x}", y, x == 4) for x, y in enumerate(outputs)]
    points += [Point(None, "missing", outputs[0]), Point(1e9, "1000000000", outputs[1])]
    shown = curve_panel(schema, field, points, 0)
    Reader(shown)
    places = re.search(r'<polyline class="curve" points="([^"]*)"', shown)
    assert places is not None
    xs, ys = zip(*(map(float, place.split(",")) for place in places[1].split()), strict=True)
    assert len(xs) == 11
    assert list(xs) == sorted(xs)
    # Up is more.
    assert list(ys) == sorted(ys, reverse=True)
    assert all(0 <= x <= 640 and 0 <= y <= 300 for x, y in zip(xs, ys, strict=True))
    assert shown.count('class="now"') == 2
    assert "1000000000: " in shown.partition("</svg>")[2].partition("<details>")[0]


def test_a_curve_where_nothing_changes() -> None:
    for kind, values in (("number", (3.0,)), ("moment", (0, 60)), ("number", (-1e20, 1e20)), ("number", (0.0, 1e-12))):
        field = Field(
            Input("a", "a", "integer" if kind == "moment" else "float", moment=None),
            kind,
            low=values[0],
            high=values[-1],
        )  # type: ignore[arg-type]
        points = [Point(value, str(value), np.zeros(1), at == 0) for at, value in enumerate(values)]
        for schema in (BINARY, REGRESSION):
            assert "nan" not in Reader(curve_panel(schema, field, points, 0)).said


def heights(shown: str) -> list[str]:
    """The labels of the axis of answers."""
    return re.findall(r'text-anchor="end">([^<]*)</text>', shown.partition("<polyline")[0])


@pytest.mark.parametrize(("answer", "top"), [(0.0, "100 %"), (5e-324, "100 %"), (1.0, "100 %"), (1.0000001, "100 %")])
def test_the_axis_of_probabilities_is_from_0_to_1(answer: float, top: str) -> None:
    field = Field(Input("a", "a", "float"), "number", low=0.0, high=9.0)
    points = [Point(value, str(value), np.full(7, answer), value == 0) for value in (0.0, 9.0)]
    for schema in (BINARY, MULTICLASS):
        found = heights(curve_panel(schema, field, points, 0))
        assert (found[0], top in found[1:]) == ("0 %", True)
        assert not [label for label in found if label.startswith("-") or label == "150 %"]
    assert "-" not in "".join(heights(curve_panel(COUNTS, field, points, 0)))


def test_predictions_beyond_float32_are_said_and_not_drawn() -> None:
    field = Field(Input("a", "a", "float"), "number", low=0.0, high=9.0)
    points = [Point(float(x), str(x), np.array([y]), x == 3) for x, y in enumerate((1.0, 2.0, 4.0, np.inf))]
    shown = curve_panel(COUNTS, field, points, 0)
    Reader(shown)
    places = re.search(r'<polyline class="curve" points="([^"]*)"', shown)
    assert places is not None
    assert len(places[1].split()) == 3
    assert "This row, a 3: inf." in shown
    alone = curve_panel(COUNTS, field, points[3:], 0)
    assert "<svg" not in alone
    assert "a 3: inf." in alone
    category = Field(BINARY.inputs[0], "category", values=("x",))
    assert "nan" not in curve_panel(COUNTS, category, points, 0)


def test_bars_of_categories() -> None:
    field = Field(BINARY.inputs[0], "category", values=page_cases.VALUES)
    points = [Point(value, value, np.array([at / 20]), at == 2) for at, value in enumerate(page_cases.VALUES)]
    for schema in (BINARY, REGRESSION):
        said = Reader(curve_panel(schema, field, points, 0)).said
        assert all(value in said for value in page_cases.VALUES)
        assert said.count("this row") == 1


SMALL = Contributions(
    np.array([0.03]),
    np.zeros(1),
    (Term("wide", "a", "a=x", "x", np.array([0.0021])), Term("wide", "b", "b", "1", np.array([-4e-4]))),
)


def test_parts_of_a_small_label_keep_their_digits() -> None:
    given = Answer(SMALL.logit, SMALL.logit, SMALL)
    assert amounts(why_panel(REGRESSION, given, 0)) == [0.03, 0.0021, -0.0004]
    other = Contributions(
        SMALL.base, SMALL.background, (*SMALL.terms[:1], Term("wide", "b", "b", "2", np.array([4e-4])))
    )
    fields = (Field(BINARY.inputs[0], "category"),)
    kept, now = (({"a": "x"}, Answer(parts.logit, parts.logit, parts)) for parts in (SMALL, other))
    differences = comparison_panel(REGRESSION, fields, kept, now, 0).partition("What makes the difference")[2]
    assert amounts(differences) == [0.0008]


@pytest.mark.parametrize(
    ("largest", "places"), [(0.0, 2), (1e-3, 5), (0.03, 4), (0.37, 3), (1.0, 2), (9.99, 2), (1e6, 2), (5e-324, 326)]
)
def test_decimals_of_numbers_that_stand_together(largest: float, places: int) -> None:
    assert decimals(largest) == decimals(-largest) == places


def test_a_typical_row_to_compare_with_is_said() -> None:
    parts = answer(BINARY).parts
    for rows, said in ((0, True), (64, False)):
        given = Contributions(parts.base, parts.background, parts.terms, rows)
        shown = Reader(why_panel(BINARY, Answer(given.logit, given.logit, given), 0)).said
        assert ("one typical row" in shown) == ("the deep head for a typical row" in shown) == said
    wide = Answer(SMALL.logit, SMALL.logit, SMALL)
    assert "typical" not in why_panel(REGRESSION, wide, 0)


# What Gradio replaces in a field's line, in this order.
REPLACED = (
    r"`([^`]+)`",
    r"\[([^\]]+)\]\(([^)]+)\)",
    r"\*\*(.+?)\*\*",
    r"__(.+?)__",
    r"\*(.+?)\*",
    r"(?<!\w)_(.+?)_(?!\w)",
)


@example("a*b*a ![x](http://host/x.png)")
@example("_a_ `b` __c__ a__b__c")
@given(st.text(st.sampled_from("*_`[]() ab1é-"), max_size=30))
def test_a_field_s_line_has_nothing_that_gradio_replaces(line: str) -> None:
    shown = plain(line)
    assert not [found for found in REPLACED if re.search(found, shown, re.ASCII)]
    assert shown.translate(str.maketrans("∗ˋˍ", "*`_", "\u2060")) == line


def test_a_usual_line_stays_as_it_is() -> None:
    line = "17 to 90 in training, median 37; computed as hours_per_week / 7 - (a + b)"
    assert plain(line) == line


def test_a_refusal_is_text() -> None:
    assert page_cases.COLUMN in Reader(refusal_panel(page_cases.COLUMN)).said


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.5, "50.0 %"),
        (0.2413, "24.1 %"),
        (0.00029797, "0.030 %"),
        (0.99971, "99.971 %"),
        (3e-9, "0.000000 %"),
        (0.001, "0.10 %"),
    ],
)
def test_probabilities_as_text(share: float, text: str) -> None:
    assert percent(share) == text


@given(st.floats(0.0, 1.0))
def test_a_probability_is_never_shown_as_certain(share: float) -> None:
    shown = float(percent(share).removesuffix(" %"))
    assert shown == pytest.approx(100 * share, abs=0.06)
    if 1e-6 < share < 1 - 1e-6:
        assert 0 < shown < 100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12345.678, "12,346"),
        (0.0123456, "0.01235"),
        (-3.14159, "-3.142"),
        (1e12, "1.000e+12"),
        (1e-7, "1.000e-07"),
    ],
)
def test_numbers_as_text(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.375, "+0.38"), (-1.146, "−1.15"), (0.001, "0.00"), (-0.001, "0.00"), (12345.0, "+12,345.00")]
)
def test_what_is_added_as_text(value: float, text: str) -> None:
    assert signed(value) == text


def test_what_is_added_with_more_decimals() -> None:
    assert signed(-0.00123, 4) == "−0.0012"
    assert signed(1.23e-20, 22) == "+1.23e-20"
    assert signed(0.0, 326) == "0"


@example(0.0, 5e-324)
@example(5e-324, 0.0)
@given(st.floats(-1e15, 1e15), st.floats(0, 1e15))
def test_ticks_are_round_and_around(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 12
    steps = np.diff(found)
    assert steps.min() > 0
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
    slack = 1e-6 * max(abs(low), abs(low + span), 1e-300)
    assert found[0] <= low + slack
    assert found[-1] >= low + span - slack
