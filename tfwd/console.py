"""The one console: what is said to the person at the terminal goes to standard error, results to standard output."""

from __future__ import annotations

from rich.console import Console

console = Console(stderr=True, highlight=False, soft_wrap=True)
