"""What the documents show of the benchmarks' figures."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def figures_of(file: Path) -> dict[str, Any]:
    """The figures of a JSON file that a benchmark reads and adds to; none where there is no file yet."""
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return figures


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
