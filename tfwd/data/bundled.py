"""Data that ships with the package, found where it is installed."""

from __future__ import annotations

import importlib.resources
import pathlib
from typing import Literal, get_args

from tfwd.errors import DataError

Split = Literal["train", "test"]


def census(split: str) -> pathlib.Path:
    """Returns the path of the Parquet file of a split of the census; see `tfwd.datasets.census`.

    Args:
        split: `train` or `test`.

    Raises:
        DataError: there is no such split.
    """
    if split not in get_args(Split):
        raise DataError(
            f"The census has the splits {' and '.join(map(repr, get_args(Split)))}. "
            f"Received: {split!r}. For validation, hold rows of 'train' out."
        )
    return pathlib.Path(str(importlib.resources.files("tfwd") / "datasets" / "census" / f"{split}.parquet"))
