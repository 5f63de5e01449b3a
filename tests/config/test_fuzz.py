"""Valid configurations changed at random: what comes out is a configuration, or one ConfigError with the key's path."""

from __future__ import annotations

import itertools
import random
import resource
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile.configurations import attempts, fault, seeds
from tfwd.config.config import Config

COUNT = 150


def test_the_seeds_are_valid() -> None:
    for seed in seeds():
        assert Config.of(seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_what_comes_of_configurations_that_were_changed_at_random(seed: int, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    for way, make in itertools.islice(attempts(random.Random(seed), tmp_path), COUNT):
        outcome, wrong = fault(make)
        assert wrong is None, (way, wrong)
        outcomes[outcome] += 1
    # Kilobytes on Linux. Else a change of all would be refused for one reason, or none at all be made.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert outcomes["refused"] > COUNT // 2
    assert outcomes["valid"] > 3
