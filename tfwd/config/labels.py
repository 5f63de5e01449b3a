"""The values of a label as text, in which they are compared."""

from __future__ import annotations

import re
from typing import Any

# The strings that stand for a missing label.
MISSING_LABELS = frozenset({"", "nan", "NaN"})
_WHOLE = re.compile(r"([+-]?\d+)\.0*")


def text_of(value: Any) -> str:
    """Returns the form in which label values are compared, whatever type a file gives them.

    `1`, `1.0`, `"1"` and `"1.0"` are the same label, as are `True`, `"True"` and `"true"`.
    """
    text = str(value)
    whole = _WHOLE.fullmatch(text)
    if whole:
        return whole[1]
    return text.lower() if text.lower() in ("true", "false") else text
