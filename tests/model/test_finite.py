"""A training that leaves numbers which are not finite ends, names them and the step, and writes nothing of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from graph_search import tensors_with_rows

import tfwd
from tfwd.analysis.statistics import LabelStatistics, NumericStatistics, VocabularyStatistics
from tfwd.errors import RunError
from tfwd.model.finite import finite_after, refuse_broken
from tfwd.optimizers import JointOptimizer, LazyAdam, SparseFtrl, SparseSgd

ROWS = 640


def frame(**columns: Any) -> pd.DataFrame:
    random = np.random.default_rng(3)
    values = {
        "city": random.choice(["a", "b", "c", "d"], ROWS),
        "size": random.normal(size=ROWS),
        "y": random.integers(0, 2, ROWS),
    }
    return pd.DataFrame(values | columns)


def config(
    train: dict[str, Any] | None = None, data: dict[str, Any] | None = None, heads: tuple[str, ...] = ("wide", "deep")
) -> tfwd.Config:
    options: dict[str, Any] = {"epochs": 2, "batch_size": 64, "tensorboard": False, "steps_per_execution": 4}
    # Of gradients alone, which is traced soonest.
    options |= {f"{head}_optimizer": {"name": "sgd", "learning_rate": 0.1} for head in ("wide", "deep")}
    return tfwd.Config.of(
        {
            "data": {"label": "y", "validation_fraction": 0.2, **(data or {})},
            "features": [
                {"type": "categorical", "column": "city", "embedding": 4},
                {"type": "numeric", "column": "size", "wide": True},
            ],
            "model": {"hidden_units": [4], "heads": list(heads)},
            "train": options | (train or {}),
        }
    )


class Spoil(keras.callbacks.Callback):
    """Writes a number into a row of a table, once."""

    def __init__(self, path: str, row: int, number: float, before_step: int) -> None:
        super().__init__()
        self.path_end, self.row, self.number, self.step = path, row, number, before_step

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations) >= self.step:
            variable = next(v for v in self.model.variables if v.path.endswith(self.path_end))
            values = variable.numpy()
            values[self.row] = self.number
            variable.assign(values)


def written(run: Path) -> list[str]:
    return [str(path) for path in run.rglob("*.keras")]


def test_a_row_that_the_next_step_touches_is_named_with_that_step(tmp_path: Path) -> None:
    # The rows of the wide table: padding, OOV, missing, then the cities.
    spoil = Spoil("categories/table", 3, np.nan, before_step=4)
    expected = r"After step 5, .*wide/categories/table \(row 3, of the feature 'city'\).* not finite"
    with pytest.raises(RunError, match=expected):
        tfwd.fit(config(), tmp_path / "run", train=frame(), callbacks=[spoil])
    assert written(tmp_path / "run") == []


def test_a_training_that_diverges_within_float32_ends_too(tmp_path: Path) -> None:
    """Its weights are finite, and the answer to one more row may not be."""
    steep = {"deep_optimizer": {"name": "adam", "learning_rate": 1e20}}
    with pytest.raises(RunError, match=r"After step 1, .* not finite or exceed 1,000,000"):
        tfwd.fit(config(steep, heads=("deep",)), tmp_path / "run", train=frame())
    assert written(tmp_path / "run") == []


def test_a_row_that_no_step_touches_is_found_before_anything_is_written(tmp_path: Path) -> None:
    # Row 1 is that of unseen cities, of which there are none.
    spoil = Spoil("embedding_4/table", 1, np.inf, before_step=0)
    with pytest.raises(RunError, match=r"At step \d+, deep/embedding_4/table \(row 1, of the feature 'city'\)"):
        tfwd.fit(config(), tmp_path / "run", train=frame(), callbacks=[spoil])
    assert written(tmp_path / "run") == []
    assert tfwd.Run.open(tmp_path / "run").status != "finished"


def test_a_learning_rate_beyond_reason_ends_the_only_step(tmp_path: Path) -> None:
    rate = {"name": "sgd", "learning_rate": 3e38}
    chosen = config({"epochs": 1, "max_steps": 1, "deep_optimizer": rate}, heads=("deep",))
    with pytest.raises(RunError, match=r"(After|At) step 1|at step 1"):
        tfwd.fit(chosen, tmp_path / "run", train=frame())
    assert written(tmp_path / "run") == []


def test_rows_without_weight_leave_no_loss_and_no_finished_run(tmp_path: Path) -> None:
    weighted = frame(w=np.ones(ROWS))
    unweighted = frame(w=np.zeros(ROWS))
    data = {"weight": "w", "validation_fraction": 0.0}
    chosen = config({"epochs": 1, "early_stopping": None}, data, heads=("wide",))
    with pytest.raises(RunError, match=r"log_loss on the test rows is nan.* weight 0"):
        tfwd.fit(chosen, tmp_path / "run", train=weighted, test=unweighted)
    assert tfwd.Run.open(tmp_path / "run").status != "finished"


def test_every_variable_is_looked_at_before_a_checkpoint() -> None:
    run_model = _model()
    refuse_broken(run_model, 3)
    for variable in [*run_model.variables, *run_model.optimizer.variables]:
        if not tf.as_dtype(variable.dtype).is_floating:
            continue
        before = variable.numpy()
        spoilt = np.array(before)
        spoilt.reshape(-1)[-1:] = np.nan
        variable.assign(spoilt)
        with pytest.raises(RunError, match=r"At step 3") as caught:
            refuse_broken(run_model, 3)
        assert variable.path in str(caught.value)
        variable.assign(before)
    refuse_broken(run_model, 3)


def _model() -> tfwd.WideDeep:
    statistics = tfwd.FeatureStatistics(
        9,
        LabelStatistics(0.5, 1.0, ("0", "1"), (0.5, 0.5)),
        {"city": VocabularyStatistics(("a", "b"), (5, 4))},
        {"size": NumericStatistics(9, 0, -1.0, 1.0, 0.0, 1.0, 0.0)},
    )
    inputs = (tfwd.Input("city", "city", "string"), tfwd.Input("size", "size", "float"))
    model = tfwd.build_model(config(), statistics, tfwd.Schema(inputs, "binary", "y", ("0", "1")))
    model.compile(JointOptimizer(SparseFtrl(), LazyAdam()))
    model.optimizer.build(model.trainable_variables)
    return model


def test_only_touched_rows_are_read() -> None:
    table = keras.Variable(np.zeros((1234, 2), np.float32))
    spoilt = {7: np.nan, 8: np.inf, 9: -2e6, 10: 1e6}
    table.assign(
        tf.tensor_scatter_nd_update(table.value, [[row] for row in spoilt], [[n, 0.0] for n in spoilt.values()])
    )

    @tf.function
    def look(rows: tf.Tensor) -> tf.Tensor:
        gradient = tf.IndexedSlices(tf.zeros((tf.size(rows), 2)), rows)
        return finite_after([table, table], [gradient, None])

    assert look(tf.constant([1, 10, 11, 11])).numpy().tolist() == [True, True]
    for row in (7, 8, 9):
        assert look(tf.constant([1, 10, row, 11])).numpy().tolist() == [False, True]
    assert tensors_with_rows(look.get_concrete_function(tf.constant([1, 2, 3, 4])).graph, 1234) == []


def test_a_step_that_sgd_blows_up_is_found_at_once() -> None:
    model = _model()
    model.compile(JointOptimizer(SparseFtrl(), SparseSgd(1e38)), steps_per_execution=8)
    rows = {"city": tf.constant(["a", "b"] * 4), "size": tf.constant([1e3] * 8)}
    data = tf.data.Dataset.from_tensors((rows, tf.ones((8, 1)))).repeat(8)
    with pytest.raises(RunError, match=r"After step \d, deep/"):
        model.fit(data, verbose=0)
