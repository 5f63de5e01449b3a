"""Short forms of the attacks of tests/hostile/server.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def attacks() -> ModuleType:
    path = Path(__file__).parents[1] / "hostile" / "server.py"
    spec = importlib.util.spec_from_file_location("server_attacks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_malformed_requests_are_refused() -> None:
    assert attacks().fuzz(300, seed=1) == []
