"""The rows that a run keeps to compare with are read as they were, or refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import page_cases
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_run_cases

from tfwd.data.source import Source
from tfwd.errors import RunError
from tfwd.run_folder import background
from tfwd.schema import Input, Schema


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / background.FILE).parent.mkdir()
    return tmp_path


def test_a_training_keeps_rows_of_its_test_data() -> None:
    run = small_run_cases.trained()
    kept, drawn = background.load(run.path, run.model.schema), run.drawn(background.ROWS)
    assert kept is not None
    assert drawn is not None
    for entry in run.model.schema.inputs:
        np.testing.assert_array_equal(kept[entry.name], drawn[entry.name])
        assert kept[entry.name].dtype == drawn[entry.name].dtype
        assert len(kept[entry.name]) == background.ROWS


def test_every_kind_of_input_is_read_as_it_was(run: Path) -> None:
    schema = page_cases.hostile().model.schema
    assert background.load(run, schema) is None
    rows = background.draw(Source.open(page_cases.frame()), schema, 40, seed=3)
    assert rows is not None
    background.save(run, rows)
    found = background.load(run, schema)
    assert found is not None
    assert [*found] == [*rows]
    for name, values in rows.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


SCHEMA = Schema((Input("a", "a", "float"), Input("b", "b", "string", 3)), "binary", "y", ("0", "1"))
GOOD = {"a": [1.0, None], "b": [["x"], []]}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": GOOD["a"]}, "no input 'b'"),
        ({**GOOD, "a": ["x", "y"]}, "'a' takes numbers"),
        ({**GOOD, "b": [[1], [2]]}, "'b' takes text"),
        ({name: values[:0] for name, values in GOOD.items()}, "it has 0 rows"),
        ({name: values * 10_000 for name, values in GOOD.items()}, "it has 20,000 rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused(columns: dict[str, list[object]], said: str, run: Path) -> None:
    pq.write_table(pa.table(columns), run / background.FILE)
    with pytest.raises(RunError, match=f"background.parquet is damaged: .*{said}.*Remove it"):
        background.load(run, SCHEMA)


@pytest.mark.parametrize(
    "make",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"PAR1" + bytes(200) + b"PAR1"),
        lambda file: file.mkdir(),
        lambda file: os.mkfifo(file),
        lambda file: file.symlink_to("/dev/zero"),
    ],
    ids=["empty", "zeros", "folder", "pipe", "device"],
)
def test_what_is_no_parquet_file_is_refused(make: Callable[[Path], object], run: Path) -> None:
    make(run / background.FILE)
    with pytest.raises(RunError, match=r"background.parquet is damaged: .*Remove it"):
        background.load(run, SCHEMA)


def test_a_damaged_byte_is_refused_or_no_harm(run: Path) -> None:
    pq.write_table(pa.table(GOOD), run / background.FILE)
    whole = (run / background.FILE).read_bytes()
    generator = np.random.default_rng(0)
    for at in generator.integers(0, len(whole), 300):
        (run / background.FILE).write_bytes(
            whole[:at] + bytes([whole[at] ^ int(generator.integers(1, 256))]) + whole[at + 1 :]
        )
        try:
            background.load(run, SCHEMA)
        except RunError as error:
            assert len(str(error)) < 600
