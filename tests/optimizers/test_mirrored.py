"""Two replicas of a MirroredStrategy take the same steps as one device, and read no whole table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES: list[dict[str, dict[str, Any]]] = [
    {
        "wide": {"name": "sparse_ftrl", "l1_regularization_strength": 0.001, "beta": 1.0},
        "deep": {"name": "lazy_adam", "learning_rate": 0.01, "l2_regularization_strength": 0.1},
    },
    {
        "wide": {"name": "sparse_ftrl", "kernel": "gather", "clipnorm": 0.05},
        "deep": {"name": "adagrad", "learning_rate": 0.1, "clipvalue": 0.02},
    },
    {
        "wide": {"name": "sgd", "learning_rate": 0.1, "clipnorm": 0.05},
        "deep": {"name": "lazy_adam", "amsgrad": True},
    },
    {
        "wide": {"name": "adagrad", "learning_rate": 0.1, "l2_regularization_strength": 0.1},
        "deep": {"name": "rmsprop", "centered": True, "epsilon": 1e-3},
    },
    {"wide": {"name": "ftrl"}, "deep": {"name": "adam"}},
]


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    """A process of its own: logical devices are configured before TensorFlow starts."""
    here = Path(__file__).resolve().parent
    paths = os.pathsep.join([str(here.parents[1]), str(here.parent), str(here)])
    done = subprocess.run(
        [sys.executable, str(here / "mirrored_steps.py"), json.dumps(CASES)],
        env={**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", range(len(CASES)))
def test_two_replicas_equal_one_device(reports: list[dict[str, Any]], case: int) -> None:
    assert reports[case]["moved"] > 1e-3
    assert reports[case]["difference"] < 1e-6


@pytest.mark.parametrize("case", range(len(CASES) - 1))
def test_replicas_read_no_whole_table(reports: list[dict[str, Any]], case: int) -> None:
    assert reports[case]["long"] == []
