"""What is wrong with data is said in a sentence: which file, row, column and value."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfwd.analysis.analyze import analyze
from tfwd.config.data import CsvConfig
from tfwd.data import Rows, Source, resolve_schema
from tfwd.data.dataset import original_errors
from tfwd.data.labels import weights_of
from tfwd.errors import ConfigError, DataError, TfwdError
from tfwd.schema import Input, Schema

WORD = {"type": "categorical", "column": "word"}
NUMBER = {"type": "numeric", "column": "number"}
CLEAN = "word,number,y\na,1,0\nb,2,1\n"


def refused(action: Any, *parts: str, error: type[TfwdError] = DataError) -> None:
    with pytest.raises(error) as caught:
        action()
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    assert "\n" not in message
    assert not re.search(r"LINE 1|Binder|Invalid Input|Conversion Error|read_csv|tfwd_|Possible fix", message), message


def read(data: Any, config: Any, classes: tuple[str, ...] = ("0", "1")) -> None:
    source = Source.open(data, csv=config.data.csv, filter=config.data.filter)
    rows = Rows(source, resolve_schema(config, source))
    for _ in (rows.with_classes(classes) if config.task != "regression" else rows).batches(2):
        pass


def study(data: Any, config: Any) -> None:
    source = Source.open(data, csv=config.data.csv, filter=config.data.filter)
    analyze(Rows(source, resolve_schema(config, source)), config)


def both(data: Any, config: Any, *parts: str) -> None:
    refused(lambda: read(data, config), *parts)
    refused(lambda: study(data, config), *parts)


def test_a_gzip_file_is_read_to_its_checksum(tmp_path: Path) -> None:
    file = tmp_path / "c.csv.gz"
    whole = gzip.compress(("word,number,y\n" + "a,1,0\nb,2,1\n" * 500).encode())
    damaged = {
        "checksum": whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:],
        "length": whole[:-4] + b"\x01\x00\x00\x00",
        "no checksum": whole[:-8],
        "half of it": whole[:-4],
        "the middle": whole[: len(whole) // 2],
        "behind it": whole + b"more",
    }
    for content in damaged.values():
        file.write_bytes(content)
        refused(lambda: Source.open(file), "c.csv.gz is not a complete gzip file: it was ")
    # Two files one after the other are one.
    file.write_bytes(whole + gzip.compress(b"c,3,1\n"))
    source = Source.open(file)
    assert source.connect().sql(source.select("count(*)")).fetchall() == [(1001,)]


@pytest.mark.parametrize("weight", ["1e30", "3.4e38", "1e13", "-1e-30"])
def test_a_weight_beyond_reason_is_refused(weight: str, tmp_path: Path, configure: Any) -> None:
    file = tmp_path / "w.csv"
    file.write_text(f"word,y,w\na,0,1\nb,1,{weight}\nb,1,1e12\n")
    config = configure([WORD], weight="w")
    both(file, config, "w.csv, row 2, column 'w': a weight is a finite number of at least 0 and at most 1e+12", weight)


def test_a_class_weight_beyond_reason_is_refused() -> None:
    assert weights_of({"1": 1e6}, ("0", "1")).tolist() == [1.0, 1e6]
    refused(lambda: weights_of({"1": 1e30}, ("0", "1")), "at most 1e+06", "1e+30 for '1'", error=ConfigError)


@pytest.mark.parametrize("label", ["3.4e38", "-1e30", "1e19", "1e300", ""])
def test_a_label_beyond_reason_is_refused(label: str, tmp_path: Path, configure: Any) -> None:
    file = tmp_path / "l.csv"
    file.write_text(f"word,y\na,1e18\nb,{label}\na,-1e18\n")
    config = configure([WORD], task="regression")
    both(file, config, "l.csv, row 2, column 'y': the label must be a finite number, at most 1e+18 in absolute value")


def test_a_number_that_the_heads_cannot_compute_with_is_refused(tmp_path: Path, configure: Any) -> None:
    file = tmp_path / "n.csv"
    file.write_text("number,y\n3e38,0\n-3e38,1\n1,1\n")
    plain = configure([NUMBER | {"normalization": "none"}])
    refused(lambda: study(file, plain), "feature 'number'", "normalization 'none'", "its smallest value, -3e+38")
    study(file, configure([NUMBER | {"normalization": ["zscore", "minmax", "log", "quantile"]}]))
    file.write_text("number,y\n0,0\n1e-30,1\n")
    refused(lambda: study(file, configure([NUMBER | {"fill": 5.0}])), "its fill, 5,", "Give it a fill in the range")


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(CLEAN)
    refused(lambda: Source.open(tmp_path / "trian.csv"), "There is no file", "trian.csv", "Did you mean 'train.csv'?")
    refused(lambda: Source.open(tmp_path / "*.parquet"), "No file matches", "*.parquet")
    refused(lambda: Source.open(tmp_path / "none" / "a.csv"), "There is no file")
    (tmp_path / "folder").mkdir()
    refused(lambda: Source.open(tmp_path / "folder"), "holds no data file", ".csv")
    refused(lambda: Source.open("census:tset"), "'train'", "'tset'")
    refused(lambda: Source.open(3), "pandas.DataFrame", "Received: int")
    (tmp_path / "a.dat").write_text(CLEAN)
    refused(lambda: Source.open(tmp_path / "a.dat"), "a.dat", "data.format")
    assert list(Source.open(tmp_path / "a.dat", format="csv").columns) == ["word", "number", "y"]


def test_mixed_formats(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CLEAN)
    pd.DataFrame({"word": ["a"]}).to_parquet(tmp_path / "b.parquet")
    refused(lambda: Source.open(tmp_path), "a.csv is CSV", "b.parquet is Parquet")


def test_empty_files(tmp_path: Path, configure: Any) -> None:
    config = configure([WORD])
    (tmp_path / "a.csv").write_bytes(b"")
    refused(lambda: Source.open(tmp_path / "a.csv"), "a.csv is empty")
    (tmp_path / "b.csv").write_text("word,number,y\n")
    refused(lambda: study(tmp_path / "b.csv", config), "b.csv has no rows")
    refused(lambda: study(pd.DataFrame({"word": ["a"], "y": [0]}).iloc[:0], config), "DataFrame has no rows")
    (tmp_path / "c.csv").write_text(CLEAN)
    refused(lambda: study(tmp_path / "c.csv", configure([WORD], filter="number > 5")), "no rows", "data.filter")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b""))
    refused(lambda: Source.open(tmp_path / "d.csv.gz"), "d.csv.gz is empty")


def test_damaged_files(tmp_path: Path, configure: Any) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"word": random.integers(0, 10**9, 50_000).astype(str), "number": 1.0, "y": 1})
    frame.to_parquet(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    refused(lambda: Source.open(tmp_path / "a.parquet"), "a.parquet is not a complete Parquet file")
    (tmp_path / "b.parquet").write_bytes(whole[:1000] + bytes(50_000) + whole[51_000:])
    both(str(tmp_path / "b.parquet"), configure([WORD]), "b.parquet")
    frame.to_csv(tmp_path / "c.csv.gz", index=False)
    whole = (tmp_path / "c.csv.gz").read_bytes()
    (tmp_path / "c.csv.gz").write_bytes(whole[: len(whole) // 2])
    both(tmp_path / "c.csv.gz", configure([WORD]), "c.csv.gz")


@pytest.mark.parametrize("row", ["c,3", "c,3,1,9"])
def test_ragged_row(tmp_path: Path, configure: Any, row: str) -> None:
    (tmp_path / "a.csv").write_text(CLEAN + row + "\nd,4,1\n")
    both(tmp_path / "a.csv", configure([WORD]), f"a.csv, line 4: expected 3 fields, found {row.count(',') + 1}", row)


def test_ragged_row_far_into_a_file(tmp_path: Path, configure: Any) -> None:
    lines = "".join(f"word{index},{index},1\n" for index in range(400_000))
    (tmp_path / "a.csv").write_text("word,number,y\n" + lines + "c,3\n" + lines)
    both(tmp_path / "a.csv", configure([WORD]), "a.csv, line 400002: expected 3 fields, found 2")


def test_open_quote_and_encoding(tmp_path: Path, configure: Any) -> None:
    (tmp_path / "a.csv").write_text(CLEAN + '"c,3,1\nd,4,1\n')
    both(tmp_path / "a.csv", configure([WORD]), "a.csv, line")
    (tmp_path / "b.csv").write_bytes("word,number,y\na,1,0\ncittà,2,1\n".encode("latin1"))
    both(tmp_path / "b.csv", configure([WORD]), "b.csv, line 3", "not UTF-8")


@pytest.mark.parametrize("form", ["csv", "frame"])
def test_columns_that_are_not_there(tmp_path: Path, configure: Any, form: str) -> None:
    (tmp_path / "a.csv").write_text(CLEAN)
    data: Any = tmp_path / "a.csv" if form == "csv" else pd.read_csv(tmp_path / "a.csv")
    wrong = {"type": "categorical", "column": "wrod"}
    refused(lambda: read(data, configure([wrong])), "no column 'wrod'", "Did you mean 'word'?")
    refused(lambda: read(data, configure([WORD], label="yy")), "no column 'yy'", "data.label", "Did you mean 'y'?")
    refused(lambda: read(data, configure([WORD], weight="numbr")), "data.weight", "Did you mean 'number'?")
    refused(lambda: read(data, configure([WORD], key=["WORD"])), "data.key", "Did you mean")
    schema = Schema((Input("wrod", "wrod", "string"),), "binary", "y", ("0", "1"))
    refused(lambda: Rows(Source.open(data), schema), "no column 'wrod'", "Did you mean 'word'?")


def test_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("word,Word,y\na,b,1\n")
    refused(lambda: Source.open(tmp_path / "a.csv"), "'word' and 'Word'", "differ only in case")
    (tmp_path / "a.csv").write_text("word,word,y\na,b,1\n")
    refused(lambda: Source.open(tmp_path / "a.csv"), "the column 'word' twice")
    frame = pd.DataFrame({"word": ["a"], "Word": ["b"]})
    refused(lambda: Source.open(frame), "'word' and 'Word'")
    frame.to_parquet(tmp_path / "a.parquet")
    refused(lambda: Source.open(tmp_path / "a.parquet"), "'word' and 'Word'")
    refused(lambda: Source.open(pd.DataFrame([[1, 2]], columns=["a", "a"])), "'a' twice")
    (tmp_path / "b.csv").write_text("word,,y\na,b,1\n")
    refused(lambda: Source.open(tmp_path / "b.csv"), "b.csv: column 2 has no name in the first line")


def test_files_that_differ(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CLEAN)
    (tmp_path / "b.csv").write_text("number,word,y\n1,a,0\n")
    refused(lambda: Source.open(tmp_path / "*.csv"), "b.csv has the columns number, word, y", "a.csv")
    pd.DataFrame({"n": [1]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"n": [1.5]}).to_parquet(tmp_path / "b.parquet")
    refused(lambda: Source.open(tmp_path / "*.parquet"), "b.parquet holds double in column 'n', not int64", "a.parquet")


@pytest.mark.parametrize("form", ["csv", "frame", "parquet"])
def test_text_in_a_numeric_column(tmp_path: Path, configure: Any, form: str) -> None:
    frame = pd.DataFrame({"word": ["a", "b,\nb", "c"], "number": ["1", "2", "n/a"], "y": [0, 1, 1]})
    data: Any = frame if form == "frame" else tmp_path / f"a.{form}"
    if form == "csv":
        frame.to_csv(data, index=False)
    elif form == "parquet":
        frame.to_parquet(data)
    both(data, configure([NUMBER]), "DataFrame" if form == "frame" else str(data), "row 3, column 'number'", "'n/a'")


def test_text_in_a_column_of_integers(tmp_path: Path, configure: Any) -> None:
    for value in ("1.5", "1e3", "9" * 20, "x"):
        (tmp_path / "a.csv").write_text(f"word,y\n1,0\n{value},1\n")
        both(tmp_path / "a.csv", configure([{**WORD, "dtype": "integer"}]), "row 2, column 'word'", repr(value))
    (tmp_path / "b.csv").write_text("word,y\n1,0\n2,1\n3,0\n")
    schema = Schema((Input("word", "word", "integer"),), "binary", "y", ("0", "1"))
    found = list(Rows(Source.open(pd.DataFrame({"word": [1.0, np.nan], "y": [0, 1]})), schema).batches(4))
    assert found[0].inputs["word"].tolist() == [1, -(2**63)]
    rows = Rows(Source.open(pd.DataFrame({"word": [1.0, 2.5], "y": [0, 1]})), schema)
    refused(lambda: list(rows.batches(4)), "row 2, column 'word'", "'2.5'")


def test_row_number_is_that_of_the_file_under_a_filter(tmp_path: Path, configure: Any) -> None:
    (tmp_path / "a.csv").write_text("word,number,y\na,1,0\n")
    (tmp_path / "b.csv").write_text("word,number,y\nskip,zzz,0\na,1,0\nb,bad,1\n")
    both(
        str(tmp_path / "*.csv"), configure([NUMBER], filter="word <> 'skip'"), "b.csv, row 3, column 'number'", "'bad'"
    )


def test_types_that_features_cannot_read(configure: Any) -> None:
    frame = pd.DataFrame(
        {"word": [1.5, 2], "number": pd.to_datetime(["2020-01-01"] * 2), "list": [[1], [2]], "y": [0, 1]}
    )
    config = ConfigError
    refused(lambda: read(frame, configure([WORD])), "'word'", "bucketized", "exact: true", error=config)
    refused(lambda: read(frame, configure([NUMBER])), "'number'", "TIMESTAMP", "needs numbers", error=config)
    nested = {"type": "categorical", "column": "list"}
    refused(lambda: read(frame, configure([nested])), "'list'", "BIGINT[]", "max_length", error=config)
    twice = [{**WORD, "column": "y2"}, {"type": "numeric", "column": "y2", "name": "second"}]
    frame["y2"] = [1, 2]
    refused(lambda: read(frame, configure(twice)), "'y2'", "exact: true in place of categorical", error=config)
    twice = [{**WORD, "column": "y2", "name": "one"}, {**WORD, "column": "y2", "name": "two", "dtype": "string"}]
    refused(lambda: read(frame, configure(twice)), "'one' and 'two'", "same dtype", error=config)
    schema = Schema((Input("word", "word", "string"),), "binary", "y", ("0", "1"))
    # The text of 2.0 is that of 2, as pandas makes floats of a column in which a whole number is missing; 1.5 has none.
    refused(lambda: next(Rows(Source.open(frame), schema).batches(9)), "row 1, column 'word'", "whole number", "'1.5'")
    whole = next(Rows(Source.open(frame.assign(word=[2.0, float("nan")])), schema).batches(9))
    assert whole.inputs["word"].tolist() == ["2", ""]
    bag = Schema((Input("word", "word", "string", 3),), "binary", "y", ("0", "1"))
    refused(lambda: Rows(Source.open(frame.assign(word=[[1.0], [2.5]])), bag), "'word' is DOUBLE", "text")
    mixed = pd.DataFrame({"word": ["a", 1], "y": [0, 1]})
    refused(lambda: Source.open(mixed), "'word' mixes types", "astype(str)")


def test_labels_of_one_class(configure: Any) -> None:
    frame = pd.DataFrame({"word": ["a", "b"], "y": [1, 1]})
    refused(lambda: study(frame, configure([WORD])), "'1' in all 2 training rows", "two classes")
    refused(lambda: study(frame, configure([WORD], task="multiclass")), "'1' in all 2 training rows")
    label = {"column": "y", "positive": 1}
    refused(lambda: study(frame, configure([WORD], label=label)), "'1' in all 2 training rows")


def test_labels_that_are_not_binary(configure: Any) -> None:
    frame = pd.DataFrame({"word": list("abc"), "y": ["no", "yes", "maybe"]})
    refused(lambda: study(frame, configure([WORD])), "'maybe', 'no', 'yes'", "data.label.positive")
    label = {"column": "y", "positive": "yes"}
    refused(lambda: study(frame, configure([WORD], label=label)), "two values", "'maybe', 'no', 'yes'")
    label = {"column": "y", "positive": "ja"}
    refused(lambda: study(frame, configure([WORD], label=label)), "'maybe', 'no', 'yes'", "'ja'")
    classes = {"column": "y", "classes": ["no", "yes"]}
    config = configure([WORD], task="multiclass", label=classes)
    refused(lambda: study(frame, config), "row 3, column 'y'", "'maybe'", "'no', 'yes'")
    refused(lambda: read(frame, config, ("no", "yes")), "row 3, column 'y'", "'maybe'", "'no', 'yes'")


@pytest.mark.parametrize("missing", [[1, None, 0], [1.0, np.nan, 0.0], ["yes", None, "no"], ["yes", "", "no"]])
def test_missing_labels(configure: Any, missing: list[Any]) -> None:
    frame = pd.DataFrame({"word": list("abc"), "y": missing})
    config = configure([WORD], label={"column": "y", "positive": missing[0]})
    refused(lambda: study(frame, config), "row 2, column 'y'", "label is missing")
    refused(lambda: read(frame, config, (str(missing[2]), str(missing[0]))), "row 2, column 'y'", "label is missing")


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, 1e300])
def test_labels_that_cannot_be_regressed_on(configure: Any, bad: float | None) -> None:
    frame = pd.DataFrame({"word": list("abc"), "y": [1.5, 2.5, bad]})
    both(frame, configure([WORD], task="regression"), "row 3, column 'y'", "finite")


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, None])
def test_weights(configure: Any, bad: float | None) -> None:
    frame = pd.DataFrame({"word": list("abc"), "y": [0, 1, 1], "w": [1, bad, 2.0]})
    both(frame, configure([WORD], weight="w"), "row 2, column 'w'", "at least 0")


def test_weights_of_nothing(configure: Any) -> None:
    frame = pd.DataFrame({"word": list("ab"), "y": [0, 1], "w": [0, 0]})
    refused(lambda: study(frame, configure([WORD], weight="w")), "All weights in 'w' are 0")


def test_vocabularies_that_come_out_empty(configure: Any) -> None:
    frame = pd.DataFrame({"word": ["a", "b"], "none": [None, None], "number": [np.nan, np.inf], "y": [0, 1]})
    refused(lambda: study(frame, configure([{**WORD, "min_count": 2}])), "'word'", "min_count = 2")
    refused(lambda: study(frame, configure([{**WORD, "column": "none"}])), "'none' is missing in all 2 rows")
    refused(lambda: study(frame, configure([NUMBER])), "'number' has no finite number")
    exact = {"type": "bucketized", "column": "y2", "exact": True, "min_count": 2}
    refused(lambda: study(frame.assign(y2=[1, 2]), configure([exact])), "no boundaries", "min_count = 2")


def test_vocabulary_files(tmp_path: Path, configure: Any) -> None:
    frame = pd.DataFrame({"word": [1, 2], "y": [0, 1]})
    file = tmp_path / "words.txt"
    config = configure([{**WORD, "vocabulary_file": str(file)}])
    refused(lambda: study(frame, config), "does not exist", "words.txt", error=ConfigError)
    for text, part in (("", "is empty"), ("1\n\n2\n", "value 2"), ("1\n1\n", "'1' twice"), ("1\nx\n", "whole numbers")):
        file.write_text(text)
        refused(lambda: study(frame, config), "words.txt", part, error=ConfigError)
    file.write_bytes(b"\xff\n")
    refused(lambda: study(frame, config), "words.txt", "UTF-8", error=ConfigError)


def test_class_weights_name_classes(configure: Any) -> None:
    source = Source.open(pd.DataFrame({"word": ["a", "b"], "y": [0, 1]}))
    rows = Rows(source, resolve_schema(configure([WORD]), source)).with_classes(("0", "1"))
    refused(lambda: rows.dataset(2, class_weights={"2": 1.0}), "'2'", "0, 1", error=ConfigError)


def test_data_errors_come_back_out_of_tensorflow(configure: Any) -> None:
    source = Source.open(pd.DataFrame({"word": ["a", "b"], "y": [0, 2]}))
    rows = Rows(source, resolve_schema(configure([WORD]), source)).with_classes(("0", "1"))

    def iterate() -> None:
        with original_errors():
            list(rows.dataset(2))

    refused(iterate, "DataFrame, row 2, column 'y': the label '2' is not one of the classes '0', '1'.")


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("wrod = 'a'", ["'wrod'", "Did you mean 'word'?"]),
        ("t.word = 'a'", ["'t.word'"]),
        ("word = (SELECT 'a')", ["a query"]),
        ("word IN (SELECT word FROM 'other.csv')", ["a query"]),
        ("EXISTS (SELECT 1)", ["not allowed"]),
        ("read_text('/etc/passwd') = 'a'", ["read_text"]),
        ("getenv('HOME') = 'a'", ["getenv"]),
        ("current_setting('threads') = 1", ["current_setting"]),
        ("random() < 0.5", ["not allowed"]),
        ("count(*) > 1", ["not allowed"]),
        ("row_number() OVER () > 1", ["not allowed"]),
        ("word = 'a'; DROP TABLE x", ["one SQL expression"]),
        ("1=1) UNION SELECT (1", ["not an SQL expression"]),
        ("word =", ["not an SQL expression"]),
        ("", ["SQL expression"]),
        ("SELECT 1", ["a query"]),
        ("COPY x TO 'y'", ["not allowed"]),
        ("word = $1", ["not allowed"]),
    ],
)
def test_filters_that_are_refused(condition: str, parts: list[str]) -> None:
    frame = pd.DataFrame({"word": ["a"], "y": [1]})
    refused(lambda: Source.open(frame, filter=condition), "data.filter", *parts, error=ConfigError)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("number != 3", [0, 1, 3]),
        ("number <= 2.5 AND Word <> 'b'", [0]),
        ("number BETWEEN 2 AND 3", [1, 2]),
        ("number IN (1, 10)", [0, 3]),
        ("(number + 1) * 2 > 6", [2, 3]),
        ("-number > -2", [0]),
        ("lower(word) LIKE 'c%' OR word IS NULL", [2]),
        ("\"user id\" = 'it''s'", [3]),
        ("CASE WHEN word = 'b' THEN TRUE ELSE FALSE END", [1]),
        ("length(word) = 1 AND NOT word IN ('a', 'b')", [3]),
        ("coalesce(number, 0) > 2", [2, 3]),
        ("abs(number) = 10 OR round(number) = 1", [0, 3]),
    ],
)
@pytest.mark.parametrize("form", ["csv", "frame"])
def test_filters_keep_rows(tmp_path: Path, condition: str, kept: list[int], form: str) -> None:
    frame = pd.DataFrame(
        {"word": ["a", "b", "Cc", "d"], "number": [1, 2, 3, 10], "user id": ["x", "y", "z", "it's"], "y": [0, 1, 2, 3]}
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    source = Source.open(tmp_path / "a.csv" if form == "csv" else frame, filter=condition)
    rows = Rows(source, Schema((Input("word", "word", "string"),), "regression", "y"))
    assert [int(y) for batch in rows.batches(9) for y in batch.label[:, 0]] == kept  # type: ignore[union-attr]


@pytest.mark.parametrize("condition", ["day > 3", "abs(day) > 1"])
def test_filter_of_the_wrong_type(condition: str) -> None:
    frame = pd.DataFrame({"word": ["a"], "number": [1], "day": pd.to_datetime(["2020-01-01"])})
    refused(lambda: Source.open(frame, filter=condition), "data.filter", condition, error=ConfigError)


def test_comments_in_a_filter_stay_out_of_the_query() -> None:
    frame = pd.DataFrame({"word": ["a", "b"]})
    assert Source.open(frame, filter="word = 'a' -- /* (").filter == "\"word\" = 'a'"


def test_header_across_lines_and_before_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"a\nb","c,""d""",e\n1,2\n"x')
    assert list(Source.open(tmp_path / "a.csv").columns) == ["a\nb", 'c,"d"', "e"]
    (tmp_path / "b.csv").write_bytes("größe,y\n".encode("latin1"))
    refused(lambda: Source.open(tmp_path / "b.csv"), "b.csv, line 1", "not UTF-8")


