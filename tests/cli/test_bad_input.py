"""Bad input: one clear message on standard error, exit code 2, and nothing half-made."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from census_cases import FEATURES, frame, small, values
from command_line import tfwd
from small_disk import small_disk
from small_run_cases import copy_of_trained, trained

from tfwd.run import Run

# What is traced soonest.
PLAIN_STEPS = {f"{head}_optimizer": {"name": "sgd", "learning_rate": 0.1} for head in ("wide", "deep")}
Change = Callable[[Path, dict[str, Any]], None]


pytestmark = pytest.mark.usefixtures("started")


def rows(path: Path, table: pd.DataFrame | None = None) -> None:
    (frame().head(400) if table is None else table).to_csv(path, index=False)


def nothing(path: Path, options: dict[str, Any]) -> None:
    """The file is missing."""


def empty(path: Path, options: dict[str, Any]) -> None:
    path.write_text("")


def only_a_header(path: Path, options: dict[str, Any]) -> None:
    rows(path, frame().head(0))


def truncated_parquet(path: Path, options: dict[str, Any]) -> None:
    whole = path.with_name("whole.parquet")
    frame().head(400).to_parquet(whole)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    options["data"]["train"] = str(whole)


def ragged(path: Path, options: dict[str, Any]) -> None:
    rows(path)
    lines = path.read_text().splitlines()
    lines[100] += ",surplus"
    path.write_text("\n".join(lines))


def renamed_column(path: Path, options: dict[str, Any]) -> None:
    rows(path, frame().head(400).rename(columns={"education": "Education level"}))


def misspelt_label(path: Path, options: dict[str, Any]) -> None:
    rows(path)
    options["data"]["label"]["column"] = "incom"


def text_in_a_number(path: Path, options: dict[str, Any]) -> None:
    table = frame().head(400).astype({"age": object})
    table.loc[122, "age"] = "about forty"
    rows(path, table)


def one_class(path: Path, options: dict[str, Any]) -> None:
    table = frame().head(400)
    rows(path, table[table["income"] == ">50K"])


def third_label(path: Path, options: dict[str, Any]) -> None:
    table = frame().head(400).copy()
    table.loc[7, "income"] = "unknown"
    rows(path, table)


def unknown_label_in_test(path: Path, options: dict[str, Any]) -> None:
    rows(path)
    table = frame("test", 700).head(50).copy()
    table.loc[7, "income"] = "unknown"
    rows(path.with_name("test.csv"), table)
    options["data"]["test"] = str(path.with_name("test.csv"))


def unknown_cross_key(path: Path, options: dict[str, Any]) -> None:
    rows(path)
    options["features"] = [*FEATURES, {"type": "cross", "keys": ["education", "ocupation"], "bins": 10}]


def empty_vocabulary(path: Path, options: dict[str, Any]) -> None:
    rows(path, frame().head(400).assign(workclass=None))
    options["features"] = [*FEATURES, {"type": "categorical", "column": "workclass"}]


def rare_vocabulary(path: Path, options: dict[str, Any]) -> None:
    rows(path)
    options["features"] = [*FEATURES, {"type": "categorical", "column": "id", "min_count": 2}]


def unknown_optimizer_option(path: Path, options: dict[str, Any]) -> None:
    rows(path)
    options["train"]["deep_optimizer"] = {"name": "lazy_adam", "beta1": 0.9}


def unknown_key(path: Path, options: dict[str, Any]) -> None:
    rows(path)
    options["train"]["epoch"] = 3


def negative_weight(path: Path, options: dict[str, Any]) -> None:
    rows(path, frame().head(400).assign(weight=-1.0))
    options["data"]["weight"] = "weight"


BAD: dict[str, tuple[Change, tuple[str, ...]]] = {
    "missing file": (nothing, ("There is no file", "train.csv")),
    "empty file": (empty, ("train.csv is empty",)),
    "no rows": (only_a_header, ("train.csv has no rows to train on",)),
    "truncated Parquet": (truncated_parquet, ("whole.parquet is not a complete Parquet file",)),
    "ragged row": (ragged, ("train.csv, line 101: expected 17 fields, found 18",)),
    "missing column": (renamed_column, ("no column 'education'", "Did you mean 'education_num'")),
    "misspelt label": (misspelt_label, ("no column 'incom'", "Did you mean 'income'")),
    "text in a number": (text_in_a_number, ("row 123, column 'age': expected a number, found 'about forty'",)),
    "one class": (one_class, ("'income'", "'>50K'")),
    "third label": (third_label, ("'unknown'", "data.label.positive|two values")),
    "unknown label in test": (unknown_label_in_test, ("test.csv, row 8, column 'income': the label 'unknown'",)),
    "unknown cross key": (unknown_cross_key, ("unknown key 'ocupation'", "Did you mean 'occupation'")),
    "empty vocabulary": (empty_vocabulary, ("workclass",)),
    "rare vocabulary": (rare_vocabulary, ("id", "min_count")),
    "optimizer option": (unknown_optimizer_option, ("no option 'beta1'", "Did you mean 'beta_1'")),
    "unknown key": (unknown_key, ("train.epoch: unknown key", "Did you mean 'epochs'")),
    "negative weight": (negative_weight, ("column 'weight': a weight is a finite number of at least 0",)),
}


@pytest.mark.parametrize("case", BAD)
def test_one_message_and_nothing_made(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, expected = BAD[case]
    path = tmp_path / "train.csv"
    options = values({"train": str(path)})
    change(path, options)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(options))
    before = sorted(tmp_path.iterdir())
    assert tfwd("train", "--config", tmp_path / "config.yaml", "--output", tmp_path / "run") == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    for words in expected:
        assert any(word in shown.err for word in words.split("|")), shown.err
    assert sorted(tmp_path.iterdir()) == before


def test_the_output_exists(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy_of_trained(tmp_path / "run")
    before = (path / "run.json").read_bytes()
    assert tfwd("train", "--output", path) == 2
    assert (
        "exists already. Resume it with --resume, replace it with --overwrite (overwrite=True), or choose"
        in capfd.readouterr().err
    )
    assert (path / "run.json").read_bytes() == before


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_a_run_of_an_incompatible_version(command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy_of_trained(tmp_path / "run")
    head = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**head, "format": 99, "version": "3.1.0"}))
    data = ("--data", "census:test")
    arguments = {
        "train": ("--output", path, "--resume"),
        "evaluate": (path, *data),
        "predict": (path, *data, "--output", tmp_path / "answers.csv"),
    }[command]
    assert tfwd(command, *arguments) == 2
    assert "was written by tfwd 3.1.0 in run format 99" in capfd.readouterr().err
    assert not (tmp_path / "answers.csv").exists()


@pytest.mark.parametrize("case", ["missing file", "empty file", "truncated Parquet", "ragged row", "text in a number"])
def test_evaluate_and_predict_refuse_it_too(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, expected = BAD[case]
    options = values({"train": str(tmp_path / "train.csv")})
    change(tmp_path / "train.csv", options)
    data = ("--data", options["data"]["train"])
    commands: list[tuple[object, ...]] = [("predict", trained().path, "--output", tmp_path / "answers.csv")]
    # Said when the file is opened, and when its rows are read.
    if case in ("missing file", "ragged row"):
        commands.append(("evaluate", trained().path))
    for command in commands:
        assert tfwd(*command, *data) == 2
        shown = capfd.readouterr()
        assert shown.out == ""
        assert expected[0] in shown.err
        assert shown.err.count("\n") == 1
    assert not (tmp_path / "answers.csv").exists()
    assert list(tmp_path.glob(".*")) == []


def test_missing_values_and_unseen_categories_are_no_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = frame().head(400).astype({"age": object}).copy()
    table.loc[::3, "age"] = None
    table.loc[::4, "education"] = None
    rows(tmp_path / "train.csv", table)
    strange = frame("test", 700).head(40).assign(education="Kindergarten", age=None, occupation="")
    rows(tmp_path / "strange.csv", strange)
    options = small(
        {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "strange.csv")}, epochs=1, **PLAIN_STEPS
    )
    # The age in buckets, too.
    options["features"].append(FEATURES[2])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(options))
    assert tfwd("train", "--config", tmp_path / "config.yaml", "--output", tmp_path / "run") == 0
    data = ("--data", tmp_path / "strange.csv")
    assert tfwd("evaluate", tmp_path / "run", *data) == 0
    assert tfwd("predict", tmp_path / "run", *data, "--output", tmp_path / "answers.csv") == 0
    assert pd.read_csv(tmp_path / "answers.csv")["probability"].between(0, 1).all()
    assert "NaN" not in capfd.readouterr().out


def test_an_output_that_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ("evaluate", trained().path, "--data", "census:test", "--output", tmp_path / "absent" / "metrics.json")
    frame("test", 700).to_csv(tmp_path / "rows.csv", index=False)
    assert tfwd(*arguments[:3], tmp_path / "rows.csv", *arguments[4:]) == 2
    shown = capfd.readouterr()
    assert "No such file or directory" in shown.err
    assert "absent" in shown.err


def fill(path: Path) -> None:
    """Writes until there is no room, at first in large steps."""
    with path.open("wb", buffering=0) as file:
        for size in (2**18, 2**12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_a_full_disk_at_the_beginning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows(tmp_path / "train.csv")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values({"train": str(tmp_path / "train.csv")})))
    with small_disk(tmp_path / "disk", "64k") as disk:
        fill(disk / "filler")
        assert tfwd("train", "--config", tmp_path / "config.yaml", "--output", disk / "run") == 2
        shown = capfd.readouterr().err
        assert shown == f"Error: The run cannot be made in {disk / 'run'}: the disk is full.\n"
        assert [path.name for path in disk.iterdir()] == ["filler"]


def test_a_disk_that_is_full_in_the_middle(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows(tmp_path / "train.csv")
    options = small({"train": str(tmp_path / "train.csv")}, epochs=4, early_stopping=None, tensorboard=True)
    options |= {"features": [FEATURES[3]], "model": {"heads": ["wide"]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(options))
    with small_disk(tmp_path / "disk", "8m") as disk:

        def fill_up() -> None:
            while not any((disk / "run" / "checkpoints").glob("fit-*/state.json")):
                time.sleep(0.005)
            fill(disk / "filler")

        threading.Thread(target=fill_up, daemon=True).start()
        assert tfwd("train", "--config", tmp_path / "config.yaml", "--output", disk / "run") == 2
        shown = capfd.readouterr().err
        assert "the disk is full" in shown
        assert f"Resume with: python -m tfwd.train --output {disk / 'run'} --resume" in shown
        assert "Traceback" not in shown
        kept = Run.open(disk / "run").model
        assert int(kept.optimizer.iterations) % 4 == 0
        (disk / "filler").unlink()
        assert tfwd("train", "--output", disk / "run", "--resume") == 0
        assert len((disk / "run" / "history.csv").read_text().splitlines()) == 5
