"""Lets tests import the cases they share by name, whatever pytest's import mode."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def started() -> None:
    """TensorFlow has said what it says at its start before anybody listens."""
    from census_cases import trained

    trained()
