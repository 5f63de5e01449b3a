"""Two replicas of a MirroredStrategy take the same steps as one device, train as it does, and read no whole table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from census_cases import trained

CASES: list[dict[str, dict[str, Any]]] = [
    {
        "wide": {"name": "sparse_ftrl", "l1_regularization_strength": 0.001, "beta": 1.0},
        "deep": {"name": "lazy_adam", "learning_rate": 0.01, "l2_regularization_strength": 0.1, "amsgrad": True},
    },
    {
        "wide": {"name": "sparse_ftrl", "kernel": "gather", "clipnorm": 0.05},
        "deep": {"name": "adagrad", "learning_rate": 0.1, "clipvalue": 0.02},
    },
    {
        "wide": {"name": "sgd", "learning_rate": 0.1, "clipnorm": 0.05, "l2_regularization_strength": 0.1},
        "deep": {"name": "rmsprop", "centered": True, "epsilon": 1e-3},
    },
    {"wide": {"name": "ftrl"}, "deep": {"name": "adam"}},
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Keras' own callback writes one."""
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.keras"
    callback = keras.callbacks.ModelCheckpoint(path)
    callback.set_model(trained().model)
    callback.on_epoch_end(0, {})
    return path


@pytest.fixture(scope="module")
def report(checkpoint: Path) -> dict[str, Any]:
    """Of a process of its own: logical devices are configured before TensorFlow starts."""
    here = Path(__file__).resolve().parent
    paths = os.pathsep.join(map(str, (here.parents[1], here.parent, here)))
    done = subprocess.run(
        [sys.executable, str(here / "mirrored_steps.py"), json.dumps(CASES), str(checkpoint)],
        env={**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", range(len(CASES)))
def test_two_replicas_equal_one_device(report: dict[str, Any], case: int) -> None:
    assert report["steps"][case]["moved"] > 1e-3
    assert report["steps"][case]["difference"] < 1e-6


@pytest.mark.parametrize("case", range(len(CASES) - 1))
def test_replicas_read_no_whole_table(report: dict[str, Any], case: int) -> None:
    assert report["steps"][case]["long"] == []


def test_two_replicas_gather_from_their_own_copies(report: dict[str, Any]) -> None:
    assert report["check_table"] == ""


def test_two_replicas_train_a_whole_model_as_one_device(report: dict[str, Any]) -> None:
    assert report["check_training"] == ""


def test_keras_loads_a_checkpoint_and_then_knows_every_class(report: dict[str, Any]) -> None:
    """With Keras imported first; with tfwd first a run is loaded in tests/test_registration.py."""
    module, total = report["loaded"]
    assert module == "tfwd.model.wide_deep"
    assert total == pytest.approx(float(sum(np.abs(weights).sum() for weights in trained().model.get_weights())))
    assert report["unknown"] == []
