"""Frames as people have them: Polars, Arrow streams, nullable integers, floats that are whole numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tfwd.data import Rows, Source, resolve_schema
from tfwd.errors import ConfigError, DataError
from tfwd.schema import MISSING_INTEGER

ROWS: dict[str, list[Any]] = {
    "city": ["Rome", None, "Oslo"],
    "user": [2**40 + 1, None, 3],
    "store": [0, None, 2],
    "seen": [[1, 2], None, []],
    "y": [1, 0, 1],
}
FEATURES = [
    {"type": "categorical", "column": "city"},
    {"type": "categorical", "column": "user"},
    {"type": "categorical", "column": "store", "identity": 3},
    {"type": "categorical", "column": "seen", "max_length": 2},
]


def check(data: Any, configure: Any) -> None:
    source = Source.open(data)
    schema = resolve_schema(configure(FEATURES), source)
    assert [entry.kind for entry in schema.inputs] == ["string", "integer", "integer", "integer"]
    (batch,) = Rows(source, schema).with_classes(("0", "1")).batches(8)
    assert batch.inputs["city"].tolist() == ["Rome", "", "Oslo"]
    assert batch.inputs["user"].tolist() == [2**40 + 1, MISSING_INTEGER, 3]
    assert batch.inputs["store"].tolist() == [0, MISSING_INTEGER, 2]
    assert batch.inputs["seen"].tolist() == [[1, 2], [MISSING_INTEGER] * 2, [MISSING_INTEGER] * 2]
    assert batch.label is not None
    assert batch.label[:, 0].tolist() == [1, 0, 1]


@pytest.mark.parametrize("dtype", ["float64", "Float64", "Int64", "int64[pyarrow]"])
def test_whole_numbers_with_missing_ones_are_categories(dtype: str, configure: Any, tmp_path: Path) -> None:
    """pandas makes floats of the whole numbers of a column in which any is missing, and writes them so to Parquet."""
    frame = pd.DataFrame({**ROWS, "user": pd.array(ROWS["user"], dtype=dtype)})
    frame["store"] = pd.array(ROWS["store"], dtype=dtype)
    check(frame, configure)
    frame.to_parquet(tmp_path / "a.parquet")
    check(tmp_path / "a.parquet", configure)


def test_floats_in_lists_too(configure: Any) -> None:
    check(pd.DataFrame({**ROWS, "seen": [[1.0, np.nan, 2.0], None, []]}), configure)


@pytest.mark.parametrize(
    ("feature", "column", "found"),
    [
        ({"column": "user"}, [1.0, 2.5, None], "found 2.5 in row 2"),
        ({"column": "user", "identity": 3}, [1.0, np.inf, None], "found inf in row 2"),
        ({"column": "user", "dtype": "string"}, [1.0, 2.0, None], "it has no unique string form"),
        ({"column": "user", "max_length": 2}, [[1.0], [3.0, 0.5], None], "found 0.5 in row 2"),
    ],
)
def test_a_fraction_is_no_category(feature: dict[str, Any], column: list[Any], found: str, configure: Any) -> None:
    frame = pd.DataFrame({"user": column, "y": [0, 1, 1]})
    with pytest.raises(ConfigError, match=f"a number with a fraction is not a category, {found}"):
        resolve_schema(configure([{"type": "categorical", **feature}]), Source.open(frame))


def test_a_stream_of_arrow_is_a_frame(configure: Any) -> None:
    class Stream:
        """What Polars, DuckDB and others hand over, who know no pandas."""

        def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
            table = pa.table(ROWS)
            texts = pa.array(ROWS["city"], pa.string_view()).cast(pa.string_view())
            table = table.set_column(0, "city", texts)
            return table.__arrow_c_stream__(requested_schema)

    check(Stream(), configure)
    codes = pa.array([0, None, 1], pa.uint32())
    coded = pa.DictionaryArray.from_arrays(codes, pa.array(["Rome", "Oslo"], pa.string_view()))
    check(pa.table({**ROWS, "city": coded}), configure)


def test_polars(configure: Any) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS)
    check(frame, configure)
    check(frame.with_columns(polars.col("city").cast(polars.Categorical)), configure)
    with pytest.raises(DataError, match=r"not a polars.LazyFrame. Give its collect\(\)"):
        Source.open(frame.lazy())


FORKS = """
import os, sys
import pandas as pd
from tfwd.data.source import Source

frame = pd.DataFrame({"x": range(100_000)})
frame.to_csv(sys.argv[1], index=False)
file = Source.open(sys.argv[1])
assert file.counts() == Source.open(frame).counts()
child = os.fork()
if child == 0:
    assert Source.open(frame).counts() == (100_000, 100_000)
    sys.exit(0)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_reads_frames_and_ends(tmp_path: Path) -> None:
    """As servers fork their workers after the model is loaded: the threads of what was opened before are not there."""
    done = subprocess.run([sys.executable, "-c", FORKS, tmp_path / "x.csv"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")
