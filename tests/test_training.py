"""Training: what the options do, and what a run holds afterwards."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from census_cases import config, copy_of_trained, files, frame, trained, values
from sklearn.metrics import log_loss, roc_auc_score

from tfwd.checkpoints import Checkpoints
from tfwd.config import Config
from tfwd.errors import ConfigError, DataError, RunError
from tfwd.model import build_model
from tfwd.parts import open_parts
from tfwd.run import Run
from tfwd.training import fit


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


@pytest.fixture(scope="module")
def by_accuracy(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run without weights, evaluated four times, of which the most accurate model is kept."""
    chosen = config(epochs=2, early_stopping={"monitor": "accuracy", "patience": 10}, evaluate_every=8)
    return fit(chosen, tmp_path_factory.mktemp("accuracy") / "run", train=frame())


@pytest.fixture(scope="module")
def of_one_step(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose only batch is larger than the data, with a tower of one's own."""
    tower = keras.Sequential([keras.layers.Dense(7, activation="gelu", name="mine")])
    chosen = config(batch_size=100_000, epochs=1)
    return fit(chosen, tmp_path_factory.mktemp("step") / "run", train=frame(), tower=tower)


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


def test_callbacks_see_exact_validation_metrics_and_one_training(tmp_path: Path) -> None:
    watch, table = Watch(), frame()
    own = table.tail(400)
    run = fit(
        config(validation_fraction_data(), evaluate_every=5, max_steps=12, early_stopping=None),
        tmp_path / "run",
        train=table.head(1600),
        validation=own,
        callbacks=[watch],
    )
    assert watch.moments == ["begin", "end"]
    assert [int(line["step"]) for line in history(run)] == [5, 10, 12]
    assert [float(line["val_auc"]) for line in history(run)] == pytest.approx(watch.seen)
    # The run's model is that of the best log loss.
    best = min(history(run), key=lambda line: float(line["val_log_loss"]))
    truth = own["income"] == ">50K"
    assert float(best["val_auc"]) == pytest.approx(roc_auc_score(truth, answers(run, own)), abs=1e-9)
    assert int(run.model.optimizer.iterations) == int(best["step"])


def validation_fraction_data() -> dict[str, Any]:
    return {"validation_fraction": 0.0}


def test_early_stopping_keeps_the_best_step(tmp_path: Path) -> None:
    """With a rate that is far too high, later steps are worse; slots are those of the best step too."""
    options = {"deep_optimizer": {"name": "lazy_adam", "learning_rate": 0.1}, "wide_optimizer": "sgd"}
    chosen = config(epochs=30, early_stopping={"monitor": "auc", "patience": 2}, **options)
    run = fit(chosen, tmp_path / "run", train=frame())
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


def test_accuracy_as_the_monitor_is_better_when_higher(by_accuracy: Run) -> None:
    seen = [float(line["val_accuracy"]) for line in history(by_accuracy)]
    assert len(seen) >= 4
    assert by_accuracy.metrics["validation"]["accuracy"] == pytest.approx(max(seen))


def test_refit_learns_from_all_rows_for_the_chosen_epochs(tmp_path: Path) -> None:
    run = fit(config(refit=True, epochs=2, batch_size=90), tmp_path / "run", train=frame())
    lines = history(run)
    fitted = [line for line in lines if line["phase"] == "fit"]
    refitted = [line for line in lines if line["phase"] == "refit"]
    best = min(fitted, key=lambda line: float(line["val_log_loss"]))
    steps = math.ceil(2000 / 90) * int(best["epoch"])
    assert int(refitted[-1]["step"]) == steps == int(run.model.optimizer.iterations)
    assert run.metrics["validation"]["auc"] == pytest.approx(float(best["val_auc"]))
    assert not (run.path / "logs" / "refit").exists()


def test_class_weights_and_row_weights_move_the_base_rate(by_accuracy: Run, tmp_path: Path) -> None:
    """The mean prediction of a calibrated model is the weighted base rate."""
    plain = by_accuracy
    heavy = fit(
        config(class_weights={">50K": 20.0}, max_steps=40, epochs=9, evaluate_every=40),
        tmp_path / "classes",
        train=frame(),
    )
    by_row = frame().assign(w=np.where(frame()["income"] == ">50K", 20.0, 1.0))
    weighted = fit(config({"weight": "w"}, max_steps=40, epochs=9, evaluate_every=40), tmp_path / "rows", train=by_row)
    means = [run.metrics["validation"]["mean_prediction"] for run in (plain, heavy, weighted)]
    assert means[0] < 0.35 < 0.6 < min(means[1:])
    # A weight of rows counts in the evaluation, that of classes does not.
    assert heavy.metrics["validation"]["mean_label"] == plain.metrics["validation"]["mean_label"]
    assert weighted.metrics["validation"]["mean_label"] > 0.6


def test_streaming_learns_too(tmp_path: Path) -> None:
    run = fit(config(cache="none", epochs=4, evaluate_every=32), tmp_path / "run", train=frame())
    assert run.metrics["validation"]["auc"] > 0.8


def test_the_seed_decides_the_first_weights() -> None:
    run = trained()
    models = [build_model(run.config.replace(train__seed=seed), run.statistics, run.model.schema) for seed in (0, 0, 1)]
    one, same, other = ([weight.numpy() for weight in model.trainable_weights] for model in models)
    assert all(np.array_equal(mine, yours) for mine, yours in zip(one, same, strict=True))
    assert any(np.abs(mine - yours).max() > 0.01 for mine, yours in zip(one, other, strict=True))


@pytest.mark.parametrize("heads", [["wide"], ["deep"]])
def test_one_head_alone(heads: list[str], tmp_path: Path) -> None:
    options = values(epochs=3, evaluate_every=40, deep_optimizer={"name": "lazy_adam", "learning_rate": 0.02})
    options["model"]["heads"] = heads
    run = fit(Config.of(options), tmp_path / "run", train=frame())
    assert run.metrics["validation"]["auc"] > 0.75
    paths = {variable.path.split("/")[0] for variable in run.model.trainable_variables}
    assert paths == set(heads)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    chosen = config(epochs=5, deep_optimizer={"name": "sgd", "learning_rate": 1e30})
    with pytest.raises(RunError, match=r"The loss is .*train\.deep_optimizer\.learning_rate.*clipnorm"):
        fit(chosen, tmp_path / "run", train=frame())


def test_batches_larger_than_the_data(of_one_step: Run) -> None:
    assert int(of_one_step.model.optimizer.iterations) == 1


def test_tower_of_ones_own(of_one_step: Run) -> None:
    variables = of_one_step.model.trainable_variables
    assert any("mine" in variable.path and variable.shape[-1] == 7 for variable in variables)


@pytest.mark.parametrize(
    ("data", "train", "message"),
    [
        ({"validation_fraction": 0.0}, {}, "early_stopping needs validation rows"),
        ({"validation_fraction": 0.0}, {"early_stopping": None, "refit": True}, "refit needs validation rows"),
        ({"validation": "census:test"}, {"refit": True}, "refit needs validation rows"),
        ({}, {"class_weights": {">5OK": 2.0}}, "'>5OK', which is no class. Did you mean '>50K'"),
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
        (config().replace(model__activation="glu"), "'glu' does not make one value of each"),
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
    with pytest.raises(DataError, match=r"row 1, column 'income': the label 'lots' is none of the classes"):
        fit(config(data), tmp_path / "run", train=frame().head(300), **{part: bad})
    with pytest.raises(DataError, match=rf"no {part} rows"):
        fit(config(data), tmp_path / "run", train=frame().head(300), **{part: bad.head(0)})
    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_to_validate_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.validation_fraction is 0\.01 of too few rows"):
        fit(config({"validation_fraction": 0.01}), tmp_path / "run", train=frame().head(12))
    assert list(tmp_path.iterdir()) == []


def test_parts_partition_the_training_rows() -> None:
    parts = open_parts(config({"train": str(files()["train.csv"]), "test": str(files()["test.csv"])}))
    assert parts.validation is not None
    assert parts.test is not None
    assert parts.fit.count() + parts.validation.count() == parts.everything.count() == 2000
    assert 0.15 < parts.validation.count() / 2000 < 0.25
    assert parts.test.count() == 700
    assert parts.with_classes(("a", "b")).schema == dataclasses.replace(
        parts.schema, classes=("a", "b"), version=trained().model.schema.version
    )


@pytest.mark.filterwarnings("ignore:.*shuffle=True.*", "ignore:.*ran out of data.*")
def test_training_goes_on_after_loading_as_without_the_break(tmp_path: Path) -> None:
    """`model.keras` holds the optimizer's state: `fit` gives the same losses after `load_model`."""
    run = Run.open(copy_of_trained(tmp_path / "run"))
    parts = open_parts(run.config).with_classes(run.statistics.label.classes)
    model = keras.saving.load_model(run.path / "model.keras")
    ready = model.prepare(parts.fit.dataset(100)).cache()
    model.fit(ready, epochs=1, verbose=0)
    model.save(tmp_path / "between.keras")
    loaded = keras.saving.load_model(tmp_path / "between.keras")
    losses = [each.fit(ready, epochs=1, verbose=0).history["loss"] for each in (model, loaded)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
