"""Files that no program should have written: what comes out is rows or one error of tfwd, never a traceback."""

from __future__ import annotations

import datetime
import decimal
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfwd.analysis.analyze import analyze
from tfwd.config.config import Config
from tfwd.config.data import CsvConfig
from tfwd.data import Rows, Source, resolve_schema
from tfwd.errors import TfwdError

GOOD = "word,number,y\n" + "".join(f"{'abc'[n % 3]},{n},{n % 2}\n" for n in range(12))


def configured(**options: Any) -> Config:
    """A word, with options, and a number."""
    word = {"type": "categorical", "column": "word", "embedding": 2, "wide": False, **options}
    features = [word, {"type": "numeric", "column": "number"}]
    return Config.of({"data": {"label": "y"}, "features": features, "model": {"heads": ["deep"]}})


CONFIG, LISTS = configured(), configured(max_length=3, delimiter="|")


def outcome(data: Any, csv: CsvConfig | None = None, config: Any = CONFIG) -> str:
    """The number of rows that all that reads them agrees on, or the message of tfwd's error."""
    try:
        source = Source.open(data, csv=csv)
        rows = Rows(source, resolve_schema(config, source))
        rows = rows.with_classes(analyze(rows, config).label.classes)
        read = sum(len(batch.inputs["number"]) for batch in rows.batches(5))
        shuffled = sum(len(batch.inputs["number"]) for batch in rows.batches(5, order=(0, 0)))
    except TfwdError as error:
        message = str(error)
        assert "\n" not in message.strip()
        assert len(message) < 1000
        return message
    assert read == shuffled == rows.count()
    return str(read)


def ends(text: str) -> bytes:
    return text.encode()


CSV: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "one line break": (b"\n", "is empty"),
    "line breaks": (b"\r\n\r\n\n", "is empty"),
    "blanks": (b"   ", "no column 'word'"),
    "header alone": (b"word,number,y\n", "no rows"),
    "header without an end": (b"word,number,y", "no rows"),
    "byte order mark": (b"\xef\xbb\xbf" + ends(GOOD), "12"),
    "CRLF": (ends(GOOD.replace("\n", "\r\n")), "12"),
    "CR": (ends(GOOD.replace("\n", "\r")), "12"),
    "mixed line ends": (ends(GOOD.replace("\n", "\r\n", 3)), ""),
    "no last line break": (ends(GOOD.rstrip("\n")), "12"),
    "empty lines": (ends(GOOD.replace("\n", "\n\n")), "12"),
    "empty lines first": (ends("\n\n" + GOOD), "line 1, is empty: expected the columns' names. Set data.csv.skip to 2"),
    "NUL in a field": (ends(GOOD.replace("a,3", "a\0b,3")), "12"),
    "NUL in the header": (ends(GOOD.replace("word", "wo\0rd")), "no column 'word'"),
    "NULs": (b"\0" * 500, "no column"),
    "UTF-16": (GOOD.encode("utf-16"), "the text is UTF-16. Convert the file, for example with iconv -f UTF-16"),
    "Latin-1 header": (ends(GOOD).replace(b"word", b"w\xf6rd"), "line 1: the text is not UTF-8"),
    "Latin-1 field": (ends(GOOD).replace(b"a,3", b"\xe4,3"), "not UTF-8. Convert the file, for example with iconv"),
    "fewer fields": (ends(GOOD.replace("a,3,1", "a,3")), "line 5: expected 3 fields, found 2: 'a,3'. A field that is"),
    "more fields": (ends(GOOD.replace("a,3,1", "a,3,1,2")), "found 4: 'a,3,1,2'. A field that holds the delimiter"),
    "other delimiter": (ends(GOOD.replace(",", ";")), "set data.csv.delimiter to ';'."),
    "tabs": (ends(GOOD.replace(",", "\t")), r"set data.csv.delimiter to '\t'."),
    "semicolons with decimal commas": (b"word;number;y\na;1,5;0\n", "set data.csv.delimiter to ';'."),
    "decimal commas": (ends(GOOD.replace("a,3,", 'a,"3,5",')), "found '3,5'. Write decimals with a point."),
    "open quote": (ends(GOOD.replace("a,3", '"a,3')), ""),
    "open quote in the header": (ends('"word,number,y\na,1,0\n'), "line 1: a quote is opened and not closed"),
    "stray quote": (ends(GOOD.replace("a,3", 'a"b,3')), ""),
    "duplicate names": (b"word,number,y,y\na,1,0,1\n", "has the column 'y' twice. Rename one of them, in the file or"),
    "names of one letter": (b"a,a,y\n1,2,0\n", "has the column 'a' twice"),
    "case twins": (b"word,number,y,Y\na,1,0,1\n", "the column 'y' and 'Y', which differ only in case"),
    "nameless first": (
        ends("\n".join(f"{n - 1},{line}" if n else f",{line}" for n, line in enumerate(GOOD.split()))),
        "12",
    ),
    "nameless in the middle": (b"word,,number,y\na,1,2,0\n", "column 2 has no name in the first line"),
    "header ends with a delimiter": (b"word,number,y,\na,1,0,\n", "end with a delimiter that it should not"),
    "NA": (ends(GOOD.replace("a,3", "a,NA")), "found 'NA'. If it stands for a missing value, name it in data.csv.null"),
    "NaN": (ends(GOOD.replace("a,3", "a,NaN")), "12"),
    "infinity": (ends(GOOD.replace("a,3", "a,inf")), "12"),
    "huge number": (ends(GOOD.replace("a,3", "a,1e999")), ""),
    "many digits": (ends(GOOD.replace("a,3", "a," + "3" * 5000)), ""),
    "huge field": (ends(GOOD.replace("a,3", "a" * 3_000_000 + ",3")), ""),
    "huge header": (b"w" * (17 * 2**20), "more than 16 MiB without the end of a line"),
    "binary": (bytes(range(256)) * 40, ""),
    "Parquet by the name of CSV": (b"PAR1" + bytes(200), "no column"),
    "gzip by the name of CSV": (gzip.compress(ends(GOOD)), ""),
    "label of text in one row": (ends(GOOD.replace("a,3,1", "a,3,x")), "holds '0', '1', 'x'"),
    "no label in one row": (ends(GOOD.replace("a,3,1", "a,3,")), "row 4, column 'y': the label is missing"),
}


