"""The command line: what it prints, what it ends with, and what it says to do next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from census_cases import copy_of_trained, files, frame, trained, values
from command_line import tfwd

from tfwd.run import Run
from tfwd.version import __version__ as tfwd_version

pytestmark = pytest.mark.usefixtures("started")


def written(path: Path, **train: Any) -> Path:
    """A YAML file that trains on the small census."""
    options = values({"train": str(files()["train.csv"]), "test": str(files()["test.csv"]), "key": ["id"]}, **train)
    path.write_text(yaml.safe_dump(options))
    return path


def test_a_failed_export_says_that_the_training_is_whole(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = copy_of_trained(tmp_path / "run")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("formats: []", "formats: [onnx]"))
    (run / "export").write_text("in the way")
    assert tfwd("train", "--output", run, "--resume") == 2
    shown = capfd.readouterr().err
    assert "The training is whole, its export is not" in shown
    assert f"Go on with: python -m tfwd.train --output {run} --resume" in shown
    assert f"Error: {run / 'export'}: File exists." in shown
    (run / "export").unlink()
    assert tfwd("train", "--output", run, "--resume") == 0
    assert (run / "export" / "wide_deep.onnx").is_file()


def test_train_says_what_came_of_it_and_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = written(tmp_path / "my census.yaml", epochs=1, tensorboard=True)
    assert tfwd("train", "--config", config, "--set", "train.epochs=2") == 0
    shown = capfd.readouterr()
    run = Run.open(tmp_path / "runs" / "my census")
    assert run.config.train.epochs == 2
    assert "validation  auc 0." in shown.out
    assert "test        rows 700  auc 0." in shown.out
    assert "The run is in runs/my census\n" in shown.out
    assert f"python -m tfwd.evaluate 'runs/my census' --data {files()['test.csv']}" in shown.out
    assert "tensorboard --logdir 'runs/my census'/logs" in shown.out
    assert "epoch 2, step 3" in shown.err
    assert "(best)" in shown.err
    assert "Warning" not in shown.err
    # The next one has a name of its own.
    assert tfwd("train", "--config", config, "--set", "train.max_steps=1") == 0
    assert (tmp_path / "runs" / "my census-2" / "metrics.json").is_file()


def test_evaluate_prints_json_and_writes_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, output = trained().path, tmp_path / "metrics.json"
    assert tfwd("evaluate", path, "--data", files()["test.csv"], "--output", output) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown == json.loads(output.read_text())
    assert shown == pytest.approx(trained().metrics["test"], abs=1e-6)
    assert tfwd("evaluate", path / "model.keras", "--data", files()["test.parquet"]) == 0
    assert json.loads(capfd.readouterr().out) == pytest.approx(shown, abs=1e-6)


def test_evaluate_on_one_class_is_json_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = frame("test", 700)
    one[one["income"] == ">50K"].to_csv(tmp_path / "one.csv", index=False)
    assert tfwd("evaluate", trained().path, "--data", tmp_path / "one.csv") == 0
    assert json.loads(capfd.readouterr().out)["auc"] is None


def test_predict_passes_the_key_of_the_run_through(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "answers.csv"
    assert tfwd("predict", trained().path, "--data", files()["test.csv"], "--output", output) == 0
    assert capfd.readouterr().out == f"700 rows in {output}\n"
    assert list(pd.read_csv(output).columns) == ["id", "probability", "logit", "predicted"]
    chosen = ("--key", "sex", "--key", "age")
    assert tfwd("predict", trained().path, "--data", files()["test.csv"], "--output", output, *chosen) == 0
    assert list(pd.read_csv(output).columns) == ["sex", "age", "probability", "logit", "predicted"]
    # A key that the file lacks is a convenience that is not there, one that was asked for is an error.
    frame("test", 700).drop(columns="id").to_csv(tmp_path / "bare.csv", index=False)
    assert tfwd("predict", trained().path, "--data", tmp_path / "bare.csv", "--output", output) == 0
    assert list(pd.read_csv(output).columns) == ["probability", "logit", "predicted"]
    capfd.readouterr()
    assert tfwd("predict", trained().path, "--data", tmp_path / "bare.csv", "--output", output, "--key", "id") == 2
    assert "no column 'id'" in capfd.readouterr().err


def test_the_dialect_is_that_of_the_training_unless_said(tmp_path: Path) -> None:
    frame("test", 700).to_csv(tmp_path / "semicolons.csv", index=False, sep=";")
    output = tmp_path / "answers.parquet"
    command = ("predict", trained().path, "--data", tmp_path / "semicolons.csv", "--output", output)
    assert tfwd(*command) == 2
    assert tfwd(*command, "--delimiter", ";") == 0
    assert len(pd.read_parquet(output)) == 700


def test_a_file_of_any_name_is_read_as_the_training_file_was(tmp_path: Path) -> None:
    path = copy_of_trained(tmp_path / "run")
    described = yaml.safe_load((path / "config.yaml").read_text())
    described["data"]["format"] = "csv"
    (path / "config.yaml").write_text(yaml.safe_dump(described))
    (tmp_path / "adult.test").write_bytes(files()["test.csv"].read_bytes())
    for data in ("adult.test", files()["test.parquet"]):
        assert tfwd("predict", path, "--data", tmp_path / data, "--output", tmp_path / "answers.csv") == 0


def test_resume_is_of_the_run_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for wrong in (("--config", "census"), ("--set", "train.epochs=3")):
        assert tfwd("train", "--output", trained().path, "--resume", *wrong) == 2
        assert "--resume goes on with the run's own configuration" in capfd.readouterr().err
    assert tfwd("train", "--resume") == 2
    assert "--resume needs the run to go on with: --output RUN" in capfd.readouterr().err


def test_an_interrupt_ends_with_130_and_a_run_that_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "my run"
    config = written(tmp_path / "small.yaml", epochs=4, early_stopping=None)

    def interrupt() -> None:
        # A checkpoint has its name when it is whole. Looking into one would fail where the next has just replaced it.
        while not output.is_dir() or not any(name.startswith("fit-") for name in os.listdir(output / "checkpoints")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # What a shell runs in the background ignores the keys that a person in front of it presses.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        assert tfwd("train", "--config", config, "--output", output) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    shown = capfd.readouterr()
    assert f"Go on with: python -m tfwd.train --output '{output}' --resume" in shown.err
    assert "Traceback" not in shown.err
    assert not (output / "metrics.json").exists()
    assert tfwd("train", "--output", output, "--resume") == 0
    lines = (output / "history.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["1", "2", "3", "4"]


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)


def test_help_is_short_and_names_everything() -> None:
    shown = program("tfwd.cli", "--help")
    assert shown.returncode == 0
    for command in ("train", "evaluate", "predict", "export"):
        assert f"\n  {command} " in shown.stdout
    train = program("tfwd.train", "--help")
    assert train.stdout.startswith("Usage: python -m tfwd.train [OPTIONS]")
    for option in ("--config", "--output", "--set", "--resume", "census"):
        assert option in train.stdout
    assert max(map(len, train.stdout.splitlines())) <= 100
    export = program("tfwd.cli", "export", "--help")
    assert "savedmodel" in export.stdout
    assert "onnx" in export.stdout


def test_a_program_ends_with_2_and_one_message() -> None:
    shown = program("tfwd.train", "--config", "cencus")
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr == "Error: cencus is neither a preset nor a file. Did you mean 'census'?\n"
    shown = program("tfwd.evaluate", "absent", "--data", "census:test")
    assert shown.returncode == 2
    assert shown.stderr.startswith("Error: absent is not there.")


def test_what_comes_next_is_no_evaluation_on_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = values({"train": str(files()["train.csv"])}, epochs=1)
    (tmp_path / "people.yaml").write_text(yaml.safe_dump(options))
    assert tfwd("train", "--config", "people.yaml") == 0
    shown = capfd.readouterr().out
    assert "python -m tfwd.evaluate runs/people --data FILE\n" in shown
    assert "train.csv" not in shown
    # The same name again: a number, or in its place when that is asked for.
    assert tfwd("train", "--config", "people.yaml", "--overwrite", "--set", "data.test=nowhere.csv") == 2
    assert "metrics.json" in {path.name for path in (tmp_path / "runs" / "people").iterdir()}
    assert tfwd("train", "--config", "people.yaml", "--overwrite", "--set", "train.max_steps=3") == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["people"]
    assert Run.open(tmp_path / "runs" / "people").config.train.max_steps == 3
    (tmp_path / "runs" / "people" / "notes.txt").write_text("mine")
    capfd.readouterr()
    assert tfwd("train", "--config", "people.yaml", "--overwrite") == 2
    assert "also holds notes.txt, which is no part of a run" in " ".join(capfd.readouterr().err.split())
    assert tfwd("train", "--output", "runs/people", "--resume", "--overwrite") == 2


def loads_tensorflow(*arguments: str) -> tuple[subprocess.CompletedProcess[str], bool]:
    """A program, and whether it imported TensorFlow."""
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *arguments], capture_output=True, text=True, check=False
    )
    lines = shown.stderr.splitlines()
    loaded = any(line.rstrip().endswith("| tensorflow") for line in lines)
    shown.stderr = "".join(f"{line}\n" for line in lines if not line.startswith("import time:"))
    return shown, loaded


@pytest.mark.parametrize("module", ["export.onnx", "export.savedmodel", "export.baseline", "export.serving"])
def test_help_of_an_export_needs_no_tensorflow(module: str) -> None:
    shown, loaded = loads_tensorflow(module, "-h")
    assert shown.returncode == 0
    assert shown.stderr == ""
    assert shown.stdout.startswith(f"Usage: python -m {module} [OPTIONS]")
    assert not loaded


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export.onnx", "absent"), "absent is not"),
        (("export.savedmodel", "RUN", "--baseline", "absent"), "absent is not there."),
        (("export.onnx", "RUN", "--tolerance", "1"), "--data, --tolerance"),
        (("export.baseline", "RUN", "absent"), "absent is not there."),
        (("tfwd.predict", "RUN", "--data", "absent.csv", "--output", "x.csv"), "There is no file absent.csv."),
        (("tfwd.evaluate", "absent", "--data", "census:test"), "absent is not there."),
    ],
)
def test_what_is_not_there_is_said_before_tensorflow_is_loaded(arguments: tuple[str, ...], message: str) -> None:
    given = [str(trained().path) if argument == "RUN" else argument for argument in arguments]
    shown, loaded = loads_tensorflow(*given)
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr.startswith(f"Error: {message}")
    assert not loaded


def test_version_and_short_help(capfd: pytest.CaptureFixture[str]) -> None:
    shown = program("tfwd.cli", "--version")
    assert (shown.returncode, shown.stdout) == (0, f"tfwd {tfwd_version}\n")
    assert program("tfwd.predict", "-h").stdout == program("tfwd.predict", "--help").stdout != ""
    for command in ((), ("export",), ("train",)):
        said = []
        for option in ("-h", "--help"):
            assert tfwd(*command, option) == 0
            said.append(capfd.readouterr().out)
        assert said[0] == said[1] != ""


def test_an_export_says_its_own_words_alone(tmp_path: Path) -> None:
    """In a fresh process, where TensorFlow has not yet said what it says at its start."""
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command = ("export.onnx", str(trained().path), "--output", str(tmp_path / "small.onnx"))
    shown = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, env=environment
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    assert shown.stdout.startswith(f"ONNX in {tmp_path / 'small.onnx'}, equal to the model on ")
