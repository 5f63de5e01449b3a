"""The names in the first record of a CSV file, against what DuckDB reads of it."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest

from tfwd.config.data import CsvConfig
from tfwd.data import Source
from tfwd.data.csv_header import read_header
from tfwd.data.sql import literal
from tfwd.errors import DataError

DIALECTS = [
    CsvConfig(),
    CsvConfig(delimiter=";"),
    CsvConfig(delimiter="::", quote="'", escape="'"),
    CsvConfig(escape="\\"),
    CsvConfig(delimiter="\t", quote="", escape=""),
    CsvConfig(skip=2),
]


def by_duckdb(path: Path, dialect: CsvConfig, count: int) -> list[str]:
    columns = ", ".join(f"c{place}: 'VARCHAR'" for place in range(count))
    query = (
        f"SELECT * FROM read_csv({literal(str(path))}, delim={literal(dialect.delimiter)}, "
        f"quote={literal(dialect.quote)}, escape={literal(dialect.escape)}, skip={dialect.skip}, header=false, "
        f"columns={{{columns}}}, nullstr=['no such'], strict_mode=false, auto_detect=false) LIMIT 1"
    )
    return list(duckdb.sql(query).fetchall()[0])


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_names_of_any_signs(tmp_path: Path, dialect: CsvConfig) -> None:
    chosen = random.Random(7)
    signs = ["a", "é", " ", ".", dialect.delimiter, *([dialect.quote, dialect.escape, "\n"] if dialect.quote else [])]
    for _ in range(40):
        names = ["x" + "".join(chosen.choices(signs, k=chosen.randint(0, 5))) for _ in range(chosen.randint(1, 6))]
        if not dialect.quote:
            names = [name.replace(dialect.delimiter, "") for name in names]
        fields = []
        for name in names:
            written = name
            if dialect.quote:
                if dialect.escape != dialect.quote:
                    written = written.replace(dialect.escape, dialect.escape * 2)
                written = dialect.quote + written.replace(dialect.quote, dialect.escape + dialect.quote) + dialect.quote
            fields.append(written)
        path = tmp_path / "a.csv"
        first = "first\nsecond\n" if dialect.skip else chosen.choice(["", "\ufeff"])
        end = chosen.choice(["\n", "\r\n"])
        row = dialect.delimiter.join("1" * len(names))
        path.write_bytes(f"{first}{dialect.delimiter.join(fields)}{end}{row}{end}".encode())
        assert read_header(str(path), dialect) == names == by_duckdb(path, dialect, len(names))


def test_thousands_of_columns_of_which_few_are_read(tmp_path: Path) -> None:
    names = ["a", *(f"c{place}" for place in range(5000)), "b"]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    source = Source.open(tmp_path / "a.csv")
    assert list(source.columns) == names
    assert [batch.to_pydict() for batch in source.stream("a, b")] == [{"a": ["1"], "b": ["1"]}]


def test_a_name_that_stands_for_missing_values_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("NA,x\n1,NA\n")
    source = Source.open(tmp_path / "a.csv", csv=CsvConfig(null=("NA",)))
    assert [batch.to_pydict() for batch in source.stream("*")] == [{"NA": ["1"], "x": [None]}]


def test_more_lines_to_skip_than_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"a\.csv is empty"):
        read_header(str(tmp_path / "a.csv"), CsvConfig.model_construct(**{**dict(CsvConfig()), "skip": 2**63 - 1}))


def test_the_index_that_pandas_writes_is_no_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",a\n0,x\n1,x\n")
    (tmp_path / "b.csv").write_text(",a\n0,y\n")
    source = Source.open([tmp_path / "a.csv", tmp_path / "b.csv"], filter="a <> 'z'")
    assert source.columns == {"a": "VARCHAR"}
    assert [row for batch in source.stream("*") for row in batch.to_pylist()] == [{"a": "x"}, {"a": "x"}, {"a": "y"}]
    place = source.first("a", "a = 'y'")
    assert place is not None
    assert (place.file, place.row) == (str(tmp_path / "b.csv"), 1)
    assert source.counts() == (3, 2)
    named = Source.open(tmp_path / "a.csv", csv=CsvConfig(columns=("number", "a")))
    assert list(named.columns) == ["number", "a"]
