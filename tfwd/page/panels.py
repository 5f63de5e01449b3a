"""The panels of an answer: the answer itself, what gave it, and two rows side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfwd.inspection.contributions import Term
from tfwd.page.asking import Answer
from tfwd.page.fields import Field, Row
from tfwd.page.markup import answer_text, bar, decimals, meter, notice, number, percent, question, signed, table, text
from tfwd.schema import Schema

# Terms that are shown at first, and classes beside the most probable one.
_TERMS, _CLASSES = 14, 4
_TYPICAL = (
    "The deep head is compared with one typical row, of the most frequent categories and the median numbers, since the "
    "run has no rows of its data to compare with."
)


def answer_panel(schema: Schema, answer: Answer, answers_by: str) -> str:
    """Returns the answer to a row, in large figures, with its notes."""
    best = int(np.argmax(answer.values)) if schema.task == "multiclass" else 0
    value = float(answer.values[best])
    what = f"probability of {schema.classes[best]}" if schema.task == "multiclass" else question(schema)
    facts = [f"by {answers_by}"]
    if schema.task != "regression":
        facts.insert(0, f"logit {answer.logits[best]:+.4f}".replace("-", "−"))
    if schema.task == "binary":
        facts.insert(1, f"base rate {percent(_sigmoid(float(answer.parts.base[0])))}")
    elif schema.task == "regression" and not schema.counts:
        facts.insert(0, f"mean of the training rows {number(float(answer.parts.base[0]))}")
    scale = meter(value) if schema.task != "regression" else ""
    more = ""
    if schema.task == "multiclass":
        others = [index for index in np.argsort(-answer.values) if index != best][:_CLASSES]
        more = "".join(
            f"<li><span>{text(schema.classes[i])}</span>{meter(float(answer.values[i]))}"
            f"<span>{percent(float(answer.values[i]))}</span></li>"
            for i in others
        )
        more = f'<ul class="tfwd-classes">{more}</ul>'
    return (
        f'<div class="tfwd-answer" role="status" data-answer="{value!r}"><strong>{answer_text(schema, value)}</strong>'
        f'<span class="what">{text(what)}</span>{scale}<span class="facts">{text(" · ".join(facts))}</span></div>'
        f"{more}{notice(answer.notes)}"
    )


def refusal_panel(reason: str) -> str:
    """Returns the panel of a row that has no answer, because a value does not fit."""
    return f'<div class="tfwd-answer refused" role="alert"><strong>–</strong>{notice([reason], "fault")}</div>'


def why_panel(schema: Schema, answer: Answer, chosen: int) -> str:
    """Returns the parts of a logit: the largest terms first, the others folded, and their sum.

    Args:
        schema: the answer's schema.
        answer: the answer.
        chosen: the number of the logit: 0, or that of a class.
    """
    parts = answer.parts
    terms = sorted(parts.terms, key=lambda term: -abs(term.contribution[chosen]))
    amounts = [float(parts.base[chosen]), float(parts.background[chosen])]
    largest = _largest(answer, chosen)
    places = decimals(largest)
    what = "mean" if schema.task == "regression" and not schema.counts else "base rate"
    lead = [_line(f"{what} of the training rows", "", amounts[0], largest, places)]
    typical = not parts.background_rows and any(term.head == "deep" for term in terms)
    if amounts[1]:
        row = "a typical row" if typical else "an average row"
        lead.append(_line(f"the deep head for {row}", "", amounts[1], largest, places))
    rows = [_term(term, chosen, largest, places) for term in terms]
    total = float(parts.logit[chosen])
    shown = table(["what", _unit(schema)], [*lead, *rows[:_TERMS]], kind="why")
    folded = ""
    if len(rows) > _TERMS:
        rest = sum(float(term.contribution[chosen]) for term in terms[_TERMS:])
        more = table(["what", _unit(schema)], rows[_TERMS:], kind="why")
        folded = f"{len(rows) - _TERMS} smaller parts, together {signed(rest, places)}"
        folded = f"<details><summary>{folded}</summary>{more}</details>"
    sum_ = f'<p class="tfwd-sum" data-logit="{total!r}">{text(_sum(schema, total, chosen))}</p>'
    return f"{shown}{folded}{sum_}{notice([_TYPICAL] if typical else [])}"


def _largest(answer: Answer, chosen: int) -> float:
    """The largest part of a logit, without its sign."""
    parts = answer.parts
    found = [parts.base, parts.background, *(term.contribution for term in parts.terms)]
    return max(abs(float(part[chosen])) for part in found)


def _unit(schema: Schema) -> str:
    if schema.task == "regression":
        return "log of the count" if schema.counts else text(schema.label)
    return "logit"


def _sum(schema: Schema, total: float, chosen: int) -> str:
    shown = f"{total:+.4f}".replace("-", "−")
    if schema.task == "binary":
        return f"Sum: logit {shown}, which is a probability of {percent(_sigmoid(total))}. +0.69 doubles the odds."
    if schema.task == "multiclass":
        return f"Sum: logit {shown} of {schema.classes[chosen]}. +0.69 doubles its odds against another class."
    if schema.counts:
        return f"Sum: {shown}, the logarithm of {number(float(np.exp(total)))}. +0.69 doubles the count."
    return f"Sum: {number(total)}."


def _line(name: str, detail: str, value: float, largest: float, places: int) -> list[str]:
    shown = f'<span class="name">{text(name)}</span>{detail}{bar(value, largest)}'
    return [shown, f'<span class="amount">{signed(value, places)}</span>']


def _term(term: Term, chosen: int, largest: float, places: int) -> list[str]:
    name = term.name if term.head == "wide" else f"{term.feature}: {term.value}"
    head = f'<span class="head {term.head}">{term.head}</span>'
    return _line(name, head, float(term.contribution[chosen]), largest, places)


def comparison_panel(
    schema: Schema, fields: Sequence[Field], kept: tuple[Row, Answer], now: tuple[Row, Answer], chosen: int
) -> str:
    """Returns two rows side by side: their answers, their values, and which features make the difference.

    Args:
        schema: the answer's schema.
        fields: the fields.
        kept: the first row and its answer.
        now: the second row and its answer.
        chosen: the number of the logit: 0, or that of a class.
    """
    answers = [float(answer.values[chosen]) for _, answer in (kept, now)]
    name = schema.classes[chosen] if schema.task == "multiclass" else question(schema)
    lines = [[text(name), *(f"<strong>{text(answer_text(schema, value))}</strong>" for value in answers)]]
    if schema.task != "regression":
        logits = [f"{float(answer.logits[chosen]):+.4f}".replace("-", "−") for _, answer in (kept, now)]
        lines.append(["logit", *logits])
    differing = [field for field in fields if kept[0][field.name] != now[0][field.name]]
    equal = [field for field in fields if field not in differing]
    for field in [*differing, *equal]:
        cells = [text(field.shown_all(row[field.name])) for row, _ in (kept, now)]
        marked = [f"<mark>{cell}</mark>" for cell in cells] if field in differing else cells
        lines.append([text(field.label), *marked])
    side = table(["", "kept row", "this row"], lines, kind="sides")
    first, second = (_by_feature(answer, chosen) for _, answer in (kept, now))
    changes = {name: second.get(name, 0.0) - first.get(name, 0.0) for name in {**first, **second}}
    places = decimals(max(_largest(answer, chosen) for _, answer in (kept, now)))
    least = 0.5 * 10.0**-places
    shown = sorted((name for name in changes if abs(changes[name]) >= least), key=lambda name: -abs(changes[name]))
    if not shown:
        return side
    largest = abs(changes[shown[0]])
    rows = [_line(name, "", changes[name], largest, places) for name in shown[:_TERMS]]
    caption = "What makes the difference, by feature, both heads together"
    return side + table(["feature", _unit(schema)], rows, caption, "why")


def _by_feature(answer: Answer, chosen: int) -> dict[str, float]:
    sums: dict[str, float] = {}
    for term in answer.parts.terms:
        sums[term.feature] = sums.get(term.feature, 0.0) + float(term.contribution[chosen])
    return sums


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
