"""Pieces of HTML that the page's panels are made of. Whatever comes from data goes through `text`."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence

from tfwd.schema import Schema

# More decimals are harder to read than a power of ten.
_PLACES = 8
# Underscores inside of a name mean nothing to Gradio.
_OUTER_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ALIKE = str.maketrans({"*": "\N{ASTERISK OPERATOR}", "`": "\N{MODIFIER LETTER GRAVE ACCENT}"})


def text(value: object) -> str:
    """Returns a value as HTML that shows it and does nothing else, in an attribute too."""
    return html.escape(str(value), quote=True)


def plain(line: str) -> str:
    """Returns a line that Gradio shows as text; it reads stars, underscores, backquotes and links in a field's line.

    It knows no escape, so they are replaced by signs that look like them, and a link is parted unseen.
    """
    return (
        _OUTER_UNDERSCORE.sub("\N{MODIFIER LETTER LOW MACRON}", line)
        .translate(_ALIKE)
        .replace("](", "]\N{WORD JOINER}(")
    )


def percent(share: float) -> str:
    """Returns a probability with digits enough to tell it from 0 and from 1: `24.1 %`, `0.030 %`, `99.97 %`."""
    far = min(share, 1 - share)
    if not far > 0:
        return f"{100 * share:.0f} %"
    digits = min(max(1, 1 - math.floor(math.log10(100 * far))), 6)
    return f"{100 * share:.{digits}f} %"


def number(value: float) -> str:
    """Returns a number of any size with about four digits."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}" if 1e-4 <= abs(value) < 1e9 else f"{value:.3e}"


def decimals(largest: float) -> int:
    """Returns the decimals of numbers that are shown together: 2, or as many as give the largest three digits."""
    largest = abs(largest)
    return max(2, 2 - math.floor(math.log10(largest))) if 0 < largest < 1 else 2


def signed(value: float, places: int = 2) -> str:
    """Returns what something adds, with its sign: `+0.37`, `−1.15`.

    Args:
        value: what it adds.
        places: the decimals.
    """
    if value == 0 and places > _PLACES:
        return "0"
    shown = f"{abs(value):,.{places}f}" if places <= _PLACES and abs(value) < 1e6 else f"{abs(value):.2e}"
    return shown if float(shown.replace(",", "")) == 0 else f"{'+' if value > 0 else '−'}{shown}"


def answer_text(schema: Schema, value: float) -> str:
    """Returns an answer as text: a probability in percent, or a prediction."""
    return number(value) if schema.task == "regression" else percent(value)


def question(schema: Schema) -> str:
    """Returns what the model answers, as plain text."""
    if schema.task == "binary":
        return f"probability that {schema.label} is {schema.classes[1]}"
    if schema.task == "multiclass":
        return f"probabilities of the classes of {schema.label}"
    return f"expected {schema.label}" if schema.counts else f"predicted {schema.label}"


def bar(value: float, largest: float) -> str:
    """Returns a bar from the middle, to the right for a positive value and to the left for a negative one."""
    width = 0.0 if largest <= 0 else min(50 * abs(value) / largest, 50)
    kind, start = ("plus", 50.0) if value >= 0 else ("minus", 50 - width)
    style = f"left:{start:.2f}%;width:{max(width, 0.4):.2f}%"
    return f'<span class="bar" aria-hidden="true"><span class="{kind}" style="{style}"></span></span>'


def meter(share: float) -> str:
    """Returns a bar from the left, for a share of 1."""
    width = min(max(100 * share, 0.0), 100.0)
    return f'<span class="meter" aria-hidden="true"><span style="width:{width:.2f}%"></span></span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", kind: str = "") -> str:
    """Returns a table of cells that are HTML already.

    Args:
        head: the names of the columns.
        rows: the cells; the first of each row is its heading.
        caption: what it shows, as HTML.
        kind: a class of the style sheet.
    """
    columns = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    shown = f"<caption>{caption}</caption>" if caption else ""
    return f'<table class="tfwd {kind}">{shown}<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>'


def notice(sentences: Iterable[str], kind: str = "note") -> str:
    """Returns sentences of plain text as a list of notes, or nothing if there are none."""
    items = "".join(f"<li>{text(sentence)}</li>" for sentence in sentences)
    return f'<ul class="tfwd-{kind}">{items}</ul>' if items else ""
