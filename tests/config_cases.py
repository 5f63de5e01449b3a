"""A small configuration that tests of single keys begin with."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "data": {"label": "y"},
    "features": [
        {"type": "numeric", "column": "age"},
        {"type": "categorical", "column": "city", "embedding": 4},
        {"type": "categorical", "column": "zip", "hash_bins": 9},
    ],
}
