"""Reasons are told by which feature makes a number, not by how its name begins."""

from __future__ import annotations

import pyarrow as pa
import pytest
from reasons_cases import ITEM, items, trained

from tfwd.recommend.recommender import Recommender


@pytest.fixture(scope="module")
def reasons() -> list[str]:
    user = pa.table({"user": ["1"], "price_limit": [9.0], "age": [59.0]})
    return Recommender(trained(), items()).reasons(user, list("012345"), count=50)


def test_what_the_request_brings_is_no_reason(reasons: list[str]) -> None:
    weights = trained().wide_weights(nonzero=False).set_index("name")["weight"]
    of_user = {"price_limit_zscore", "price_limit_minmax", "price_limit_missing", "age"}
    assert of_user <= set(weights.index)
    assert (weights[[*of_user]] != 0).any()
    shown = {part.rsplit(" ", 1)[0] for text in reasons for part in text.split("; ") if part}
    assert {"price_zscore", "price_minmax", "age_of_item"} & shown
    assert not of_user & shown


def test_an_item_has_its_title_whatever_its_column_is_called(reasons: list[str]) -> None:
    shown = {part.rsplit(" ", 1)[0] for text in reasons for part in text.split("; ") if part.startswith(ITEM)}
    assert shown
    assert shown <= {f"{ITEM}={title}" for title in "abcdef"}
