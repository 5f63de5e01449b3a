"""The work that every contender does, as files that every environment can read.

A folder holds `work.json`, `train.parquet`, `train.csv` and `test.parquet`; the label is 0 or 1, no value is missing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow.csv
import pyarrow.parquet

if TYPE_CHECKING:
    import pandas as pd

Source = Literal["parquet", "csv"]


@dataclass(frozen=True)
class Work:
    """One Wide & Deep training, in words that every library knows.

    Attributes:
        categories: string columns; each has a weight per value in the wide head and an embedding in the deep head.
        numbers: float columns, z-scored, for the deep head.
        crosses: pairs and triples of categories, hashed to `bins`, for the wide head.
        bins: of every cross.
        label: an integer column, 0 or 1.
        embedding: the width of an embedding.
        hidden: the widths of the tower's layers.
        batch: rows a step.
        epochs: passes over the training rows.
        rows: training rows.
        shuffle: rows in the shuffle buffer of those that have one.
        ftrl: the learning rate of the wide head; its accumulator begins at 1e-5, L1 and L2 are 0.
        adam: the learning rate of the deep head.
    """

    categories: tuple[str, ...]
    numbers: tuple[str, ...]
    crosses: tuple[tuple[str, ...], ...]
    bins: int
    label: str
    embedding: int
    hidden: tuple[int, ...]
    batch: int
    epochs: int
    rows: int
    shuffle: int = 20_000
    ftrl: float = 0.1
    adam: float = 0.001

    def save(self, folder: Path) -> None:
        """Writes `work.json`."""
        (folder / "work.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Work:
        """Reads `work.json`."""
        values = json.loads((folder / "work.json").read_text(encoding="utf-8"))
        for name in ("categories", "numbers", "hidden"):
            values[name] = tuple(values[name])
        return cls(**{**values, "crosses": tuple(tuple(keys) for keys in values["crosses"])})


def read(folder: Path, split: Literal["train", "test"], source: Source = "parquet") -> pd.DataFrame:
    """The rows of a split in memory, for libraries that take a DataFrame."""
    path = folder / f"{split}.{source}"
    table = pyarrow.csv.read_csv(path) if source == "csv" else pyarrow.parquet.read_table(path)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def quality(label: Any, probability: Any) -> dict[str, float]:
    """Exact AUC (ties count half) and log loss.

    Args:
        label: `(N,)` or `(N, 1)`, 0 or 1.
        probability: `(N,)` or `(N, 1)`, of a 1.
    """
    positive = np.asarray(label).reshape(-1).astype(bool)
    scores = np.asarray(probability, np.float64).reshape(-1)
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    hits = int(positive.sum())
    area = (ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(scores) - hits))
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    loss = -np.where(positive, np.log(clipped), np.log1p(-clipped)).mean()
    return {"auc": float(area), "log_loss": float(loss)}
