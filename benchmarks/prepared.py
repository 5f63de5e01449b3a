"""A configuration whose rows are prepared once for many trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tfwd
from tfwd.preparation.prepare import SPLITS, prepare


def prepared_once(config: tfwd.Config, folder: Path) -> tfwd.Config:
    """Prepares the rows of a configuration, and gives one that reads them as they are.

    Args:
        config: whose data section asks for a preparation.
        folder: where the files go.
    """
    counts = prepare(config, folder)
    files = {f"data__{split}": str(folder / f"{split}.parquet") for split in SPLITS if split in counts}
    done: dict[str, Any] = {"join": [], "columns": {}, "filter": None, "history": [], "split": None, "path": None}
    return config.replace(**files, **{f"data__{key}": value for key, value in done.items()})
