"""A file of a run that is damaged, or that somebody has tampered with, is one error that names it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from census_cases import copy_of_trained, trained

from tfwd.errors import RunError, TfwdError
from tfwd.run import Run
from tfwd.training.checkpoints import Checkpoints

DEEP = 100_000
# What no file of a run is, whatever is in it.
TEXTS: dict[str, bytes] = {
    "empty": b"",
    "half an object": b'{"format": 3, "sta',
    "a list": b"[]",
    "null": b"null",
    "a text": b'"finished"',
    "a number": b"3",
    "NaN": b"NaN",
    "lists, nested deep": b"[" * DEEP + b"]" * DEEP,
    "objects, nested deep": b'{"status":' * DEEP + b"1" + b"}" * DEEP,
    "lists that never end": b'{"format": 3, "status": ' + b"[" * DEEP,
    "binary": bytes(range(256)),
    "not UTF-8": b'{"format": 3, "status": "\xff\xfe"}',
    "UTF-16": '{"format": 3}'.encode("utf-16"),
    "a number too long to read": b'{"format": ' + b"9" * 10_000 + b"}",
    "NUL": b"\x00" * 100,
    "two objects": b"{}{}",
}
VALUES: list[Any] = [
    None,
    True,
    -1,
    2**70,
    0.5,
    float("inf"),
    float("nan"),
    "x",
    "../../x",
    [],
    [None],
    {},
    {"a": []},
    [[1]],
]


def changed(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Copies of nested values with a part left out, or another in its place; of lists only the first is changed."""
    for key in value if isinstance(value, dict) else range(min(1, len(value))) if isinstance(value, list) else ():
        for other in (*VALUES, ...):
            made = copy.deepcopy(value)
            if other is ...:
                del made[key]
            else:
                made[key] = other
            yield (*at, key), made
        for path, inner in changed(value[key], (*at, key)):
            made = copy.deepcopy(value)
            made[key] = inner
            yield path, made