@pytest.mark.parametrize("name", list(CSV))
def test_csv(tmp_path: Path, name: str) -> None:
    content, wanted = CSV[name]
    (tmp_path / "a.csv").write_bytes(content)
    found = outcome(tmp_path / "a.csv")
    assert wanted in found, found
    if wanted.isdigit():
        assert found == wanted


GZIP: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is empty"),
    "gzip of nothing": (gzip.compress(b""), "is empty"),
    "whole": (gzip.compress(GOOD.encode()), "12"),
    "two members": (gzip.compress(GOOD[:40].encode()) + gzip.compress(GOOD[40:].encode()), "12"),
    "cut": (gzip.compress(GOOD.encode())[:-12], "gzip file"),
    "first bytes": (gzip.compress(GOOD.encode())[:5], "gzip file"),
    "no gzip": (GOOD.encode(), "gzip file"),
    "zeros": (bytes(100), "gzip file"),
}


@pytest.mark.parametrize("name", list(GZIP))
def test_gzip(tmp_path: Path, name: str) -> None:
    content, wanted = GZIP[name]
    (tmp_path / "a.csv.gz").write_bytes(content)
    assert wanted in outcome(tmp_path / "a.csv.gz")


def table(**columns: Any) -> pa.Table:
    given = {"word": ["a", "b", "c"] * 4, "number": list(range(12)), "y": [0, 1] * 6}
    return pa.table({**given, **columns})


