"""What the documents show of the benchmarks' figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path


def mean_and_spread(numbers: Sequence[float]) -> str:
    """As `0.9303 ± 0.0003`, without a spread where there is one number."""
    mean = f"{statistics.mean(numbers):.4f}"
    return f"{mean} ± {statistics.stdev(numbers):.4f}" if len(numbers) > 1 else mean


def put(text: str, name: str, document: Path) -> None:
    """Puts tables between the marks of their name in a document.

    Raises:
        SystemExit: the document has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise SystemExit(f"{document} has no part between {begin} and {end}.")
    document.write_text(f"{before}{begin}\n\n{text.rstrip()}\n\n{end}{after}", encoding="utf-8")
