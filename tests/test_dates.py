"""The calendar: days and moments of ISO 8601 as seconds since 1970."""

from __future__ import annotations

import calendar

import pandas as pd
import pytest

from tfwd.dates import FIRST_SECOND, LAST_SECOND, seconds_of


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01", (1970, 1, 1, 0, 0, 0)),
        ("2024-02-29T12:30", (2024, 2, 29, 12, 30, 0)),
        ("2024-02-29T12:30:00+05:30", (2024, 2, 29, 7, 0, 0)),
        ("1969-12-31T23:59:59", (1969, 12, 31, 23, 59, 59)),
        ("1969-12-31T23:59:59.5", (1969, 12, 31, 23, 59, 59)),
        ("0001-01-01", (1, 1, 1, 0, 0, 0)),
    ],
)
def test_a_moment_is_seconds_since_1970_rounded_down(text: str, moment: tuple[int, ...]) -> None:
    assert seconds_of(text) == calendar.timegm(moment)


@pytest.mark.parametrize("text", ["", "2023-02-29", "2024-13-01", "yesterday", "1700000000"])
def test_other_text_is_no_moment(text: str) -> None:
    assert seconds_of(text) is None


def test_the_range_is_that_of_four_digit_years() -> None:
    assert seconds_of("0001-01-01") == FIRST_SECOND
    assert pd.Timestamp("9999-12-31T23:59:59").as_unit("s").timestamp() == LAST_SECOND
