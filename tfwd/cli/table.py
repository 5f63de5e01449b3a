"""A list of items as lines for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfwd.config.ranking import RankingConfig

if TYPE_CHECKING:
    import pandas as pd


# The number of characters of a title that are shown.
_TITLE = 48


def lines(found: pd.DataFrame, ranking: RankingConfig, reasons: Sequence[str] | None) -> list[str]:
    """Returns place, title or item, score and, if given, the reasons, in columns.

    Args:
        found: the result of `Recommender.recommend` for one user.
        ranking: names the columns.
        reasons: one per item.
    """
    if not len(found):
        return ["Nothing is left to list."]
    titled = ranking.title is not None and ranking.title in found.columns
    names = [_short(str(value)) for value in found[ranking.title if titled else ranking.item]]
    rows = [["", str(ranking.title if titled else ranking.item), "score", *(["why"] if reasons is not None else [])]]
    for index, (place, name, score) in enumerate(zip(found["place"], names, found["score"], strict=True)):
        rows.append([str(place), name, f"{score:.4f}", *([reasons[index]] if reasons is not None else [])])
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join([row[0].rjust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2]), *row[3:]]).rstrip()
        for row in rows
    ]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _TITLE else text[: _TITLE - 1] + "…"
