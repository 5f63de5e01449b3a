"""The files of a kit in their folder, and what is left of a kit that was there before."""

from __future__ import annotations

from pathlib import Path

from export.serving import kit_files


def files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.name != ".files")


def test_what_a_kit_no_longer_has_goes_and_what_is_not_its_own_stays(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    (folder / "repository").mkdir(parents=True)
    kit_files.replace(folder, {"a": "1", "clients/old/x": "1", "clients/new/x": "1"}, others=["repository"])
    (folder / "clients" / "notes").write_text("of somebody")
    kit_files.replace(folder, {"a": "2", "clients/new/x": "1"})
    assert files(folder) == ["a", "clients", "clients/new", "clients/new/x", "clients/notes"]
    assert (folder / "a").read_text() == "2"
    kit_files.clear(folder)
    assert files(folder) == ["clients", "clients/notes"]
    (folder / "clients" / "notes").unlink()
    kit_files.replace(folder, {"a": "1"})
    (folder / "clients").rmdir()
    kit_files.clear(folder)
    assert not folder.exists()
    kit_files.clear(folder)


def test_nothing_outside_of_the_folder_goes(tmp_path: Path) -> None:
    folder, other = tmp_path / "kit", tmp_path / "other"
    other.touch()
    kit_files.replace(folder, {"a": "1"})
    (folder / ".files").write_text(f"../other\n{other}\na\n\n")
    kit_files.replace(folder, {"b": "1"})
    assert other.is_file()
    assert files(folder) == ["b"]
