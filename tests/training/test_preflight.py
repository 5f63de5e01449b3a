"""What a training cannot come to is said before TensorFlow is imported, and before anything is read or made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.feature_cases import raw_columns, small, statistics_of
from tfwd.config.config import Config
from tfwd.errors import ConfigError
from tfwd.features.layout import build_layout
from tfwd.features.space import FeatureSpace
from tfwd.model.ranker import build_ranker
from tfwd.optimizers.configured import joint_optimizer
from tfwd.training.preflight import ACTIVATIONS, preflight
from tfwd.training.size import MemoryUse, least_memory, machine_memory, memory_of, refuse_too_large

PROGRAM = """
import json, sys
from tfwd.cli.app import app
for options in json.loads(sys.argv[1]):
    try:
        app(["train", *options])
    except SystemExit as end:
        print(end.code, sorted({"tensorflow", "keras"} & sys.modules.keys()))
"""


def config(**changes: Any) -> Config:
    features = [
        {"type": "categorical", "column": "a", "hash_bins": 1000, "embedding": 8},
        {"type": "numeric", "column": "n"},
    ]
    return Config.of({"data": {"label": "y"}, "features": features}).replace(**changes)


def test_the_command_line_says_it_before_tensorflow_is_imported(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,n,y\nx,1,0\ny,2,1\n")
    (tmp_path / "c.yaml").write_text(config(data__train="rows.csv").dump())
    wrong = {
        "train.epoch=1": "train.epoch: unknown key. Did you mean 'epochs'?",
        "train.deep_optimizer.beta1=1": "train.deep_optimizer.beta1: the optimizer 'lazy_adam' has no option 'beta1'.",
        "model.activation=rleu": "model.activation: Keras has no activation 'rleu'. Did you mean 'relu'?",
        "data.train=nothing.csv": "There is no file",
        "data.label=z": "has no column 'z'",
        "features.a.column=b": "has no column 'b', which the feature 'a' reads.",
        "model.hidden_units=[1000000, 1000000]": "model.hidden_units[1]: 1,000,000 x 1,000,000 weights, 14,901.2 GiB",
    }
    options = [["--config", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "run"), "--set", key] for key in wrong]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(options)], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.splitlines() == ["2 []"] * len(wrong)
    for message in wrong.values():
        assert message in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_activations_are_those_of_keras() -> None:
    known = {name for name, value in vars(keras.activations).items() if callable(value) and name.islower()}
    assert set(ACTIVATIONS) == known - {"get", "deserialize", "serialize"}


@pytest.mark.parametrize("optimizer", ["lazy_adam", "adagrad", "sgd", "rmsprop", {"name": "adam", "amsgrad": True}])
def test_the_estimate_is_what_keras_makes(optimizer: Any) -> None:
    chosen = small(train__deep_optimizer=optimizer)
    layout = build_layout(FeatureSpace(chosen.features, statistics_of(chosen, raw_columns(50))), chosen.model.heads, 1)
    ranker = build_ranker(layout, chosen.model)
    joint = joint_optimizer(chosen, 1)
    joint.build(ranker.trainable_variables)
    matrices = [variable for variable in ranker.trainable_variables if len(variable.shape) == 2]
    # The last layer and biases are left out, and scalars of the optimizers.
    tables = [variable for variable in matrices if variable.path.endswith("table")]
    kernels = [variable for variable in matrices if "kernel" in variable.path and "logits" not in variable.path]
    shapes = {tuple(variable.shape) for variable in [*tables, *kernels]}
    slots = [v for part in joint.optimizers for v in part.variables if tuple(v.shape) in shapes]
    made = sum(int(variable.value.numpy().size) for variable in [*tables, *kernels, *kernels, *slots])
    assert sum(use.bytes for use in memory_of(chosen, layout)) == 4 * made
    assert sum(use.bytes for use in least_memory(chosen)) <= 4 * made


def test_what_the_machine_cannot_hold_names_the_largest_parts() -> None:
    large = config(features__a__hash_bins=2_147_483_600, model__hidden_units=[10**6, 10**6])
    with pytest.raises(ConfigError) as caught:
        refuse_too_large(least_memory(large), memory=16 * 2**30)
    assert str(caught.value) == (
        "The model needs at least 15,117.3 GiB of memory in training, including the state of its optimizers, and this "
        "machine has 16.0 GiB. Make it smaller. The largest are model.hidden_units[1]: 1,000,000 x 1,000,000 weights, "
        "14,901.2 GiB; features[0] ('a'): 2,147,483,601 embeddings of 8, 192.0 GiB; features[0] ('a'): 2,147,483,601 "
        "rows in the wide head, 24.0 GiB."
    )
    refuse_too_large(least_memory(config()), memory=2**20)
    refuse_too_large([MemoryUse("x", "y", 5)], memory=5)
    # A tower of the user's own is not known.
    assert sum(use.bytes for use in least_memory(large, tower=False)) < 300 * 2**30


def test_this_machine_has_some_memory() -> None:
    total = int(next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line).split()[1])
    assert 0 < machine_memory() <= total << 10


def test_a_preset_passes() -> None:
    preflight(Config.load("census"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features__a__hash_bins": 2**31 - 1}, "features[0]: with 'a' the wide head would have 2,147,483,649 rows"),
        ({"features__a__hash_bins": 2**31 - 1, "features__a__wide": False}, "the embeddings of width 8 would have"),
    ],
)
def test_rows_that_no_id_can_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**change)
    assert message in str(caught.value)
