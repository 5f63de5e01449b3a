"""The models of a server, in its own process: what is loaded, what goes, and what stays when a file is bad."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from serving import census_version

from tfwd.errors import ConfigError
from tfwd.server.metrics import Counters
from tfwd.server.model_files import find
from tfwd.server.repository import Repository
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Settings


def put(folder: Path, name: str, version: int, content: bytes | None = None) -> Path:
    target = folder / name / str(version) / "model.onnx"
    target.parent.mkdir(parents=True)
    target.write_bytes((census_version() / "model.onnx").read_bytes() if content is None else content)
    return target


def looked(folder: Path, *steps: Callable[[Repository], Awaitable[object] | None], **options: Any) -> None:
    """Looks at the folder, takes a step, looks again, and so on."""

    async def run() -> None:
        repository = Repository(Settings(model=str(folder), **options), Counters())
        try:
            for step in steps:
                await repository.refresh()
                step(repository)
        finally:
            repository.close()

    asyncio.run(run())


def test_a_dropped_model_is_freed(tmp_path: Path) -> None:
    put(tmp_path, "m", 1)
    dropped: list[weakref.ref[Any]] = []

    def replace(repository: Repository) -> None:
        dropped.append(weakref.ref(repository.get("m").model))
        put(tmp_path, "m", 2)

    def is_gone(repository: Repository) -> None:
        assert repository.numbers("m") == [2]
        assert dropped[0]() is None
        # What stays is not looked at by the collector.
        assert gc.get_freeze_count() > 0

    looked(tmp_path, replace, is_gone)
    gc.unfreeze()


@pytest.mark.parametrize("options", [{}, {"labels": {"m": {"stable": 1}}}, {"keep_versions": 2}])
def test_a_broken_version_takes_nothing_away(tmp_path: Path, options: dict[str, Any]) -> None:
    put(tmp_path, "m", 1)
    put(tmp_path, "m", 2)

    def breaks(repository: Repository) -> None:
        assert repository.get("m").number == 2
        put(tmp_path, "m", 3, b"no model")

    def goes_on(repository: Repository) -> None:
        assert repository.get("m").number == 2
        assert repository.numbers("m") == ([1, 2] if options else [2])
        assert {entry["version"]: entry["state"] for entry in repository.status("m", None, None)}["3"] == "END"
        shutil.copyfile(census_version() / "model.onnx", tmp_path / "m" / "3" / "model.onnx")

    def is_mended(repository: Repository) -> None:
        assert repository.get("m").number == 3
        assert 2 in repository.numbers("m") or "keep_versions" not in options

    looked(tmp_path, breaks, goes_on, is_mended, **options)


def test_a_server_that_starts_with_a_broken_newest_version_serves_the_one_before(tmp_path: Path) -> None:
    put(tmp_path, "m", 1)
    put(tmp_path, "m", 2, b"no model")

    def nothing(repository: Repository) -> None:
        assert repository.unready == "No model is loaded yet."

    def the_older(repository: Repository) -> None:
        assert repository.get("m").number == 1
        assert not repository.unready

    looked(tmp_path, nothing, the_older)


def test_a_ready_server_stays_ready(tmp_path: Path) -> None:
    put(tmp_path, "good", 1)
    put(tmp_path, "other", 1, b"no model")

    def begins(repository: Repository) -> None:
        assert repository.unready == "Not loaded yet: other"
        shutil.copyfile(census_version() / "model.onnx", tmp_path / "other" / "1" / "model.onnx")

    def ready(repository: Repository) -> None:
        assert not repository.unready
        put(tmp_path, "third", 1, b"no model")

    def still(repository: Repository) -> None:
        assert not repository.unready
        assert repository.status("third", None, None)[0]["state"] == "END"
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()

    def nothing_left(repository: Repository) -> None:
        assert repository.unready
        with pytest.raises(RequestError, match=r"Latest\(good\)"):
            repository.get("good")

    looked(tmp_path, begins, ready, still, nothing_left)


def test_a_file_written_in_place_is_read_again_once_it_is_whole(tmp_path: Path) -> None:
    file = put(tmp_path, "m", 1)
    seen: list[Any] = []

    def spoil(repository: Repository) -> None:
        seen.append(repository.get("m").model)
        file.write_bytes(b"half of a")

    def still_the_first(repository: Repository) -> None:
        assert repository.get("m").model is seen[0]
        assert repository.status("m", None, None)[0]["state"] == "AVAILABLE"

    def write(repository: Repository) -> None:
        still_the_first(repository)
        shutil.copyfile(census_version() / "model.onnx", file)
        os.utime(file, (1, 1))

    def is_new(repository: Repository) -> None:
        assert repository.get("m").model is not seen[0]

    looked(tmp_path, spoil, still_the_first, write, still_the_first, is_new)


def test_what_was_asked_for_and_is_not_there(tmp_path: Path) -> None:
    def nothing(repository: Repository) -> None:
        (missing,) = repository.missing()
        assert missing.startswith(f"{tmp_path} holds no model yet. Expected: NAME/VERSION/model.onnx")
        put(tmp_path, "m", 1)

    def label(repository: Repository) -> None:
        assert repository.missing() == ["m has no version 7, which --label calls canary."]

    looked(tmp_path, nothing)
    looked(tmp_path, label, labels={"m": {"canary": 7, "stable": 1}})


def test_the_name_of_one_of_several(tmp_path: Path) -> None:
    put(tmp_path, "a", 1)
    put(tmp_path, "serving", 1)
    assert list(find(str(tmp_path), None, "auto")) == ["a", "serving"]
    assert list(find(str(tmp_path), "a", "auto")) == ["a"]
    with pytest.raises(ConfigError, match=r"has no model 'b'. It has: a, serving"):
        find(str(tmp_path), "b", "auto")


def test_the_exports_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "export" / "saved" / "1").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"has no export to serve. Write one with: python -m export.onnx"):
        find(str(tmp_path), None, "auto")
    (tmp_path / "export" / "saved" / "1" / "saved_model.pb").touch()
    assert list(find(str(tmp_path), None, "auto")) == ["saved"]
    assert list(find(str(tmp_path), "mine", "tensorflow")) == ["mine"]
    for name in ("a.onnx", "b.onnx", "a.recommend.onnx", "a.transform.onnx"):
        (tmp_path / "export" / name).touch()
    assert list(find(str(tmp_path), None, "auto")) == ["a", "b"]
    assert list(find(str(tmp_path), "b", "auto")) == ["b"]
    with pytest.raises(ConfigError, match=r"has no model 'c'. It has: a, b"):
        find(str(tmp_path), "c", "auto")
