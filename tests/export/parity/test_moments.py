"""Moments in the rows that an export is compared on: given in any form, and made up where a part changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import datetime_cases as cases
import numpy as np
import pandas as pd
import pytest

from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values
from export.parity.rows import as_rows
from tfwd.errors import ExportError
from tfwd.schema import MISSING_INTEGER, Input, Schema

SCHEMA = Schema((Input("when", "when", "integer", moment=""),), "binary", "y", ("0", "1"))
SECONDS = [1709227815, -1, MISSING_INTEGER]
MOMENTS = [datetime(2024, 2, 29, 17, 30, 15), datetime(1969, 12, 31, 23, 59, 59, 500_000), None]
FORMS: dict[str, Any] = {
    "seconds": SECONDS,
    "seconds and None": [*SECONDS[:2], None],
    "datetimes": MOMENTS,
    "datetimes with a zone": [*(moment.replace(tzinfo=UTC) for moment in MOMENTS if moment), None],
    "nanoseconds": np.array(MOMENTS, "datetime64[ns]"),
    "milliseconds": np.array(MOMENTS, "datetime64[ms]"),
    "pandas": pd.Series(MOMENTS),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_hold_moments_in_any_form(form: str) -> None:
    found = as_rows(SCHEMA, {"when": FORMS[form]})["when"]
    assert found.dtype == np.int64
    assert found.tolist() == SECONDS


def test_text_is_no_moment() -> None:
    with pytest.raises(ExportError, match="The input 'when' takes a 64-bit integer. Received: '2024-02-29'"):
        as_rows(SCHEMA, {"when": ["2024-02-29"]})


def test_hostile_rows_hold_the_learned_years_and_ends_of_an_age() -> None:
    run = cases.trained()
    model = run.model
    rows = hostile_rows(model.schema, known_values(model), 10_000, seed=3)
    moments = rows["pickup"][(rows["pickup"] > -1e10) & (rows["pickup"] < 9e9)]
    found = set(moments.tolist())
    years = run.statistics.vocabularies["pickup_year"].values
    assert set(years) == {"2019", "2020", "2021"}
    for year in years:
        first, next_first = (int(pd.Timestamp(f"{which}-01-01").timestamp()) for which in (year, int(year) + 1))
        assert {first - 1, first, next_first - 1, next_first} <= found
    age = run.statistics.numerics["pickup_age_in_days"]
    ages = (pd.Timestamp("2024-06-30") - pd.to_datetime(moments, unit="s")) / pd.Timedelta(days=1)
    for end in (age.minimum, age.maximum, age.median):
        assert np.float32(end) in ages.to_numpy(np.float32)
