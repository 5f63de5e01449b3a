"""A saved model names its parts; a process that only loads it must know all of them."""

from __future__ import annotations

import subprocess
import sys

NAMES = [
    "WarmupDecay",
    "JointOptimizer",
    "SparseFtrl",
    "SparseAdagrad",
    "SparseRmsprop",
    "SparseSgd",
    "LazyAdam",
    "DenseFtrl",
    "DenseAdam",
]


def test_the_model_alone_brings_all_that_its_optimizers_may_be_made_of() -> None:
    code = (
        "import tfwd.model, keras\n"
        f"print([name for name in {NAMES} if keras.saving.get_registered_object('tfwd>' + name) is None])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
