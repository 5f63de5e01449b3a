"""The run directory: made whole or not at all, readable at any moment, refused when it is not what it should be."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import small_run_cases
from census_cases import config, copy_of_trained

from tfwd.config.config import Config
from tfwd.errors import ConfigError, RunError
from tfwd.model.saving import load_model
from tfwd.run import Run
from tfwd.run_folder.leftovers import LOCK, remove_beside
from tfwd.training.fit import fit, resume
from tfwd.utils.files import as_json, file_beside, folder_beside, reason, write_text


def test_created_and_opened_again(tmp_path: Path) -> None:
    made = Run.create(tmp_path / "deep" / "run", config())
    again = Run.open(tmp_path / "deep" / "run")
    assert again.config == made.config
    assert again.status == "created"
    assert again.metrics == {}
    assert {path.name for path in again.path.iterdir()} == {
        "config.yaml", "run.json", "statistics", "checkpoints", "logs",
    }  # fmt: skip


def test_paths_do_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Run.create("run", config({"train": "rows.csv", "test": "census:test"}))
    monkeypatch.chdir("/")
    data = Run.open(tmp_path / "run").config.data
    assert data.train == str(tmp_path / "rows.csv")
    assert data.test == "census:test"


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("mine")])
def test_what_is_there_is_never_overwritten(make: object, tmp_path: Path) -> None:
    make(tmp_path / "run")  # type: ignore[operator]
    for begin in (lambda: Run.create(tmp_path / "run", config()), lambda: fit(config(), tmp_path / "run")):
        with pytest.raises(RunError, match=r"run exists already. Resume it with --resume, replace it"):
            begin()


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot be made in .*: "):
        Run.create(tmp_path / "file" / "run", config())


def test_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunError, match=r"is not a run directory: it has no run.json"):
            resume(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "run.json is damaged: it is not JSON"),
        (
            '{"format": 99, "version": "7.0", "status": "finished"}',
            r"by tfwd 7\.0 in run format 99; this is tfwd",
        ),
        ("[]", "expected an object of names and values, found list"),
        ('{"format": 3.0, "version": 7, "status": "finished"}', "of an unknown version in run format 3.0"),
        ('{"format": 1, "version": "0.1.0"}', "in run format 1"),
    ],
)
def test_incompatible_or_damaged_run_json(text: str, message: str, tmp_path: Path) -> None:
    path = copy_of_trained(tmp_path / "run")
    (path / "run.json").write_text(text)
    with pytest.raises(RunError, match=message):
        Run.open(path)


def test_damaged_model(tmp_path: Path) -> None:
    path = copy_of_trained(tmp_path / "run")
    whole = (path / "model.keras").read_bytes()
    (path / "model.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"model\.keras cannot be read as a Keras model, it may be damaged"):
        _ = Run.open(path).model
    (path / "model.keras").unlink()
    with pytest.raises(RunError, match=r"does not exist. In a run it means that the training has not reached"):
        _ = Run.open(path).model


def test_another_kind_of_model(tmp_path: Path) -> None:
    import keras

    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(RunError, match=r"holds a Sequential, not a tfwd.WideDeep"):
        load_model(tmp_path / "other.keras")


def test_damaged_statistics_and_configuration(tmp_path: Path) -> None:
    path = copy_of_trained(tmp_path / "run")
    (path / "statistics" / "statistics.json").write_text("{}x")
    with pytest.raises(RunError, match=r"statistics.json is damaged: it is not JSON"):
        _ = Run.open(path).statistics
    (path / "config.yaml").write_text("task: [")
    with pytest.raises(ConfigError, match=r"is not YAML"):
        Run.open(path)


def test_damaged_checkpoint(tmp_path: Path) -> None:
    path = copy_of_trained(tmp_path / "run")
    Run.open(path).set_status("training")
    (checkpoint,) = (path / "checkpoints").iterdir()
    (checkpoint / "state.json").write_text("{")
    with pytest.raises(RunError, match=r"it is not JSON. This run cannot be resumed: train again"):
        resume(path)


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "first")

    def fail() -> None:
        with file_beside(path) as temporary:
            temporary.write_text("half")
            assert temporary.suffix == ".txt"
            assert path.read_text() == "first"
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]
    assert path.read_text() == "first"
    write_text(path, "second")
    assert path.read_text() == "second"
    assert path.stat().st_mode & 0o777 == 0o644


def test_folders_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    def fill(name: str, fail: bool, replace: bool = False) -> None:
        with folder_beside(tmp_path / "folder", replace) as temporary:
            (temporary / name).write_text(name)
            if fail:
                raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fill("a", fail=True)
    assert list(tmp_path.iterdir()) == []
    fill("a", fail=False)
    with pytest.raises(OSError, match=r"not empty|exists"):
        fill("b", fail=False)
    with pytest.raises(ValueError):  # noqa: PT011
        fill("b", fail=True, replace=True)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a"]
    fill("b", fail=False, replace=True)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("last", [1, 2])
def test_a_folder_is_old_or_new_wherever_its_replacement_is_broken_off(
    last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt comes right after the first or the second rename."""
    path, rename, made = tmp_path / "folder", os.rename, 0

    def interrupted(source: Any, target: Any) -> None:
        nonlocal made
        rename(source, target)
        made += 1
        if made == last:
            raise KeyboardInterrupt

    path.mkdir()
    (path / "old").write_text("")
    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), folder_beside(path, replace=True) as temporary:
        (temporary / "new").write_text("")
    assert [entry.name for entry in path.iterdir()] == [{1: "old", 2: "new"}[last]]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("what", ["a folder", "a file"])
