"""A run keeps the rows prepared for it, trains on them and goes on with them; nothing is left of a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pandas as pd
import pytest
import yaml
from command_line import tfwd
from preparation_cases import HISTORY, log

from export.onnx import writer as onnx
from export.parity import compare as parity
from export.pipeline import measured
from tfwd.config.config import Config
from tfwd.errors import ConfigError, DataError
from tfwd.run import Run
from tfwd.training.fit import fit, resume
from tfwd.training.splits import open_splits

FEATURES: list[dict[str, Any]] = [
    {"type": "categorical", "column": "item", "embedding": 4},
    {"type": "categorical", "column": "liked", "max_length": 5, "embedding": "item"},
    {"type": "categorical", "column": "title", "one_hot": True},
    {"type": "numeric", "column": "hour"},
]
# Of an epoch of 15 three calls are made. This optimizer is traced soonest.
STEPS = {"steps_per_execution": 5, "deep_optimizer": {"name": "sgd", "learning_rate": 0.1}}
COLUMNS = {"hour": "at % 24", "good": "stars > 3"}


def values(folder: Path, **data: Any) -> dict[str, Any]:
    """A configuration of a log in a CSV file and of a table beside it."""
    log(1500, users=40).to_csv(folder / "log.csv", index=False)
    items = pd.DataFrame({"item": range(30), "title": [f"No. {n}" for n in range(30)]})
    items.to_parquet(folder / "items.parquet")
    return {
        "data": {
            "train": str(folder / "log.csv"),
            "join": {"data": str(folder / "items.parquet"), "on": "item"},
            "columns": {"at": "cast(at as bigint)", "stars": "cast(stars as bigint)", **COLUMNS},
            "filter": "stars <> 3 and at is not null",
            "history": HISTORY,
            "split": {"by": "time", "time": "at"},
            "label": "good",
            **data,
        },
        "features": FEATURES,
        "model": {"heads": ["deep"], "hidden_units": [8], "dropout": 0.1},
        "train": {"epochs": 1, "batch_size": 64, "tensorboard": False, "checkpoint_every": 5, **STEPS},
        "export": {"formats": []},
        "ranking": {"user": "user", "item": "item", "title": "title", "item_columns": ["title"]},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


def of_any_name(folder: Path) -> dict[str, Any]:
    """That configuration, of CSV files whose names do not say that they are."""
    join = {"data": str(folder / "items.data"), "on": "item"}
    chosen = values(folder, train=str(folder / "log.data"), join=join, format="csv")
    (folder / "log.csv").rename(folder / "log.data")
    pd.read_parquet(folder / "items.parquet").to_csv(folder / "items.data", index=False)
    (folder / "items.parquet").unlink()
    return chosen


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return fit(Config.of(of_any_name(folder)), folder / "run")


def test_a_run_has_its_rows(run: Run, folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["items.data", "log.data", "run"]
    data = run.path / "data"
    files = ["items.parquet", "test.parquet", "train.parquet", "users.parquet", "validation.parquet"]
    assert sorted(path.name for path in data.iterdir()) == files
    frames = {part: pd.read_parquet(data / f"{part}.parquet") for part in ("train", "validation", "test")}
    frame = log(1500, users=40)
    assert sum(map(len, frames.values())) == ((frame["stars"] != 3) & frame["at"].notna()).sum()
    assert run.metrics["test"]["rows"] == len(frames["test"])
    assert run.metrics["test"]["mean_label"] == pytest.approx(frames["test"]["good"].mean())
    assert run.metrics["validation"]["mean_label"] == pytest.approx(frames["validation"]["good"].mean())
    # What was learned, was learned of the training rows: their last moment is the largest.
    assert frames["train"]["at"].max() < frames["validation"]["at"].min()
    assert run.rows("test") == str(data / "test.parquet")
    found = run.sample(5)
    assert found is not None
    assert found["item"].shape == (5,)
    # The catalogue and the users answer at once.
    assert len(run.recommend(pd.read_parquet(data / "users.parquet").head(2), k=3)) == 6


def test_an_export_is_measured_on_its_rows(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "HOSTILE_ROWS", 200)
    file = onnx.save(run.model, tmp_path / "model.onnx", rows=run.sample(50))
    assert run.data is not None
    rows, auc = len(pd.read_parquet(run.data / "test.parquet")), run.metrics["test"]["auc"]
    assert measured(run, file).startswith(f"On {rows} labelled rows: auc {auc:.6f} -> {auc:.6f}, log_loss")


def test_the_command_prepares_the_same(
    run: Run, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Columns are computed, and stand in the files, in the order of the configuration.
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(of_any_name(folder), sort_keys=False))
    assert tfwd("prepare", "--config", tmp_path / "shop.yaml", "--output", tmp_path / "made") == 0
    shown = capfd.readouterr().out
    made = tmp_path / "made"
    for path in (run.path / "data").iterdir():
        assert (made / path.name).read_bytes() == path.read_bytes(), path.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "shop.yaml"]
    assert f"rows in {made / 'train'}.parquet" in shown
    assert f"python -m tfwd.train --config {tmp_path / 'shop.yaml'}" in shown
    assert tfwd("prepare", "--config", tmp_path / "shop.yaml", "--output", made) == 2
    assert f"{made} exists already" in capfd.readouterr().err


def test_a_broken_off_training_goes_on_with_its_own_rows(run: Run, tmp_path: Path) -> None:
    """A frame is not needed again: a run that ranks keeps the rows that were made of it."""

    class Breaks(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.steps += 1
            if self.steps == 2:
                raise KeyboardInterrupt

    chosen = values(tmp_path)
    del chosen["data"]["train"]
    # As text, which a CSV file is.
    frame = pd.read_csv(tmp_path / "log.csv", dtype=str)
    with pytest.raises(KeyboardInterrupt):
        fit(Config.of(chosen), tmp_path / "run", train=frame, callbacks=[Breaks()])
    begun = Run.open(tmp_path / "run")
    assert begun.status == "training"
    assert begun.rows("train") == str(tmp_path / "run" / "data" / "train.parquet")
    (tmp_path / "items.parquet").unlink()
    resumed = resume(tmp_path / "run", callbacks=[])
    assert resumed.rows("train") == begun.rows("train")
    assert resumed.metrics == run.metrics


def test_a_refit_is_of_train_and_validation_rows(run: Run) -> None:
    parts = open_splits(run.config, prepared=run.data)
    numbers = {}
    for name in ("fit", "validation", "everything"):
        rows = getattr(parts, name)
        source = rows.source
        numbers[name] = source.connect().sql(source.select("number")).fetchall()
    assert numbers["everything"] == numbers["fit"] + numbers["validation"]
    assert numbers["fit"]
    assert numbers["validation"]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"columns": {"good": "stras > 3"}}, ConfigError, "data.columns.good: there is no column 'stras'"),
        ({"filter": "stars > 9"}, DataError, "No train rows"),
        ({"label": "goood"}, DataError, "has no column 'goood'"),
        ({"label": {"column": "at"}}, DataError, "at"),
        ({"train": "nowhere.csv"}, DataError, "There is no file nowhere.csv"),
    ],
)
def test_nothing_is_left_of_a_failure(
    data: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    chosen = values(tmp_path, **data)
    with pytest.raises(error) as caught:
        fit(Config.of(chosen), tmp_path / "runs" / "first")
    assert message in str(caught.value)
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(chosen))
    if "label" not in data:
        assert tfwd("prepare", "--config", tmp_path / "shop.yaml", "--output", tmp_path / "made") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.parquet", "log.csv", "shop.yaml"]


def test_paths_of_a_configuration_are_relative_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = values(tmp_path, path="copies/ml-1m", train="tfds:movielens/1m-ratings")
    joined = ("items.parquet", "tfds:movielens/1m-movies")
    chosen["data"]["join"] = [{"data": name, "on": "item"} for name in joined]
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(chosen))
    monkeypatch.chdir("/")
    data = Config.load(tmp_path / "shop.yaml").data
    assert data.path == str(tmp_path / "copies/ml-1m")
    assert data.train == "tfds:movielens/1m-ratings"
    assert [join.data for join in data.join] == [str(tmp_path / "items.parquet"), "tfds:movielens/1m-movies"]
    assert Config.of(Config.load(tmp_path / "shop.yaml").model_dump(mode="json")).data == data
