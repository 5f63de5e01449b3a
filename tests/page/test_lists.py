"""A user's list is that of the run, and each item leads to a row with the same answer."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest
import ranking_cases
import small_run_cases

from tfwd.errors import DataError
from tfwd.page.asking import Asker
from tfwd.page.links import rows_of
from tfwd.page.lists import Lists
from tfwd.recommend.reasons import Reasons
from tfwd.run import Run


@pytest.fixture(scope="module")
def asker() -> Asker:
    return Asker(ranking_cases.trained())


@pytest.fixture(scope="module")
def lists(asker: Asker) -> Lists:
    return Lists(asker.run, asker.fields)


def test_each_item_of_a_list_opens_its_row(asker: Asker, lists: Lists) -> None:
    assert lists.why_none == ""
    user = ranking_cases.users().iloc[[7]]
    expected = asker.run.recommend(user, k=10)
    shown = lists.panel(str(user["user_id"].iloc[0]), include_seen=False)
    links = re.findall(r'<a href="\?([^"]*)">(\d+)\. ([^<]*)</a>', shown)
    assert [html.unescape(title) for _, _, title in links] == expected["title"].tolist()
    assert [int(place) for _, place, _ in links] == list(range(1, 11))
    for (query, _, _), item, score in zip(links, expected["movie_id"], expected["score"], strict=True):
        row, kept, wrong = rows_of(html.unescape(query), asker.fields, {})
        assert (kept, wrong) == (None, [])
        assert row["movie_id"] == item
        assert row["user_id"] == user["user_id"].iloc[0]
        assert row["liked"] == list(user["liked"].iloc[0])
        assert asker.answer(row).values[0] == pytest.approx(score, abs=1e-6)
    reasons = re.findall(r'<span class="reasons">(.*?)</span></th>', shown)
    assert any("city=" in reason for reason in reasons)


def test_a_reason_is_one_whatever_is_in_its_value(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reasons, "of", lambda _, user, rows, count: [["city=a; b +0.20", "deep +0.10"] for _ in rows])
    shown = lists.panel(lists.users()[3], include_seen=False)
    assert shown.count("<span>city=a; b +0.20</span><span>deep +0.10</span>") == 10


def test_the_users_are_those_of_the_run(lists: Lists) -> None:
    assert lists.users() == ranking_cases.users()["user_id"].tolist()
    with pytest.raises(DataError, match="no user '<b>'") as caught:
        lists.panel("<b>", False)
    assert "--data" not in str(caught.value)


def test_a_run_without_lists_says_why(tmp_path: Path) -> None:
    assert "does not rank" in Lists(small_run_cases.trained(), ()).why_none
    shutil.copytree(ranking_cases.trained().path, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    (run.path / "data" / "users.parquet").unlink()
    assert "no users" in Lists(run, ()).why_none
    (run.path / "data" / "items.parquet").unlink()
    assert "no catalogue" in Lists(run, ()).why_none