def test_a_folder_is_kept_where_somebody_took_its_place_as_it_was_replaced(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rename = tmp_path / "run", os.rename

    def raced(source: Any, target: Any) -> None:
        rename(source, target)
        monkeypatch.undo()
        if what == "a file":
            path.write_text("theirs")
        else:
            path.mkdir()
            (path / "theirs").write_text("")

    old = Run.create(path, config())
    before = {file.relative_to(path) for file in old.path.rglob("*")}
    monkeypatch.setattr(os, "rename", raced)
    with pytest.raises(RunError, match=r"The run cannot be made in .*: another process has made it") as caught:
        Run.create(path, config(), overwrite=True)
    assert path.is_file() or [entry.name for entry in path.iterdir()] == ["theirs"]
    (kept,) = {entry for entry in tmp_path.iterdir() if entry != path}
    assert str(kept) in str(caught.value)
    assert {file.relative_to(kept) for file in kept.rglob("*")} == before | {Path(LOCK)}
    # It belongs to the user now: nothing that cleans up after killed processes takes it.
    remove_beside(path)
    assert Run.open(kept).status == "created"


def test_json_has_no_nan() -> None:
    assert json.loads(as_json({"test": {"auc": float("nan"), "rows": 3, "r2": float("-inf"), "rmse": 0.5}})) == {
        "test": {"auc": None, "rows": 3, "r2": None, "rmse": 0.5}
    }


def test_reasons_in_words() -> None:
    assert reason(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
    assert (
        reason(OSError("Unable to write (errno = 28, error message = 'No space left on device')")) == "the disk is full"
    )
    assert reason(PermissionError(errno.EACCES, "Permission denied")) == "Permission denied"


def test_a_run_repeats_from_its_own_configuration_though_it_was_only_just_made(tmp_path: Path) -> None:
    first = small_run_cases.trained()
    Run.create(tmp_path / "again", Config.load(first.path / "config.yaml"))
    again = resume(tmp_path / "again")
    assert again.status == "finished"
    assert again.statistics == first.statistics
    assert again.metrics["test"] == pytest.approx(first.metrics["test"], abs=1e-3)
