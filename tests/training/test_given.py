"""A training that goes on is given what it began with, or refused: other rows or another tower make another model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import pytest
from census_cases import FEATURES, frame, small

from tfwd.config.config import Config
from tfwd.errors import DataError, RunError
from tfwd.run import Run
from tfwd.training.fit import fit, resume


@keras.saving.register_keras_serializable("tests")
class Tower(keras.layers.Layer):
    """Two lines of a tower, with a configuration."""

    def __init__(self, units: int = 6, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.dense = units, keras.layers.Dense(units, activation="tanh")

    def build(self, shape: Any) -> None:
        self.dense.build(shape)
        super().build(shape)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class Breaks(keras.callbacks.Callback):
    """Breaks a training off where its steps would begin."""

    def on_train_begin(self, logs: Any = None) -> None:
        raise KeyboardInterrupt


def broken_off(path: Path, data: dict[str, Any] | None = None, **given: Any) -> Path:
    """A number into a tower, in a single batch that is larger than the data."""
    options = {**small(data, epochs=1, batch_size=100_000), "features": [FEATURES[0]]}
    options["model"] = {"heads": ["deep"], "hidden_units": [8]}
    with pytest.raises(KeyboardInterrupt):
        fit(Config.of(options), path, callbacks=[Breaks()], **given)
    return path


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training on frames, with a tower and a callback."""
    path = tmp_path_factory.mktemp("given") / "run"
    return broken_off(path, train=frame(), validation=frame("test", 300), tower=Tower())


def test_what_was_given_is_written_down(begun: Path) -> None:
    given = json.loads((begun / "run.json").read_text())["given"]
    assert given["frames"] == ["train", "validation"]
    assert given["tower"]["class"].endswith("test_given.Tower")
    assert given["tower"]["config"]["units"] == 6
    assert [name.rpartition(".")[2] for name in given["callbacks"]] == ["Breaks"]
    known = json.loads((begun / "rows.json").read_text())
    assert {name: (split["rows"], split["files"]) for name, split in known.items()} == {
        "train": (len(frame()), []),
        "validation": (300, []),
    }


ALL: dict[str, Any] = {"train": 0, "validation": 0, "tower": 0, "callbacks": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": None}, r"tfwd\.resume\('.*run', train=frame\)"),
        ({"validation": None}, r"validation=frame\)"),
        ({"tower": None}, r"tower=Tower\(\.\.\.\)\)"),
        ({"tower": None, "train": None}, r"train=frame, tower=Tower\(\.\.\.\)\)"),
        ({"callbacks": None}, r"callbacks=\[Breaks\(\.\.\.\)\]\) \(callbacks=\[\] resumes without them\)"),
        ({"tower": Tower(7)}, r"with another Tower: units was 6 and is 7"),
        ({"tower": keras.layers.Dense(6)}, r"started with the tower .*Tower\. Received: .*Dense"),
        ({"test": frame("test", 300)}, r"started without a frame for test= .*Leave test= out"),
        ({"train": frame().head(1500)}, r"The train rows of .* DataFrame has 1,500 rows, where the training .* 2,000"),
        ({"train": frame()[::-1]}, r"The train rows of .* has the same rows in another order"),
        (
            {"train": frame().assign(age=frame()["age"] + 1)},
            r"The train rows of .* other rows, though as many as then .2,000.",
        ),
        ({"validation": frame("test", 301)}, r"The validation rows of .* 301 rows"),
    ],
)
def test_anything_else_is_refused(change: dict[str, Any], message: str, begun: Path) -> None:
    given = {"train": frame(), "validation": frame("test", 300), "tower": Tower(), "callbacks": []}
    before = (begun / "run.json").read_text()
    with pytest.raises(RunError, match=message):
        resume(begun, **{**given, **change})
    assert (begun / "run.json").read_text() == before


def test_the_same_again_is_what_it_began_with(begun: Path, tmp_path: Path) -> None:
    path = shutil.copytree(begun, tmp_path / "run")
    # Another object of equal values, a copy of the rows: what counts is what is in them.
    run = resume(path, train=frame().copy(), validation=frame("test", 300), tower=Tower(), callbacks=[])
    assert run.status == "finished"
    assert [layer.units for layer in run.model.ranker._flatten_layers() if isinstance(layer, Tower)] == [6]
    assert int(run.model.optimizer.iterations) == 1
    assert set(run.metrics) == {"validation"}
    # It is trained: nothing is needed any more.
    assert resume(path).metrics == run.metrics


def test_a_run_of_an_older_version_says_nothing_of_it(begun: Path, tmp_path: Path) -> None:
    path = shutil.copytree(begun, tmp_path / "run")
    (path / "rows.json").unlink()
    (path / "run.json").write_text('{"format": 3, "version": "0.3.0", "status": "training"}\n')
    given = {"train": frame(), "validation": frame("test", 300), "tower": Tower()}
    assert resume(path, **given).status == "finished"
    assert Run.open(path).provenance is None


@pytest.fixture(scope="module")
def begun_on_a_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A training on a file, and the file."""
    folder = tmp_path_factory.mktemp("file")
    frame().to_csv(folder / "train.csv", index=False)
    return broken_off(folder / "run", {"train": str(folder / "train.csv")}), folder / "train.csv"


def test_what_was_not_given_is_not_taken(begun_on_a_file: tuple[Path, Path]) -> None:
    path, _ = begun_on_a_file
    for given, message in (
        ({"tower": Tower()}, "started without a custom tower"),
        ({"train": frame()}, r"without a frame for train= \(train rows: .*train.csv\)"),
        ({"validation": frame()}, r"validation rows: rows of the training data"),
    ):
        with pytest.raises(RunError, match=message):
            resume(path, callbacks=[], **given)


def test_a_file_that_has_grown_is_told_and_one_that_was_only_copied_is_not(
    begun_on_a_file: tuple[Path, Path], tmp_path: Path
) -> None:
    begun, data = begun_on_a_file
    path = shutil.copytree(begun, tmp_path / "run")
    whole = data.read_text()
    try:
        data.write_text(whole + whole.splitlines()[-1] + "\n")
        with pytest.raises(RunError, match=r"train\.csv has 1,597 rows, where the training began with 1,596"):
            resume(path, callbacks=[])
        data.unlink()
        with pytest.raises(DataError, match=r"There is no file .*train\.csv"):
            resume(path, callbacks=[])
    finally:
        data.write_text(whole)
    assert resume(path, callbacks=[]).status == "finished"


class Grows(keras.callbacks.Callback):
    """Changes the training file in the first step."""

    def __init__(self, data: Path, how: str) -> None:
        super().__init__()
        self.data, self.how = data, how

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.how == "vanishes":
            self.data.unlink(missing_ok=True)
        elif self.how == "shrinks":
            self.data.write_text("".join(self.data.read_text().splitlines(keepends=True)[:500]))
        else:
            with self.data.open("a") as file:
                file.write(self.data.read_text().splitlines()[-1] + "\n")


@pytest.mark.parametrize(
    ("how", "message"), [("grows", "has changed: "), ("shrinks", "has changed: "), ("vanishes", "is gone")]
)
def test_a_file_that_changes_while_it_is_streamed(how: str, message: str, tmp_path: Path) -> None:
    data = tmp_path / "train.csv"
    frame().to_csv(data, index=False)
    options = {**small({"train": str(data)}, cache="none", epochs=1), "features": [FEATURES[3]]}
    options["model"] = {"heads": ["wide"]}
    with pytest.raises(DataError, match=rf"train\.csv {message}.*while the training was reading it"):
        fit(Config.of(options), tmp_path / "run", callbacks=[Grows(data, how)])