def test_filter_that_meets_text(tmp_path: Path, configure: Any) -> None:
    (tmp_path / "a.csv").write_text("word,number,y\na,1,0\nb,n/a,1\n")
    both(tmp_path / "a.csv", configure([WORD], filter="number > 0"), "data.filter", "'n/a'")


@pytest.mark.parametrize("form", ["csv", "parquet", "frame"])
def test_columns_with_names_that_the_reader_may_want(tmp_path: Path, form: str) -> None:
    names = ["rows", "row", "tfwd_row", "tfwd_table", "filename", "x0", "label", "k0", 'a"b', "it's"]
    frame = pd.DataFrame({name: ["1", "x"] for name in names})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    source = Source.open(frame if form == "frame" else tmp_path / f"a.{form}")
    schema = Schema(tuple(Input(f"i{at}", name, "float") for at, name in enumerate(names)), "regression", "row")
    refused(lambda: next(Rows(source, schema, labelled=False).batches(2)), "row 2, column 'rows'", "found 'x'")
    good = Rows(source, Schema((Input("i", "rows", "string"),), "regression", "row"), labelled=False)
    assert sorted(next(good.batches(2, order=(0, 0), shuffle_rows=1)).inputs["i"]) == ["1", "x"]


def test_the_one_name_that_parquet_cannot_have(tmp_path: Path) -> None:
    pd.DataFrame({"file_row_number": [1]}).to_parquet(tmp_path / "a.parquet")
    refused(lambda: Source.open(tmp_path / "a.parquet"), "a.parquet", "'file_row_number'", "Rename it")


def test_csv_dialect(tmp_path: Path) -> None:
    (tmp_path / "a [1].csv").write_text("# made by hand\n1;'x;''y';NA\n2;;z\n")
    csv = CsvConfig(delimiter=";", quote="'", escape="'", header=False, columns=("n", "a", "b"), null=("NA",), skip=1)
    source = Source.open(tmp_path / "a [1].csv", csv=csv)
    schema = Schema((Input("a", "a", "string"), Input("b", "b", "string")), "regression", "n")
    (batch,) = Rows(source, schema, key=("b",)).batches(4)
    assert batch.inputs["a"].tolist() == ["x;'y", ""]
    assert batch.inputs["b"].tolist() == ["", "z"]
    assert batch.key is not None
    assert batch.key["b"].to_pylist() == [None, "z"]
    (tmp_path / "b.csv").write_bytes("\ufeffword,y\r\n年齢,1\r\n".encode())
    (batch,) = Rows(
        Source.open(tmp_path / "b.csv"), Schema((Input("w", "word", "string"),), "regression", "y")
    ).batches(4)
    assert batch.inputs["w"].tolist() == ["年齢"]
