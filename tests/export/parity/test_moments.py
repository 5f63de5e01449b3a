"""Moments in the rows that an export is compared on: given in any form, and made up where a part changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

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
