"""A row as the query string of a link, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

from tfwd.errors import DataError
from tfwd.page.fields import Field, Row

# A second row, with which the first is compared, has its inputs under this prefix, which no input's name has.
KEPT = "kept."
# Gradio's own, such as __theme.
_FOREIGN = "__"
# More than these in a link are not read.
_MOST = 100_000


def query_of(fields: Sequence[Field], row: Row, kept: Row | None = None) -> str:
    """Returns the query string that holds a row: each input, a list as often as it has values, empty if missing.

    Args:
        fields: the fields.
        row: the row.
        kept: a row that it is compared with.
    """
    rows = [("", row), *([(KEPT, kept)] if kept is not None else [])]
    pairs = [
        (prefix + field.name, text)
        for prefix, values in rows
        for field in fields
        for text in field.linked(values[field.name])
    ]
    return urlencode(pairs)


def rows_of(query: str, fields: Sequence[Field], otherwise: Row) -> tuple[Row, Row | None, list[str]]:
    """Returns the row and the kept row, if any, that a query string holds, and what is wrong with it.

    Args:
        query: the query string, with or without its question mark.
        fields: the fields.
        otherwise: the values of inputs that the link leaves out, or gives wrong.
    """
    given: dict[str, list[str]] = {}
    wrong: list[str] = []
    try:
        pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True, max_num_fields=_MOST)
    except ValueError:
        return dict(otherwise), None, ["The link cannot be read."]
    for key, text in pairs:
        given.setdefault(key, []).append(text)
    known = {prefix + field.name for prefix in ("", KEPT) for field in fields}
    unknown = [key for key in given if key not in known and not key.startswith(_FOREIGN)]
    if unknown:
        wrong.append(f"The link names what the model does not read: {', '.join(unknown[:3])}.")
    row = _row(given, "", fields, otherwise, wrong)
    kept = None
    if any(key.startswith(KEPT) and key in known for key in given):
        kept = _row(given, KEPT, fields, otherwise, wrong)
    return row, kept, wrong


def _row(given: Mapping[str, list[str]], prefix: str, fields: Sequence[Field], otherwise: Row, wrong: list[str]) -> Row:
    row = dict(otherwise)
    for field in fields:
        texts = given.get(prefix + field.name)
        if texts is None:
            continue
        try:
            row[field.name] = field.read(texts if field.kind == "categories" else texts[-1])
        except DataError as error:
            wrong.append(f"The link is wrong: {error}")
    return row