BAD_TEXT = pa.Array.from_buffers(pa.string(), 12, pa.array([b"a", b"\xff\xfe"] * 6, pa.binary()).buffers())
TABLES: dict[str, tuple[pa.Table, str]] = {
    "good": (table(), "12"),
    "no rows": (table().slice(0, 0), "no rows"),
    "no columns": (pa.table({}), ""),
    "large strings": (table(word=pa.array(["a", "b", "c"] * 4, pa.large_string())), "12"),
    "string views": (table(word=pa.array(["a", "b", "c"] * 4, pa.string_view())), "12"),
    "bytes": (table(word=pa.array([b"a", b"b", b"c"] * 4)), ""),
    "bytes that are no text": (table(word=pa.array([b"a", b"\xff\xfe"] * 6)), ""),
    "text that is none": (table(word=BAD_TEXT), "UTF"),
    "dictionary": (table(word=pa.array(["a", "b", "c"] * 4).dictionary_encode()), "12"),
    "dictionary of integers": (table(word=pa.array([1, 2, 3] * 4).dictionary_encode()), "12"),
    "numbers in a dictionary": (table(number=pa.array([1.5, 2, 3] * 4).dictionary_encode()), "12"),
    "decimals": (table(number=pa.array([decimal.Decimal("1.25")] * 12, pa.decimal128(38, 2))), "12"),
    "wide decimals": (table(number=pa.array([decimal.Decimal("1.25")] * 12, pa.decimal256(70, 2))), ""),
    "decimals as words": (table(word=pa.array([decimal.Decimal("1.25")] * 12)), "is not a category"),
    "moments as words": (table(word=pa.array([datetime.datetime(2020, 1, 1)] * 12)), "12"),
    "moments in a zone": (table(word=pa.array([datetime.datetime(2020, 1, 1)] * 12, pa.timestamp("us", "UTC"))), "12"),
    "moments as numbers": (table(number=pa.array([datetime.datetime(2020, 1, 1)] * 12)), "needs numbers"),
    "nanoseconds": (table(word=pa.array([2**62] * 12, pa.timestamp("ns"))), "12"),
    "moments beyond the calendar": (table(word=pa.array([2**62] * 12, pa.timestamp("s"))), ""),
    "durations": (table(number=pa.array([1] * 12, pa.duration("s"))), ""),
    "times": (table(word=pa.array([datetime.time(1, 2)] * 12)), "12"),
    "days": (table(word=pa.array([datetime.date(2020, 1, 1)] * 12)), "12"),
    "truth values": (table(number=[True, False] * 6, y=[True, False] * 6), "12"),
    "structs": (table(word=pa.array([{"a": 1}] * 12)), "needs one string or whole number"),
    "structs with odd names": (table(word=pa.array([{'a" INT)); --': 1}] * 12)), "needs one string or whole number"),
    "lists": (table(word=pa.array([["a"]] * 12)), "a list. Give the feature max_length"),
    "lists of lists": (table(word=pa.array([[["a"]]] * 12)), "a list"),
    "maps": (table(word=pa.array([[("a", 1)]] * 12, pa.map_(pa.string(), pa.int64()))), ""),
    "nothing at all": (table(word=pa.nulls(12)), ""),
    "numbers that are nothing": (table(number=pa.nulls(12)), ""),
    "labels that are nothing": (table(y=pa.nulls(12)), "label"),
    "nulls": (table(word=["a", None, "c"] * 4, number=[1, None, 3] * 4), "12"),
    "largest unsigned": (table(word=pa.array([2**64 - 1] * 12, pa.uint64())), "12"),
    "smallest integer": (table(word=pa.array([-(2**63), 1, 2] * 4)), "row 1, column 'word': expected a 64-bit integer"),
    "half floats": (table(number=pa.array(np.arange(12).astype(np.float16))), "12"),
    "uuids": (table(word=pa.array([b"0123456789abcdef"] * 12, pa.binary(16))), ""),
    "a label of fractions": (table(y=[n / 7 for n in range(12)]), "or set task: regression to predict a number"),
    "case twins": (table(Y=[1] * 12), "the column 'y' and 'Y', which differ only in case"),
    "a name of the engine": (table(file_row_number=[1] * 12), ""),
    "a name that is empty": (table(**{"": [1] * 12}), "12"),
    "names in quotes": (table(**{'a"b': [1] * 12, "c'd": [1] * 12, "e;--": [1] * 12}), "12"),
    "twins": (pa.Table.from_arrays([pa.array([1])] * 2, ["a", "a"]), "has the column 'a' twice"),
}


@pytest.mark.parametrize("form", ["parquet", "table"])
@pytest.mark.parametrize("name", list(TABLES))
def test_tables(tmp_path: Path, name: str, form: str) -> None:
    given, wanted = TABLES[name]
    if form == "parquet":
        try:
            pq.write_table(given, tmp_path / "a.parquet")
        except (pa.ArrowException, OSError):
            pytest.skip("Parquet has no such column")
    found = outcome(tmp_path / "a.parquet" if form == "parquet" else given)
    assert wanted in found, found
    if wanted.isdigit():
        assert found == wanted