READERS: dict[str, Callable[[Path], Any]] = {
    "run.json": lambda path: Run(path, trained().config).status,
    "rows.json": lambda path: Run(path, trained().config).provenance,
    "metrics.json": lambda path: Run(path, trained().config).metrics,
    "statistics/statistics.json": lambda path: Run(path, trained().config).statistics,
    "checkpoints/fit-000000000032-000002/state.json": lambda path: Checkpoints(path / "checkpoints").state(),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_trained(tmp_path_factory.mktemp("damaged") / "run")


@pytest.fixture
def put(run: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Puts something in the place of a file, until the end of a test."""
    whole: dict[Path, bytes] = {}

    def put(name: str, data: bytes) -> None:
        file = run / name
        whole.setdefault(file, file.read_bytes())
        # Hard links of it stay as they are.
        file.unlink()
        file.write_bytes(data)

    yield put
    for file, data in whole.items():
        file.write_bytes(data)


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_of_a_run(name: str, what: str, run: Path, put: Callable[[str, bytes], None]) -> None:
    put(name, TEXTS[what])
    with pytest.raises(RunError, match=rf"{Path(name).name}"):
        READERS[name](run)


@pytest.mark.parametrize("name", READERS)
def test_every_part_left_out_or_of_another_kind(name: str, run: Path, put: Callable[[str, bytes], None]) -> None:
    """Is refused, or was no harm: a number in the place of a number. Never is it another kind of error."""
    whole = json.loads((run / name).read_text())
    refused = 0
    for path, values in changed(whole):
        put(name, json.dumps(values).encode())
        try:
            READERS[name](run)
        except RunError as error:
            assert Path(name).name in str(error) or "in run format" in str(error) or "has format" in str(error), path
            assert len(str(error)) < 800
            refused += 1
    assert refused > 12


def test_a_file_that_is_none(run: Path) -> None:
    for name, read in READERS.items():
        whole = (run / name).read_bytes()
        (run / name).unlink()
        (run / name).mkdir()
        with pytest.raises(RunError, match=Path(name).name):
            read(run)
        (run / name).rmdir()
        os.symlink("/dev/zero", run / name)
        with pytest.raises(RunError, match=f"{Path(name).name} is damaged: it is not a file"):
            read(run)
        (run / name).unlink()
        (run / name).write_bytes(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"value","count"\n"a",1\n', "expected 16 values, each once, found 1"),
        ("", "expected 16 values"),
        ('"value","count"\n"a"\n', "not enough values"),
        ('"value","count"\n' + '"a",1\n' * 16, "each once"),
        ('"value","count"\n' + "".join(f'"{i}",-1\n' for i in range(16)), "expected a number of rows, found -1"),
        ('"value","count"\n' + "".join(f'"{i}",x\n' for i in range(16)), "invalid literal"),
    ],
)
def test_a_vocabulary(text: str, message: str, run: Path, put: Callable[[str, bytes], None]) -> None:
    put("statistics/vocabulary/education.csv", text.encode())
    with pytest.raises(RunError, match=rf"education\.csv is damaged: .*{message}"):
        _ = Run.open(run).statistics


def test_a_vocabulary_that_is_not_text_or_not_there(run: Path, put: Callable[[str, bytes], None]) -> None:
    put("statistics/vocabulary/education.csv", b"\xff\xfe\x00")
    with pytest.raises(RunError, match=r"education\.csv is damaged"):
        _ = Run.open(run).statistics
    (run / "statistics/vocabulary/education.csv").unlink()
    with pytest.raises(RunError, match=r"education\.csv is damaged"):
        _ = Run.open(run).statistics
    (run / "statistics/vocabulary/education.csv").write_bytes(b"")


@pytest.mark.parametrize("name", ["config.yaml", "model.keras", "checkpoints/fit-000000000032-000002/model.keras"])
def test_configuration_and_models(name: str, run: Path, put: Callable[[str, bytes], None]) -> None:
    def read() -> object:
        if name == "config.yaml":
            return Run.open(run)
        return Run.open(run).model if name == "model.keras" else Checkpoints(run / "checkpoints").load()

    whole = (run / name).read_bytes()
    damaged = [*TEXTS.values(), *(whole[: len(whole) * part // 8] for part in range(1, 8))]
    for text in damaged if name != "config.yaml" else list(TEXTS.values()):
        if name == "config.yaml" and len(text) > DEEP:
            continue  # of the configuration's own tests
        put(name, text)
        with pytest.raises(TfwdError, match=Path(name).name):
            read()


def test_what_the_metrics_had_counted(run: Path, put: Callable[[str, bytes], None]) -> None:
    place = run / "checkpoints/fit-000000000032-000002"
    np.savez(place / "totals.npz", np.zeros(3))
    assert [array.shape for array in Checkpoints(run / "checkpoints").totals() or []] == [(3,)]
    for text in [*TEXTS.values(), (place / "totals.npz").read_bytes()[:100]]:
        if len(text) > DEEP:
            continue
        put("checkpoints/fit-000000000032-000002/totals.npz", text)
        with pytest.raises(RunError, match=r"totals\.npz is damaged"):
            Checkpoints(run / "checkpoints").totals()
    np.savez(place / "totals.npz", np.array([{}], object))
    with pytest.raises(RunError, match=r"totals\.npz is damaged"):
        Checkpoints(run / "checkpoints").totals()


@pytest.mark.parametrize("change", ["gone", "renamed", "another size", "one more"])
def test_a_configuration_that_the_model_was_not_made_of(
    change: str, run: Path, put: Callable[[str, bytes], None]
) -> None:
    values = yaml.safe_load((run / "config.yaml").read_text())
    cross = next(feature for feature in values["features"] if feature["type"] == "cross")
    if change == "gone":
        values["features"].remove(cross)
    elif change == "one more":
        values["features"].append({**cross, "name": "another"})
    else:
        cross.update({"name": "another"} if change == "renamed" else {"bins": 7})
    put("config.yaml", yaml.safe_dump(values).encode())
    with pytest.raises(RunError, match=r"the features of config\.yaml with the statistics make other tables"):
        Run.open(run).wide_weights()
