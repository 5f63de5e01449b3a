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
from typing import Any, NamedTuple

import pandas as pd
import pytest
import yaml
from census_cases import FEATURES, files, frame, small
from command_line import tfwd
from small_run_cases import copy_of_trained, trained

from export.parity import compare as parity
from tfwd.run import Run
from tfwd.version import __version__ as tfwd_version

pytestmark = pytest.mark.usefixtures("started")


def written(path: Path, **train: Any) -> Path:
    """A YAML file that trains a number and a category on the small census."""
    options = small({"train": str(files()["train.csv"]), "key": ["id"]}, **train)
    options |= {"features": [FEATURES[0], FEATURES[3]], "model": {"heads": ["wide"]}}
    path.write_text(yaml.safe_dump(options))
    return path


def test_a_failed_export_says_that_the_training_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parity, "HOSTILE_ROWS", 200)
    run = copy_of_trained(tmp_path / "run")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("formats: []", "formats: [onnx]"))
    (run / "export").write_text("in the way")
    assert tfwd("train", "--output", run, "--resume") == 2
    shown = capfd.readouterr().err
    assert "Training finished but the export failed" in shown
    assert f"Retry the export with: python -m tfwd.train --output {run} --resume" in shown
    assert f"Error: {run / 'export'}: File exists." in shown
    (run / "export").unlink()
    assert tfwd("train", "--output", run, "--resume") == 0
    assert (run / "export" / "wide_deep.onnx").is_file()


def test_train_says_what_came_of_it_and_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    copy_of_trained(runs / "my census")
    command = ("train", "--config", written(tmp_path / "my census.yaml"))

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    # The same name again: a number, or in its place when that is asked for.
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_statistics", broken)
        assert tfwd(*command) == 130
    assert "Resume with: python -m tfwd.train --output 'runs/my census-2' --resume" in capfd.readouterr().err
    assert Run.open(runs / "my census-2").status == "created"
    assert tfwd(*command, "--overwrite", "--set", "data.test=nowhere.csv") == 2
    assert "metrics.json" in {path.name for path in (runs / "my census").iterdir()}
    capfd.readouterr()
    options = (f"data.test={files()['test.csv']}", "train.epochs=2", "train.tensorboard=true")
    assert tfwd(*command, "--overwrite", *(part for option in options for part in ("--set", option))) == 0
    shown = capfd.readouterr()
    run = Run.open(runs / "my census")
    assert run.config.train.epochs == 2
    assert sorted(path.name for path in runs.iterdir()) == ["my census", "my census-2"]
    assert "validation  auc 0." in shown.out
    assert "test        rows 700  auc 0." in shown.out
    assert "The run is in runs/my census\n" in shown.out
    assert f"python -m tfwd.evaluate 'runs/my census' --data {files()['test.csv']}" in shown.out
    assert "tensorboard --logdir 'runs/my census'/logs" in shown.out
    assert "epoch 2, step 3" in shown.err
    assert "(best)" in shown.err
    assert "Warning" not in shown.err
    (run.path / "notes.txt").write_text("mine")
    assert tfwd(*command, "--overwrite") == 2
    assert "also holds notes.txt, which is not part of a run" in " ".join(capfd.readouterr().err.split())
    assert tfwd("train", "--output", run.path, "--resume", "--overwrite") == 2


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


def test_predict_passes_the_key_through_and_reads_the_dialect_of_the_training_unless_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "answers.csv"
    assert tfwd("predict", trained().path, "--data", files()["test.csv"], "--output", output) == 0
    assert capfd.readouterr().out == f"700 rows in {output}\n"
    assert list(pd.read_csv(output).columns) == ["id", "probability", "logit", "predicted"]
    frame("test", 700).to_csv(tmp_path / "semicolons.csv", index=False, sep=";")
    output = tmp_path / "answers.parquet"
    command = ("predict", trained().path, "--data", tmp_path / "semicolons.csv", "--output", output)
    assert tfwd(*command) == 2
    assert tfwd(*command, "--delimiter", ";", "--key", "sex", "--key", "age") == 0
    assert list(pd.read_parquet(output).columns) == ["sex", "age", "probability", "logit", "predicted"]
    assert len(pd.read_parquet(output)) == 700


def test_a_file_of_any_name_is_read_as_the_training_file_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy_of_trained(tmp_path / "run")
    described = yaml.safe_load((path / "config.yaml").read_text())
    described["data"]["format"] = "csv"
    (path / "config.yaml").write_text(yaml.safe_dump(described))
    frame("test", 700).drop(columns="id").to_csv(tmp_path / "adult.test", index=False)
    # A key that the file lacks is a convenience that is not there, one that was asked for is an error.
    for data, key in ((tmp_path / "adult.test", []), (files()["test.parquet"], ["id"])):
        assert tfwd("predict", path, "--data", data, "--output", tmp_path / "answers.csv") == 0
        assert list(pd.read_csv(tmp_path / "answers.csv").columns) == [*key, "probability", "logit", "predicted"]
    capfd.readouterr()
    command = ("predict", path, "--data", tmp_path / "adult.test", "--output", tmp_path / "answers.csv")
    assert tfwd(*command, "--key", "id") == 2
    assert "no column 'id'" in capfd.readouterr().err


def test_resume_is_of_the_run_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for wrong in (("--config", "census"), ("--set", "train.epochs=3")):
        assert tfwd("train", "--output", trained().path, "--resume", *wrong) == 2
        assert "--resume uses the run's own configuration" in capfd.readouterr().err
    assert tfwd("train", "--resume") == 2
    assert "--resume needs the run to resume: --output RUN" in capfd.readouterr().err


