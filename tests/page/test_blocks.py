"""What the page's events return, without a browser, where Gradio (the extra `ui`) is installed."""

from __future__ import annotations

from typing import Any

import page_cases
import pytest

gr = pytest.importorskip("gradio")

from tfwd.page.asking import Asker  # noqa: E402
from tfwd.page.blocks import _component, _Page  # noqa: E402
from tfwd.page.fields import Field, Row  # noqa: E402
from tfwd.page.links import query_of  # noqa: E402
from tfwd.page.lists import Lists  # noqa: E402
from tfwd.schema import Input  # noqa: E402


@pytest.fixture(scope="module")
def page() -> _Page:
    asker = Asker(page_cases.hostile())
    return _Page(asker, Lists(asker.run, asker.fields))


@pytest.fixture
def row(page: _Page) -> Row:
    """A row whose values fit each by itself, with fewer weights than values."""
    return {**page.asker.example(0), "tags": ["50%", "it's"], "tag_weights": [0.5]}


def written(page: _Page, row: Row) -> list[Any]:
    return [field.written(row[field.name]) for field in page.fields]


def test_a_row_without_an_answer_is_not_kept(page: _Page, row: Row) -> None:
    fits = {**row, "tag_weights": [0.5, 1.0]}
    assert page._keep(*written(page, fits)) == query_of(page.fields, fits)
    with pytest.raises(gr.Error, match="takes a weight for each value of &#x27;tags&#x27;"):
        page._keep(*written(page, row))


def test_a_link_to_a_kept_row_without_an_answer_says_so(page: _Page, row: Row) -> None:
    now = page.asker.example(1)
    answer, _, _, sides, link = page._show(query_of(page.fields, row), -1, None, *written(page, now))
    assert "data-answer" in answer
    assert "The kept row has no answer: The input &#x27;tag_weights&#x27; takes a weight for each value" in sides
    assert "<table" not in sides
    assert link == query_of(page.fields, now, row)


def test_the_line_of_a_field_is_plain() -> None:
    field = Field(Input("a", "a", "float"), "number", info="computed as price * 2 * [x](http://host)")
    assert _component(field, 10).info == "computed as price ∗ 2 ∗ [x]\u2060(http://host)"