@pytest.mark.parametrize("damage", ["cut", "head", "foot", "middle", "zeros", "foreign"])
def test_damaged_parquet(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(), path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "head": b"X" * 4 + whole[4:],
            "foot": whole[:-4] + b"XXXX",
            "middle": whole[:30] + bytes(200) + whole[230:],
            "zeros": bytes(len(whole)),
            "foreign": GOOD.encode(),
        }[damage]
    )
    assert "a.parquet" in outcome(path) or damage == "head", "the first bytes are never read"


FRAMES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "good": (lambda f: f, "12"),
    "no rows": (lambda f: f.iloc[:0], "no rows"),
    "levels of columns": (lambda f: pd.concat({"a": f}, axis=1), "columns have 2 levels, for example ('a', 'word')"),
    "levels of rows": (lambda f: f.set_index(["word", "number"]), "The frame's index has that name: give frame.reset"),
    "an index with a name": (lambda f: f.set_index("word"), "The frame's index has that name: give frame.reset_index"),
    "a lone surrogate": (
        lambda f: f.assign(word=pd.Series(["a", "\ud800"] * 6, dtype=object)),
        "column 'word', row 2,",
    ),
    "a surrogate in a name": (
        lambda f: f.set_axis(pd.Index(["wo\ud800", "number", "y"], dtype=object), axis=1),
        "a column whose name is not a string",
    ),
    "mixed types": (lambda f: f.assign(word=pd.Series(["a", 1] * 6, dtype=object)), "mixes types"),
    "objects": (lambda f: f.assign(word=pd.Series([object()] * 12, dtype=object)), "mixes types"),
    "twins": (lambda f: f.set_axis(["word", "number", "number"], axis=1), "the column 'number' twice"),
    "numbers for names": (lambda f: f.set_axis([0, 1, 2], axis=1), "no column 'word'"),
    "categories": (lambda f: f.astype({"word": "category"}), "12"),
    "nullable": (lambda f: f.convert_dtypes(), "12"),
    "complex numbers": (lambda f: f.assign(number=np.arange(12) * 1j), ""),
    "periods": (lambda f: f.assign(word=pd.period_range("2020", periods=12, freq="M")), ""),
    "intervals": (lambda f: f.assign(word=pd.interval_range(0, 12)), ""),
    "sparse": (lambda f: f.assign(number=pd.arrays.SparseArray(range(12))), ""),
}


@pytest.mark.parametrize("name", list(FRAMES))
def test_frames(name: str) -> None:
    change, wanted = FRAMES[name]
    frame = pd.DataFrame({"word": ["a", "b", "c"] * 4, "number": range(12), "y": [0, 1] * 6})
    found = outcome(change(frame))
    assert wanted in found, found


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["a", "b"], [], None, ["c", None]] * 3),
        pa.array([["a"]] * 12, pa.list_(pa.string(), 1)),
        pa.array([["a", "b"]] * 12, pa.large_list(pa.large_string())),
        pa.array([["a"]] * 12, pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        pa.array([[["a"]]] * 12),
        pa.array([[{"a": 1}]] * 12),
        pa.array([[{'a"b)': 1}]] * 12),
        pa.array([[1.5]] * 12),
        pa.array([[datetime.date(2020, 1, 1)]] * 12),
        pa.array([[-(2**63)]] * 12),
        pa.array(["a|b", "", "|", None] * 3),
        pa.array([b"a|\xff"] * 12),
        pa.nulls(12),
    ],
    ids=str,
)
def test_lists(tmp_path: Path, column: pa.Array) -> None:
    found = [outcome(table(word=column), config=LISTS)]
    pq.write_table(table(word=column), tmp_path / "a.parquet")
    found.append(outcome(tmp_path / "a.parquet", config=LISTS))
    assert found[0].isdigit() == found[1].isdigit()


@pytest.mark.parametrize("seed", range(12))
def test_bytes_that_were_changed_at_random(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    form = ["csv", "csv.gz", "parquet"][seed % 3]
    path = tmp_path / f"a.{form}"
    if form == "parquet":
        pq.write_table(table(), path)
    else:
        path.write_bytes(gzip.compress(GOOD.encode()) if form == "csv.gz" else GOOD.encode())
    content = bytearray(path.read_bytes())
    for place in random.integers(0, len(content), 1 + seed):
        content[place] = random.integers(0, 256)
    path.write_bytes(content)
    outcome(path)
