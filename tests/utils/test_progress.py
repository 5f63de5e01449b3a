"""A bar is shown to who has waited, on a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tfwd.utils import console as module
from tfwd.utils.console import progress_when_slow


@pytest.mark.parametrize(
    ("patience", "terminal", "shown"), [(-1.0, True, True), (3600.0, True, False), (-1.0, False, False)]
)
def test_the_bar_is_for_who_waits(
    monkeypatch: pytest.MonkeyPatch, patience: float, terminal: bool, shown: bool
) -> None:
    output = io.StringIO()
    console: Any = Console(file=output, force_terminal=terminal, force_interactive=terminal, width=80)
    monkeypatch.setattr(module, "console", console)
    monkeypatch.setattr(module, "_PATIENCE", patience)
    with progress_when_slow("Reading something", 3) as show:
        show(1.5)
        show(3)
    assert ("Reading something" in output.getvalue()) == shown
    if not shown:
        assert output.getvalue() == ""
