"""Who may write to a run: one at a time, nothing outside of it, and what a dead one left is removed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from census_cases import config, copy_of_trained, frame, small, trained

from tfwd.config.config import Config
from tfwd.errors import ConfigError, DataError, RunError
from tfwd.run import Run
from tfwd.run_folder.leftovers import remove_beside
from tfwd.run_folder.record import Given
from tfwd.training.fit import fit, resume
from tfwd.utils.files import file_beside, folder_beside, left_beside, write_text

HOLDER = """
import sys, time
from pathlib import Path
from tfwd.utils.locks import only_holder
with only_holder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to `tmp_path / "run"`."""
    Run.create(tmp_path / "run", config(epochs=1), given=Given(frames=("train",)))
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run" / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_until_the_first_is_dead(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "run"
    (path / ".model-0a1b2c3d.keras").write_bytes(b"of the living")
    begins = (lambda: resume(path, train=frame()), lambda: fit(config(), path, train=frame(), overwrite=True))
    for begin in begins:
        with pytest.raises(RunError, match=rf"being written to by process {holder.pid} on {os.uname().nodename}"):
            begin()
    assert (path / ".model-0a1b2c3d.keras").exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (path / ".lock").exists(), "which says nothing any more"
    with Run.open(path).writing():
        assert not (path / ".model-0a1b2c3d.keras").exists()
        with pytest.raises(RunError, match=f"by process {os.getpid()}"), Run.open(path).writing():
            pass
    assert not (path / ".lock").exists()


@pytest.mark.parametrize("name", ["statistics", "checkpoints", "logs", "model.keras", "run.json", "data", "export",
                                  "checkpoints/fit-000000000001-000001", "logs/fit"])  # fmt: skip
def test_links_lead_nowhere(name: str, tmp_path: Path) -> None:
    """Nothing outside of a run is written or removed, though a link in it leads there; nor is one followed for ever."""
    path, outside = tmp_path / "run", tmp_path / "outside"
    run = Run.create(path, config(epochs=1), given=Given(frames=("train",)))
    outside.mkdir()
    for kept in (".fit-000000000001-000001-0a1b2c3d", "model.keras", "fit-000000000001-000001"):
        (outside / kept).mkdir()
        (outside / kept / "mine").write_text("mine")
    target = outside if not name.endswith((".json", ".keras")) else outside / "file"
    if name == "run.json":
        target.write_text((path / name).read_text())
    if (path / name).is_dir():
        (path / name).rmdir()
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to(target)
    before = sorted(outside.rglob("*"))
    with pytest.raises(RunError, match=rf"{Path(name).name} is a symbolic link to .*outside"):
        resume(path, train=frame())
    (path / name).unlink()
    (path / name).symlink_to(path)
    if name != "run.json":
        with pytest.raises(RunError, match="is a symbolic link to"), run.writing():
            pass
    assert sorted(outside.rglob("*")) == before
    assert not (path / ".lock").exists()


def test_a_lock_that_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config())
    (tmp_path / "mine").write_text("mine")
    (run.path / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match=r"run cannot be written to"), run.writing():
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_what_a_kill_left_in_a_run_and_beside_it_is_removed_and_nothing_else(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config())
    ours = [".model-0a1b2c3d.keras", ".run-0a1b2c3d.json", ".warm_start-0a1b2c3d.json", ".history-abcdefgh.csv",
            ".metrics-0a1b2c3d.json", "tmpab12cd34"]  # fmt: skip
    for name in ours:
        (run.path / name).write_bytes(b"\x89HDF\r\n\x1a\n" if name.startswith("tmp") else b"half")
    for name in (
        ".statistics-0a1b2c3d",
        ".statistics-0a1b2c3d-old",
        ".model.keras-0a1b2c3d",
        "checkpoints/.fit-000000000099-000009-0a1b2c3d",
        "../.run-0a1b2c3d",
        "../.run-data-0a1b2c3d",
    ):
        (run.path / name).mkdir()
    (tmp_path / ".run-0a1b2c3d" / "config.yaml").write_text("half")
    (tmp_path / ".run-data-0a1b2c3d" / "data").mkdir()
    mine = [
        ".run-notes",
        ".model-of-mine.keras",
        "tmp_results",
        ".history-2024.csv",
        "../.run-settings",
        "../.run-notebook",
    ]
    for name in mine[:4]:
        (run.path / name).write_text("mine")
    for name in mine[4:]:
        (run.path / name).mkdir()
    (tmp_path / ".run-settings" / "mine").write_text("mine")
    (tmp_path / ".run-notebook" / "mine").write_text("mine")
    with run.writing():
        pass
    left = {entry.name for folder in (run.path, run.path / "checkpoints", tmp_path) for entry in folder.iterdir()}
    assert left == {Path(name).name for name in mine} | {
        "run", "run.json", "config.yaml", "statistics", "checkpoints", "logs",
    }  # fmt: skip


def test_an_older_run_that_was_about_to_be_replaced_is_put_back(tmp_path: Path) -> None:
    old = Run.create(tmp_path / "run", config())
    os.rename(old.path, tmp_path / ".run-0a1b2c3d-old")
    remove_beside(tmp_path / "run")
    assert Run.open(tmp_path / "run").status == "created"
    os.rename(Run.create(tmp_path / "other", config()).path, tmp_path / ".run-0a1b2c3d-old")
    remove_beside(tmp_path / "run")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o027])
def test_the_umask_says_who_may_read(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        run = Run.create(tmp_path / "run", config())
        run.save_statistics(trained().statistics)
        write_text(run.path / "metrics.json", "{}")
        with folder_beside(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    for path in (run.path, *run.path.rglob("*"), tmp_path / "folder"):
        usual = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == usual & ~umask, path


def test_what_a_living_process_writes_is_not_left_over(tmp_path: Path) -> None:
    with file_beside(tmp_path / "a.csv") as file, folder_beside(tmp_path / "b") as folder:
        assert list(left_beside(tmp_path / "a.csv")) == []
        assert list(left_beside(tmp_path / "b")) == []
    for path in (file, folder):
        assert not path.exists()
    file.write_text("half")
    folder.mkdir()
    assert list(left_beside(tmp_path / "a.csv")) == [file]
    assert list(left_beside(tmp_path / "b")) == [folder]


def test_a_run_is_replaced_when_the_new_one_is_sure_of_its_data(tmp_path: Path) -> None:
    path = copy_of_trained(tmp_path / "run")
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for wrong, error in (
        (config({"validation_fraction": 0.0}), ConfigError),
        (config({"train": "nowhere.csv"}), DataError),
    ):
        with pytest.raises(error):
            fit(wrong, path, overwrite=True)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    run = fit(Config.of(small(epochs=1)), path, train=frame(), overwrite=True)
    assert run.status == "finished"
    assert set(run.metrics) == {"validation"}
    assert (path / "metrics.json").read_bytes() != before[path / "metrics.json"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    # Where nothing is yet, there is nothing to replace.
    assert Run.create(tmp_path / "new", config(), overwrite=True).status == "created"


def test_what_is_no_run_or_more_than_one_is_never_replaced(tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        kept = sorted(tmp_path.rglob("*"))
        with pytest.raises(RunError, match=message):
            fit(config(), path, train=frame(), overwrite=True)
        assert sorted(tmp_path.rglob("*")) == kept

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("mine")
    refused(
        tmp_path / "photos", "is not a run directory: it has no run.json and config.yaml. Only a run is overwritten"
    )
    refused(tmp_path / "photos" / "1.jpg", "is a file. Only a run is overwritten")
    run = Run.create(tmp_path / "run", config())
    (tmp_path / "link").symlink_to(run.path)
    refused(tmp_path / "link", "is a link. Only a run is overwritten")
    (run.path / "notes.txt").write_text("mine")
    refused(run.path, r"run also holds notes\.txt, which is not part of a run. Move it away")
    (run.path / "notes.txt").unlink()
    (run.path / "data").mkdir()
    frame().to_csv(run.path / "data" / "train.csv")
    with pytest.raises(RunError, match=r"data\.train reads .* of the run that it would overwrite"):
        fit(config({"train": str(run.path / "data" / "train.csv")}), run.path, overwrite=True)
    with pytest.raises(RunError, match=r"train\.warm_start_from reads .* of the run that it would overwrite"):
        fit(config(), run.path, train=frame(), warm_start_from=run.path, overwrite=True)


def test_what_is_read_once_is_kept(tmp_path: Path) -> None:
    run = Run.open(copy_of_trained(tmp_path / "run"))
    assert run.statistics is run.statistics
    assert run.origin is None
    run.save_statistics(trained().statistics)
    assert run.statistics is trained().statistics


def test_a_lock_with_a_second_name_is_not_written_to(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config(epochs=1))
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    os.link(victim, run.path / ".lock")
    with pytest.raises(RunError, match=r"hard link"), run.writing():
        pass
    with pytest.raises(RunError, match=r"hard link"):
        Run.create(tmp_path / "run", config(epochs=1), overwrite=True)
    assert victim.read_text() == "mine"


def test_a_run_that_appears_while_another_is_made_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two trainings that begin at once, the second must not take the place of the first, which trains already."""
    path, save = tmp_path / "run", Config.dump

    def slowly(self: Config) -> str:
        monkeypatch.setattr(Config, "dump", save)
        Run.create(path, config(epochs=1))
        (path / "model.keras").write_bytes(b"of the first")
        return save(self)

    monkeypatch.setattr(Config, "dump", slowly)
    with pytest.raises(RunError, match="cannot be made"):
        Run.create(path, config(epochs=1), overwrite=True)
    assert (path / "model.keras").read_bytes() == b"of the first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_leftovers_of_keras_are_told_by_their_first_bytes_and_links_are_left(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config(epochs=1))
    with (run.path / "tmpabcdefgh").open("wb") as file:
        file.write(b"\x89HDF\r\n\x1a\n")
        file.truncate(2**40)  # a hole: it takes no room on the disk, and more than there is in memory
    (tmp_path / "empty").touch()
    (run.path / "tmp12345678").symlink_to(tmp_path / "empty")
    with run.writing():
        assert not (run.path / "tmpabcdefgh").exists()
    assert (run.path / "tmp12345678").is_symlink()
