"""Census income (UCI Adult), bundled: does a person earn more than 50,000 dollars a year?

The official split, 32,561 training and 16,281 test rows, lies beside this module as Parquet.
A value the census did not record is null. Source, licence and changes are in `ATTRIBUTION.md`,
and `rebuild.py` made the files.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from tfwd.data.bundled import Split as Split
from tfwd.data.bundled import census

if TYPE_CHECKING:
    import pandas as pd


def path(split: Split) -> pathlib.Path:
    """Returns where the Parquet file of a split lies.

    Args:
        split: `train` (32,561 rows) or `test` (16,281 rows), the official ones.

    Returns:
        The path of a Parquet file with 15 columns: int64 `age`, `fnlwgt`, `education_num`,
        `capital_gain`, `capital_loss`, `hours_per_week`; strings `workclass`, `education`,
        `marital_status`, `occupation`, `relationship`, `race`, `sex`, `native_country` and the
        label `income` (`<=50K` or `>50K`).

    Raises:
        DataError: there is no such split.
    """
    return census(split)


def load(split: Split) -> pd.DataFrame:
    """Reads a split into memory.

    Args:
        split: `train` or `test`.

    Returns:
        The columns of `path`, in the official order of rows; missing values are NaN.

    Raises:
        DataError: there is no such split.
    """
    import pandas as pd

    return pd.read_parquet(path(split))