def test_an_interrupt_ends_with_130_and_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And at its end what comes next is not an evaluation on the rows that it has learned from."""
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "runs" / "my census"
    config = written(tmp_path / "my census.yaml", epochs=4, early_stopping=None)

    def interrupt() -> None:
        # A checkpoint has its name when it is whole. Looking into one would fail where the next has just replaced it.
        while not output.is_dir() or not any(name.startswith("fit-") for name in os.listdir(output / "checkpoints")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # What a shell runs in the background ignores the keys that a person in front of it presses.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        assert tfwd("train", "--config", config) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    shown = capfd.readouterr()
    assert "Resume with: python -m tfwd.train --output 'runs/my census' --resume" in shown.err
    assert "Traceback" not in shown.err
    assert not (output / "metrics.json").exists()
    assert tfwd("train", "--output", output, "--resume") == 0
    lines = (output / "history.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["1", "2", "3", "4"]
    said = capfd.readouterr().out
    assert f"python -m tfwd.evaluate '{output}' --data FILE\n" in said
    assert "train.csv" not in said


class Said(NamedTuple):
    """What a program ended with and said, and whether TensorFlow was imported by then."""

    code: int
    out: str
    err: str
    loaded: bool


# Runs programs, each a module with its arguments, as `python -m` does.
PROGRAMS = """
import contextlib, io, json, runpy, sys

said = []
for module, *arguments in json.loads(sys.argv[1]):
    code, out, err = 0, io.StringIO(), io.StringIO()
    # One may have imported another, which is run as a program all the same.
    sys.modules.pop("tfwd.__main__" if module == "tfwd" else module, None)
    sys.argv = [module, *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code or 0
    said.append([code, out.getvalue(), err.getvalue(), "tensorflow" in sys.modules])
print(json.dumps(said))
"""
EXPORTS = ("export.onnx", "export.savedmodel", "export.baseline", "export.serving")
HELP = (
    ("tfwd", "--help"),
    ("tfwd.train", "--help"),
    ("tfwd", "export", "--help"),
    ("tfwd", "--version"),
    ("tfwd.predict", "-h"),
    ("tfwd.predict", "--help"),
    *((module, "-h") for module in EXPORTS),
)
ABSENT = {
    ("export.onnx", "absent"): "absent is not",
    ("export.savedmodel", "RUN", "--baseline", "absent"): "absent does not exist.",
    ("export.onnx", "RUN", "--tolerance", "1"): "--data, --tolerance",
    ("export.baseline", "RUN", "absent"): "absent does not exist.",
    ("tfwd.predict", "RUN", "--data", "absent.csv", "--output", "x.csv"): "There is no file absent.csv.",
    ("tfwd.evaluate", "absent", "--data", "census:test"): "absent does not exist.",
}


@pytest.fixture(scope="module")
def said() -> dict[tuple[str, ...], Said]:
    """What programs say that need no TensorFlow, all of one process."""
    given = (*HELP, *ABSENT)
    run = str(trained().path)
    programs = [[run if argument == "RUN" else argument for argument in program] for program in given]
    command = [sys.executable, "-c", PROGRAMS, json.dumps(programs)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    return {program: Said(*answer) for program, answer in zip(given, json.loads(shown.stdout), strict=True)}


def test_help_is_short_and_names_everything(said: dict[tuple[str, ...], Said]) -> None:
    whole = said["tfwd", "--help"]
    assert whole.code == 0
    for command in ("train", "evaluate", "predict", "export"):
        assert f"\n  {command} " in whole.out
    train = said["tfwd.train", "--help"].out
    assert train.startswith("Usage: python -m tfwd.train [OPTIONS]")
    for option in ("--config", "--output", "--set", "--resume", "census"):
        assert option in train
    assert max(map(len, train.splitlines())) <= 100
    export = said["tfwd", "export", "--help"].out
    assert "savedmodel" in export
    assert "onnx" in export


def test_a_program_ends_with_2_and_one_message() -> None:
    command = [sys.executable, "-m", "tfwd.train", "--config", "cencus"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr == "Error: cencus is neither a preset nor a file. Did you mean 'census'?\n"


@pytest.mark.parametrize("module", EXPORTS)
def test_help_of_an_export_needs_no_tensorflow(module: str, said: dict[tuple[str, ...], Said]) -> None:
    code, out, err, loaded = said[module, "-h"]
    assert code == 0
    assert err == ""
    assert out.startswith(f"Usage: python -m {module} [OPTIONS]")
    assert not loaded


@pytest.mark.parametrize(("program", "message"), ABSENT.items())
def test_what_is_not_there_is_said_before_tensorflow_is_loaded(
    program: tuple[str, ...], message: str, said: dict[tuple[str, ...], Said]
) -> None:
    code, out, err, loaded = said[program]
    assert code == 2
    assert out == ""
    assert err.startswith(f"Error: {message}")
    assert not loaded


def test_version_and_short_help(said: dict[tuple[str, ...], Said], capfd: pytest.CaptureFixture[str]) -> None:
    version = said["tfwd", "--version"]
    assert (version.code, version.out) == (0, f"tfwd {tfwd_version}\n")
    assert said["tfwd.predict", "-h"].out == said["tfwd.predict", "--help"].out != ""
    for command in ((), ("export",), ("train",)):
        shown = []
        for option in ("-h", "--help"):
            assert tfwd(*command, option) == 0
            shown.append(capfd.readouterr().out)
        assert shown[0] == shown[1] != ""
