"""Training: what the options do, and what a run holds afterwards."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from census_cases import FEATURES, config, files, frame, small, trained, values
from sklearn.metrics import log_loss, roc_auc_score

from tfwd.config.config import Config
from tfwd.errors import ConfigError, DataError, RunError
from tfwd.model.build import build_model
from tfwd.run import Run
from tfwd.training.checkpoints import Checkpoints
from tfwd.training.fit import fit, resume
from tfwd.training.splits import open_splits


def history(run: Run) -> list[dict[str, str]]:
    with (run.path / "history.csv").open() as file:
        return list(csv.DictReader(file))


def answers(run: Run, table: pd.DataFrame) -> np.ndarray:
    """What the run's model answers for a frame, by nothing of tfwd but the model."""
    schema = run.model.schema
    inputs = {}
    for entry in schema.inputs:
        column = table[entry.column]
        inputs[entry.name] = tf.constant(
            column.fillna("").to_list() if entry.kind == "string" else column.to_numpy(np.float32)
        )
    return run.model(inputs).numpy()[:, 0]


def test_a_run_holds_what_it_promises() -> None:
    run = trained()
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        "config.yaml", "run.json", "rows.json", "statistics", "model.keras", "metrics.json", "history.csv",
        "checkpoints", "logs",
    }  # fmt: skip
    assert run.status == "finished"
    assert list(run.path.rglob(".*")) == []
    assert run.statistics.rows + round(run.metrics["validation"].get("rows", 0)) <= 2000
    assert Config.load(run.path / "config.yaml") == run.config
    assert run.metrics == json.loads((run.path / "metrics.json").read_text())
    events = {path.parent.name for path in (run.path / "logs").rglob("events.out.tfevents*")}
    assert events == {"train", "validation"}
    tags = {
        value.tag
        for path in (run.path / "logs" / "fit" / "validation").iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert "epoch_auc" in tags


def test_test_metrics_are_those_of_the_model_on_the_test_file() -> None:
    run, table = trained(), frame("test", 700)
    truth, scores = table["income"] == ">50K", answers(run, table)
    assert run.metrics["test"]["rows"] == 700
    assert run.metrics["test"]["auc"] == pytest.approx(
        roc_auc_score(truth, scores, sample_weight=table["weight"]), abs=1e-9
    )
    expected = log_loss(truth, scores.astype(np.float64), sample_weight=table["weight"])
    assert run.metrics["test"]["log_loss"] == pytest.approx(expected, abs=1e-6)


def test_history_tells_the_best_evaluation() -> None:
    run = trained()
    lines = history(run)
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert {line["phase"] for line in lines} == {"fit"}
    best = min(lines, key=lambda line: float(line["val_log_loss"]))
    for name, value in run.metrics["validation"].items():
        assert float(best[f"val_{name}"]) == pytest.approx(value)


class Watch(keras.callbacks.Callback):
    """Keeps the exact validation AUC, and how often each moment came."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []
        self.moments: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.moments.append("begin")

    def on_train_end(self, logs: Any = None) -> None:
        self.moments.append("end")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(logs["val_auc"])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Watch]:
    """A run with validation rows of their own, evaluated four times, of which the most accurate model is kept."""
    watch, table = Watch(), frame()
    monitor = {"monitor": "accuracy", "patience": 10}
    run = fit(
        Config.of(small({"validation_fraction": 0.0}, evaluate_every=5, max_steps=17, early_stopping=monitor)),
        tmp_path_factory.mktemp("watched") / "run",
        train=table.head(1600),
        validation=table.tail(400),
        callbacks=[watch],
    )
    return run, watch


@pytest.fixture(scope="module")
def stopped_early(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a rate that is far too high, whose later steps are worse."""
    options: dict[str, Any] = {"deep_optimizer": {"name": "lazy_adam", "learning_rate": 0.1}, "wide_optimizer": "sgd"}
    chosen = small(epochs=30, early_stopping={"monitor": "auc", "patience": 2}, **options)
    return fit(Config.of(chosen), tmp_path_factory.mktemp("stopped") / "run", train=frame())


# Two numbers and two categories, which tell enough.
FEW = [FEATURES[index] for index in (0, 1, 3, 5)]


@pytest.fixture(scope="module")
def by_class(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A wide head alone, with a weight of a class."""
    options = values(class_weights={">50K": 20.0}, max_steps=48, epochs=9, evaluate_every=40)
    options |= {"features": FEW, "model": {"heads": ["wide"]}}
    return fit(Config.of(options), tmp_path_factory.mktemp("classes") / "run", train=frame())


@pytest.fixture(scope="module")
def by_row(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A deep head alone, of streamed rows with a weight each, with a tower of one's own; the best model is kept."""
    rate = {"name": "lazy_adam", "learning_rate": 0.02}
    options = values(
        {"weight": "w"}, cache="none", epochs=4, evaluate_every=32, early_stopping=None, deep_optimizer=rate
    )
    options |= {"features": FEW, "model": {"heads": ["deep"]}}
    table = frame().assign(w=np.where(frame()["income"] == ">50K", 20.0, 1.0))
    tower = keras.Sequential([keras.layers.Dense(7, activation="gelu", name="mine")])
    return fit(Config.of(options), tmp_path_factory.mktemp("rows") / "run", train=table, tower=tower)


def test_callbacks_see_exact_validation_metrics_and_one_training(watched: tuple[Run, Watch]) -> None:
    run, watch = watched
    lines = history(run)
    assert watch.moments == ["begin", "end"]
    assert [int(line["step"]) for line in lines] == [5, 10, 15, 17]
    assert [float(line["val_auc"]) for line in lines] == pytest.approx(watch.seen)
    # The run's model is that of the best accuracy.
    best = max(lines, key=lambda line: float(line["val_accuracy"]))
    own = frame().tail(400)
    assert float(best["val_auc"]) == pytest.approx(roc_auc_score(own["income"] == ">50K", answers(run, own)), abs=1e-9)
    assert int(run.model.optimizer.iterations) == int(best["step"])


def test_early_stopping_keeps_the_best_step(stopped_early: Run) -> None:
    """Slots are those of the best step too."""
    run = stopped_early
    lines = history(run)
    scores = [float(line["val_auc"]) for line in lines]
    best = scores.index(max(scores))
    assert len(lines) == best + 3 < 30
    assert run.metrics["validation"]["auc"] == pytest.approx(max(scores))
    assert int(run.model.optimizer.iterations) == int(lines[best]["step"])
    assert int(run.model.optimizer.deep.iterations) == int(lines[best]["step"])
    last, _ = Checkpoints(run.path / "checkpoints").load() or (None, None)
    assert last is not None
    assert int(last.optimizer.iterations) == int(lines[-1]["step"])


def test_early_stopping_is_remembered(stopped_early: Run, tmp_path: Path) -> None:
    """A training that had waited long enough is over, even if it was broken off just then."""
    run = Run.open(shutil.copytree(stopped_early.path, tmp_path / "run"))
    before = (run.path / "history.csv").read_text()
    run.set_status("training")
    assert resume(run.path, train=frame()).status == "finished"
    assert (run.path / "history.csv").read_text() == before


def test_accuracy_as_the_monitor_is_better_when_higher(watched: tuple[Run, Watch]) -> None:
    seen = [float(line["val_accuracy"]) for line in history(watched[0])]
    assert len(seen) >= 4
    assert watched[0].metrics["validation"]["accuracy"] == pytest.approx(max(seen))


def test_class_weights_and_row_weights_move_the_base_rate(
    watched: tuple[Run, Watch], by_class: Run, by_row: Run
) -> None:
    """The mean prediction of a calibrated model is the weighted base rate."""
    means = [run.metrics["validation"]["mean_prediction"] for run in (watched[0], by_class, by_row)]
    assert means[0] < 0.35 < 0.6 < min(means[1:])
    # A weight of rows counts in the evaluation, that of classes does not.
    parts = open_splits(by_class.config, frame()).with_classes(by_class.statistics.label.classes)
    assert parts.validation is not None
    labels = [batch.label for batch in parts.validation.batches(100) if batch.label is not None]
    assert by_class.metrics["validation"]["mean_label"] == pytest.approx(np.concatenate(labels).mean())
    assert by_row.metrics["validation"]["mean_label"] > 0.6


def test_streaming_learns_too(by_row: Run) -> None:
    assert by_row.config.train.cache == "none"
    assert by_row.metrics["validation"]["auc"] > 0.8


def test_without_early_stopping_the_best_model_is_kept(by_row: Run) -> None:
    best = min(history(by_row), key=lambda line: float(line["val_log_loss"]))
    assert int(by_row.model.optimizer.iterations) == int(best["step"])


def test_the_seed_decides_the_first_weights() -> None:
    run = trained()
    models = [build_model(run.config.replace(train__seed=seed), run.statistics, run.model.schema) for seed in (0, 0, 1)]
    one, same, other = ([weight.numpy() for weight in model.trainable_weights] for model in models)
    assert all(np.array_equal(mine, yours) for mine, yours in zip(one, same, strict=True))
    assert any(np.abs(mine - yours).max() > 0.01 for mine, yours in zip(one, other, strict=True))


def test_one_head_alone(by_class: Run, by_row: Run) -> None:
    for run, head in ((by_class, "wide"), (by_row, "deep")):
        assert run.metrics["validation"]["auc"] > 0.75
        assert {variable.path.split("/")[0] for variable in run.model.trainable_variables} == {head}


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    chosen = small(epochs=5, deep_optimizer={"name": "sgd", "learning_rate": 1e30})
    with pytest.raises(RunError, match=r"The loss is .*train\.deep_optimizer\.learning_rate.*clipnorm"):
        fit(Config.of(chosen), tmp_path / "run", train=frame())


def test_tower_of_ones_own(by_row: Run) -> None:
    variables = by_row.model.trainable_variables
    assert any("mine" in variable.path and variable.shape[-1] == 7 for variable in variables)


@pytest.mark.parametrize(
    ("data", "train", "message"),
    [
        ({"validation_fraction": 0.0}, {}, "early_stopping needs validation rows"),
        ({"validation_fraction": 0.0}, {"early_stopping": None, "refit": True}, "refit needs validation rows"),
        ({"validation": "census:test"}, {"refit": True}, "refit needs validation rows"),
        ({}, {"class_weights": {">5OK": 2.0}}, "'>5OK', which is not a class. Did you mean '>50K'"),
        ({}, {"wide_optimizer": {"name": "sparse_ftrl", "l1": 0.1}}, "no option 'l1'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    data: dict[str, Any], train: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        fit(config(data, **train), tmp_path / "run", train=frame().head(300))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_built_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    crosses = [
        {"type": "cross", "keys": ["education", "occupation"], "bins": 2**31 - 1, "name": name} for name in ("a", "b")
    ]
    with pytest.raises(ConfigError, match=r"the wide head would have 2,147,483,703 rows.* Lower some bins"):
        Config.of({**values(), "features": [*values()["features"], *crosses]})
    for chosen, message in (
        (config().replace(model__activation="rleu"), "no activation 'rleu'. Did you mean 'relu'"),
        (config().replace(model__activation="glu"), "'glu' is not elementwise"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit(chosen, tmp_path / "run", train=frame().head(300))
    assert list(tmp_path.iterdir()) == []


def test_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing to train on: set data.train"):
        fit(config(), tmp_path / "run")


@pytest.mark.parametrize("part", ["validation", "test"])
def test_other_rows_are_checked_before_anything_is_made(part: str, tmp_path: Path) -> None:
    """They are read after the first epoch, or at the very end."""
    data = {"validation_fraction": 0.0} if part == "validation" else {}
    bad = frame().head(20).assign(income="lots")
    with pytest.raises(DataError, match=r"row 1, column 'income': the label 'lots' is not one of the classes"):
        fit(config(data), tmp_path / "run", train=frame().head(300), **{part: bad})
    with pytest.raises(DataError, match=rf"no {part} rows"):
        fit(config(data), tmp_path / "run", train=frame().head(300), **{part: bad.head(0)})
    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_to_validate_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.validation_fraction is 0\.01 of too few rows"):
        fit(config({"validation_fraction": 0.01}), tmp_path / "run", train=frame().head(12))
    assert list(tmp_path.iterdir()) == []


def test_parts_partition_the_training_rows() -> None:
    parts = open_splits(config({"train": str(files()["train.csv"]), "test": str(files()["test.csv"])}))
    assert parts.validation is not None
    assert parts.test is not None
    assert parts.fit.count() + parts.validation.count() == parts.everything.count() == 2000
    assert 0.15 < parts.validation.count() / 2000 < 0.25
    assert parts.test.count() == 700
    assert parts.with_classes(("a", "b")).schema == dataclasses.replace(
        parts.schema, classes=("a", "b"), version=trained().model.schema.version
    )
