"""What the page's events return, without a browser, where Gradio (the extra `ui`) is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import page_cases
import pytest
import small_run_cases

from tfwd.page.asking import Asker
from tfwd.page.fields import Field, Row
from tfwd.page.links import query_of
from tfwd.page.lists import Lists
from tfwd.schema import Input

if TYPE_CHECKING:
    from tfwd.page.blocks import _Page


@pytest.fixture(scope="module", autouse=True)
def gradio() -> Any:
    """Gradio, whose import takes seconds: not where tests are only collected."""
    return pytest.importorskip("gradio")


@pytest.fixture(scope="module")
def page(gradio: Any) -> _Page:
    from tfwd.page.blocks import _Page

    asker = Asker(page_cases.hostile())
    return _Page(asker, Lists(asker.run, asker.fields))


@pytest.fixture
def row(page: _Page) -> Row:
    """A row whose values fit each by itself, with fewer weights than values."""
    return {**page.asker.example(0), "tags": ["50%", "it's"], "tag_weights": [0.5]}


def written(page: _Page, row: Row) -> list[Any]:
    return [field.written(row[field.name]) for field in page.fields]


def test_a_row_without_an_answer_is_not_kept(page: _Page, row: Row, gradio: Any) -> None:
    fits = {**row, "tag_weights": [0.5, 1.0]}
    assert page._keep(*written(page, fits)) == query_of(page.fields, fits)
    with pytest.raises(gradio.Error, match="takes a weight for each value of &#x27;tags&#x27;"):
        page._keep(*written(page, row))


def test_a_link_to_a_kept_row_without_an_answer_says_so(page: _Page, row: Row) -> None:
    now = page.asker.example(1)
    answer, _, _, sides, link = page._show(query_of(page.fields, row), -1, None, *written(page, now))
    assert "data-answer" in answer
    assert "The kept row has no answer: The input &#x27;tag_weights&#x27; takes a weight for each value" in sides
    assert "<table" not in sides
    assert link == query_of(page.fields, now, row)


def test_the_line_of_a_field_is_plain() -> None:
    from tfwd.page.blocks import _component

    field = Field(Input("a", "a", "float"), "number", info="computed as price * 2 * [x](http://host)")
    assert _component(field, 10).info == "computed as price ∗ 2 ∗ [x]\u2060(http://host)"


def test_an_application_of_ones_own_has_the_page_where_it_says() -> None:
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from tfwd.page.mount import mount

    app = Starlette()
    mount(app, small_run_cases.trained().path, "/ask")
    with TestClient(app) as client:
        assert client.get("/ask/config").json()["title"] == "wide_deep: income"
        assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
