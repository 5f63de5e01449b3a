"""Dates and moments of every source are the seconds that Python's datetime says, and what is none is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tfrecord_cases

from tfwd.config.config import Config
from tfwd.data import Rows, Source, resolve_schema
from tfwd.data.raw import raw_arrays
from tfwd.dates import FIRST_SECOND, LAST_SECOND
from tfwd.errors import ConfigError, DataError, TfwdError
from tfwd.schema import MISSING_INTEGER, Input, Schema

EPOCH = datetime(1970, 1, 1)
# Around the epoch with parts of a second, leap days, and the years that nanoseconds of 64 bits reach.
MOMENTS = [
    datetime(2024, 2, 29, 17, 30, 15, 250_000),
    datetime(1969, 12, 31, 23, 59, 59, 999_000),
    datetime(1969, 12, 31, 23, 59, 59),
    datetime(1970, 1, 1),
    datetime(1900, 2, 28, 12, 0, 0, 1000),
    datetime(2000, 2, 29, 23, 59, 59),
    datetime(1678, 1, 1),
    datetime(2262, 4, 10, 1, 2, 3),
]
# Of all years, which microseconds and coarser units reach.
FAR = [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_000), datetime(4, 2, 29, 0, 0, 1)]


def seconds(moments: list[datetime | None]) -> list[int]:
    """The seconds since 1970, rounded down, of moments of UTC."""
    return [MISSING_INTEGER if m is None else (m - EPOCH) // timedelta(seconds=1) for m in moments]


def configured(**options: Any) -> Config:
    feature = {"type": "datetime", "column": "when", "parts": ["hour"], **options}
    number = {"type": "numeric", "column": "row"}
    return Config.of({"data": {"label": "y"}, "features": [feature, number]})


def read(data: Any, config: Config | None = None, column: str = "when") -> list[int]:
    """The seconds of a column, as training reads them."""
    config = config or configured()
    source = Source.open(data, csv=config.data.csv)
    rows = Rows(source, resolve_schema(config, source)).with_classes(("0", "1"))
    (entry,) = [entry for entry in rows.schema.inputs if entry.column == column]
    assert (entry.kind, entry.length) == ("integer", 0)
    found: list[int] = []
    for batch in rows.batches(3):
        assert batch.inputs[entry.name].dtype == np.int64
        found += batch.inputs[entry.name].tolist()
    return found


def table(values: Any, type: pa.DataType | None = None) -> pa.Table:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, type)
    count = len(array)
    return pa.table({"when": array, "row": list(range(count)), "y": [i % 2 for i in range(count)]})


def csv(path: Path, texts: list[str]) -> str:
    lines = [f'"{text.replace(chr(34), chr(34) * 2)}",{row},{row % 2}' for row, text in enumerate(texts)]
    path.write_text("\n".join(["when,row,y", *lines, ""]), encoding="utf-8")
    return str(path)


def parquet(path: Path, made: pa.Table) -> str:
    pq.write_table(made, path)
    return str(path)


ISO: dict[str, Callable[[datetime], str]] = {
    "T": lambda moment: moment.isoformat(),
    "space": lambda moment: moment.isoformat(sep=" "),
    "milliseconds": lambda moment: moment.isoformat(timespec="milliseconds"),
    "nanoseconds": lambda moment: moment.isoformat(timespec="microseconds") + "999",
    "Z": lambda moment: moment.isoformat() + "Z",
    "zone": lambda moment: moment.isoformat(sep=" ") + "+00:00",
    "half an hour": lambda m: m.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
    "hours": lambda m: m.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=-3))).isoformat()[:-3],
    "spaces around": lambda moment: f" {moment.isoformat()}  ",
}


@pytest.mark.parametrize("form", ISO)
def test_iso_texts_of_csv(form: str, tmp_path: Path) -> None:
    # A zone would bring the first and the last day of the calendar out of it.
    moments = MOMENTS if form in ("half an hour", "hours") else MOMENTS + FAR
    data = csv(tmp_path / "d.csv", [*(ISO[form](moment) for moment in moments), ""])
    assert read(data) == seconds([*moments, None])


def test_iso_days_and_minutes(tmp_path: Path) -> None:
    texts = ["2024-02-29", "0001-01-01", "9999-12-31", "1969-12-31T23:59", "2024-02-29 07:05Z", "2024-02-29T24:00:00"]
    moments = [datetime(2024, 2, 29), datetime(1, 1, 1), datetime(9999, 12, 31), datetime(1969, 12, 31, 23, 59)]
    expected = seconds([*moments, datetime(2024, 2, 29, 7, 5), datetime(2024, 3, 1)])
    assert read(csv(tmp_path / "d.csv", texts)) == expected
    assert read(parquet(tmp_path / "d.parquet", table(texts))) == expected


# Formats and whether Python's strptime has a directive by the same name for each of theirs.
FORMATS = {
    "%d/%m/%Y %H:%M:%S": "%d/%m/%Y %H:%M:%S",
    "%Y%m%d%H%M%S": "%Y%m%d%H%M%S",
    "%Y-%m-%d %H:%M:%S.%f": "%Y-%m-%d %H:%M:%S.%f",
    "%b %d, %Y %I:%M:%S %p": "%b %d, %Y %I:%M:%S %p",
    "%A %d. %B %Y": "%A %d. %B %Y",
    "%Y-%j": "%Y-%j",
    "%G-W%V-%u": "%G-W%V-%u",
    "%-d.%-m.%Y": "%d.%m.%Y",
    "100%% at %Y-%m-%d": "100%% at %Y-%m-%d",
    "it's %Y-%m-%d": "it's %Y-%m-%d",
    '"%Y-%m-%d"': '"%Y-%m-%d"',
    "%Y年%m月%d日": "%Y年%m月%d日",
    "%Y-%m-%d %H:%M %z": "%Y-%m-%d %H:%M %z",
}


@pytest.mark.parametrize("format", FORMATS)
def test_texts_of_a_format_are_what_strptime_says(format: str, tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=2))
    moments = MOMENTS + FAR if "%z" not in format else [m.replace(tzinfo=zone) for m in MOMENTS]
    # glibc writes the years before 1000 without their zeros, which strptime asks for.
    texts = [moment.strftime(format.replace("%Y", f"{moment.year:04}").replace("%G", "%G")) for moment in moments]
    if "%G" in format:
        texts = [f"{m.isocalendar()[0]:04}-W{m.isocalendar()[1]:02}-{m.isocalendar()[2]}" for m in moments]
    expected = [datetime.strptime(text, FORMATS[format]) for text in texts]
    plain = [moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment for moment in expected]
    assert read(csv(tmp_path / "d.csv", [*texts, ""]), configured(format=format)) == seconds([*plain, None])


def test_a_year_of_two_digits_is_of_1969_to_2068(tmp_path: Path) -> None:
    data = csv(tmp_path / "d.csv", ["29/02/24", "31/12/68", "01/01/69", "31/12/99"])
    expected = [datetime(2024, 2, 29), datetime(2068, 12, 31), datetime(1969, 1, 1), datetime(1999, 12, 31)]
    assert read(data, configured(format="%d/%m/%y")) == seconds(list(expected))


SECONDS = [0, -1, 1709227815, FIRST_SECOND, LAST_SECOND]


@pytest.mark.parametrize("type", [pa.int64(), pa.float64(), pa.decimal128(20, 3), pa.decimal128(18, 0)])
def test_whole_numbers_are_seconds(type: pa.DataType, tmp_path: Path) -> None:
    made = table([*SECONDS, None], type)
    expected = [*SECONDS, MISSING_INTEGER]
    for config in (configured(), configured(format="seconds")):
        assert read(made, config) == read(parquet(tmp_path / "d.parquet", made), config) == expected


def test_smaller_and_larger_integers(tmp_path: Path) -> None:
    for type in (pa.int8(), pa.uint8(), pa.int32(), pa.uint64()):
        assert read(table([0, 1, 100, None], type)) == [0, 1, 100, MISSING_INTEGER]


def test_text_that_says_seconds(tmp_path: Path) -> None:
    data = csv(tmp_path / "d.csv", [*map(str, SECONDS), "+5", ""])
    assert read(data, configured(format="seconds")) == [*SECONDS, 5, MISSING_INTEGER]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps_of_parquet_and_of_memory(unit: str, zone: str | None, tmp_path: Path) -> None:
    moments = [*MOMENTS, *(FAR if unit != "ns" else ())]
    # Microseconds of UTC, whatever the zone that they are shown in.
    micro = [(moment - EPOCH) // timedelta(microseconds=1) for moment in moments]
    scale = {"s": 10**-6, "ms": 10**-3, "us": 1, "ns": 1000}[unit]
    raw = [m * int(scale) if scale >= 1 else m // int(1 / scale + 0.5) for m in micro]
    made = table(pa.array([*raw, None], pa.int64()).cast(pa.timestamp(unit, zone)))
    expected = seconds([*moments, None])
    assert read(made) == expected
    assert read(parquet(tmp_path / "d.parquet", made)) == expected


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_nanosecond_before_a_second_is_of_the_second_before(zone: str | None, tmp_path: Path) -> None:
    made = table(pa.array([-1, -(10**9), -(10**9) - 1, 1, 10**9 - 1]).cast(pa.timestamp("ns", zone)))
    assert read(made) == read(parquet(tmp_path / "d.parquet", made)) == [-1, -1, -2, 0, 0]


@pytest.mark.parametrize("type", [pa.date32(), pa.date64()])
def test_days_of_parquet_and_of_memory(type: pa.DataType, tmp_path: Path) -> None:
    days = [date(2024, 2, 29), date(1969, 12, 31), date(1, 1, 1), date(9999, 12, 31), None]
    made = table(days, type)
    expected = seconds([None if day is None else datetime(day.year, day.month, day.day) for day in days])
    assert read(made) == read(parquet(tmp_path / "d.parquet", made)) == expected


FRAMES: dict[str, Callable[[], Any]] = {
    **{f"datetime64[{u}]": lambda u=u: np.array([*MOMENTS, None], f"datetime64[{u}]") for u in ("s", "ms", "us", "ns")},
    "UTC": lambda: pd.to_datetime([*MOMENTS, None]).tz_localize("UTC"),
    "Europe/Berlin": lambda: pd.to_datetime([*MOMENTS, None]).tz_localize("UTC").tz_convert("Europe/Berlin"),
    "objects": lambda: pd.Series([*MOMENTS, None], dtype=object),
    "objects with NaT": lambda: pd.Series([*MOMENTS, pd.NaT], dtype=object),
    "Arrow's": lambda: pd.Series([*MOMENTS, None], dtype=pd.ArrowDtype(pa.timestamp("us"))),
    "texts": lambda: [*(moment.isoformat() for moment in MOMENTS), None],
    "floats": lambda: [*map(float, seconds(list(MOMENTS))), np.nan],
    "nullable integers": lambda: pd.array([*seconds(list(MOMENTS)), None], dtype="Int64"),
}


@pytest.mark.parametrize("form", FRAMES)
def test_frames_of_pandas(form: str) -> None:
    frame = pd.DataFrame({"when": FRAMES[form]()})
    frame["row"], frame["y"] = range(len(frame)), [row % 2 for row in range(len(frame))]
    assert read(frame) == seconds([*MOMENTS, None])


def test_days_of_pandas() -> None:
    frame = pd.DataFrame({"when": [date(2024, 2, 29), date(1, 1, 1), None], "row": range(3), "y": [0, 1, 0]})
    assert read(frame) == seconds([datetime(2024, 2, 29), datetime(1, 1, 1), None])


def test_frames_of_polars() -> None:
    polars = pytest.importorskip("polars")
    rest = {"row": range(len(MOMENTS) + 1), "y": [row % 2 for row in range(len(MOMENTS) + 1)]}
    for unit in ("ms", "us", "ns"):
        when = polars.Series([*MOMENTS, None], dtype=polars.Datetime(unit))
        for made in (when, when.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Kolkata")):
            assert read(polars.DataFrame({"when": made, **rest})) == seconds([*MOMENTS, None])
    days = polars.DataFrame({"when": [date(2024, 2, 29), None], "row": [0, 1], "y": [0, 1]})
    assert read(days) == seconds([datetime(2024, 2, 29), None])


def test_records_hold_whole_seconds(tmp_path: Path) -> None:
    records = [tfrecord_cases.example(when=value, row=float(row), y=row % 2) for row, value in enumerate(SECONDS)]
    records.append(tfrecord_cases.example(row=9.0, y=1))
    file = tfrecord_cases.write(tmp_path / "d.tfrecord", records)
    assert read(str(file)) == [*SECONDS, MISSING_INTEGER]


def test_the_advice_for_milliseconds_is_followed(tmp_path: Path) -> None:
    data = csv(tmp_path / "d.csv", ["1700000000000", "1709227815123"])
    assert "divide the column by 1000, as data.columns can." in refused(data, configured())
    features = [{"type": "datetime", "column": "at", "parts": ["hour"]}, {"type": "numeric", "column": "row"}]
    source = Source.open(data).computing({"at": 'floor("when" / 1000)'}, None)
    schema = resolve_schema(Config.of({"data": {"label": "y"}, "features": features}), source)
    rows = Rows(source, schema).with_classes(("0", "1"))
    assert [value for batch in rows.batches(9) for value in batch.inputs["at"]] == [1700000000, 1709227815]


NAMES = ["pick up", 'a"b', "it's", "Zeit der Abholung é", "a.b", "select", "%d"]


@pytest.mark.parametrize("name", NAMES)
def test_columns_of_any_name(name: str, tmp_path: Path) -> None:
    feature = {"type": "datetime", "column": name, "name": "t", "parts": ["hour"], "format": "%d/%m/%Y"}
    number = {"type": "numeric", "column": "row"}
    config = Config.of({"data": {"label": "y", "names": {name: "moment"}}, "features": [feature, number]})
    frame = pd.DataFrame({name: ["29/02/2024", "31/12/1969"], "row": [0, 1], "y": [0, 1]})
    frame.to_csv(tmp_path / "d.csv", index=False)
    assert read(str(tmp_path / "d.csv"), config, name) == seconds([datetime(2024, 2, 29), datetime(1969, 12, 31)])
    frame[name] = ["29/02/2024", "x"]
    with pytest.raises(DataError, match=r"row 2, column .*: expected a date in the format .*found 'x'"):
        read(frame, config, name)


ISO_WANTED = "expected an ISO 8601 date, such as 2024-02-29 or 2024-02-29T17:30:00Z, from the year 1 to 9999, found "
# Text of the second row, the format, and what is said of it.
TEXTS: dict[str, tuple[str, str | None, str]] = {
    "no day": ("2024-02-30", None, f"{ISO_WANTED}'2024-02-30'."),
    "no leap year": ("1900-02-29", None, f"{ISO_WANTED}'1900-02-29'."),
    "a word": ("hello", None, f"{ISO_WANTED}'hello'."),
    "a mark": ("NA", None, "found 'NA'. If it stands for a missing value, name it in data.csv.null"),
    "no hour": ("2024-02-29T25:00:00", None, "found '2024-02-29T25:00:00'."),
    "no second": ("2024-02-29T23:59:60", None, "found '2024-02-29T23:59:60'."),
    "year 0": ("0000-12-31", None, f"{ISO_WANTED}'0000-12-31'."),
    "year 10000": ("10000-01-01", None, f"{ISO_WANTED}'10000-01-01'."),
    "before year 1 by its zone": ("0001-01-01T00:00:00+01:00", None, "found '0001-01-01T00:00:00+01:00'."),
    "after year 9999 by its zone": ("9999-12-31T23:59:59-01:00", None, "found '9999-12-31T23:59:59-01:00'."),
    "infinity": ("infinity", None, "found 'infinity'."),
    "minus infinity": ("-infinity", "%Y-%m-%d", "found '-infinity'."),
    "epoch": ("epoch", None, "found 'epoch'."),
    "epoch under a format": ("\tEpoch ", "%Y-%m-%d", "found '\\tEpoch '."),
    "now": ("now", None, "found 'now'."),
    "before Christ": ("2024-02-29 (BC)", None, "found '2024-02-29 (BC)'."),
    "a zone by name": ("2024-02-29 10:00:00 Europe/Berlin", None, "found '2024-02-29 10:00:00 Europe/Berlin'."),
    "spaces": ("  ", None, "found '  '."),
    "a day of digits": ("20240229", None, "found '20240229'. If it is a day, give the feature format: '%Y%m%d'."),
    "seconds": ("1709227815", None, "If it is seconds since 1970, give the feature format: seconds."),
    "milliseconds without a format": (
        "1700000000000",
        None,
        "found '1700000000000'. If it is milliseconds, divide the column by 1000, as data.columns can.",
    ),
    "microseconds without a format": ("1700000000000000", None, "divide the column by 1000000, as data.columns can."),
    "nanoseconds without a format": ("1700000000000000000", None, "If it is nanoseconds, divide the column by 1000000"),
    "seconds after year 9999 without a format": ("253402300800", None, f"{ISO_WANTED}'253402300800'."),
    "a number that is no time": ("99999999999999", None, f"{ISO_WANTED}'99999999999999'."),
    "milliseconds under a format": ("1700000000000", "%Y-%m-%d", "found '1700000000000'."),
    "a day with points": ("29.02.2024", None, "Give the feature the format of its text, such as format: '%d/%m/%Y'."),
    "another order": ("02/29/2024", "%d/%m/%Y", "expected a date in the format '%d/%m/%Y', from the year 1 to 9999"),
    "more than the format": ("29/02/2024 17:30", "%d/%m/%Y", "found '29/02/2024 17:30'."),
    "less than the format": ("29/02/2024", "%d/%m/%Y %H:%M", "found '29/02/2024'."),
    "no day of a format": ("30/02/2024", "%d/%m/%Y", "found '30/02/2024'."),
    "two digits of a year": ("29/02/24", "%d/%m/%Y", "found '29/02/24'."),
    "two digits of a year of weeks": ("24-W09-4", "%G-W%V-%u", "found '24-W09-4'."),
    "day 366": ("2023-366", "%Y-%j", "found '2023-366'."),
    "a fraction of a second": ("1.5", "seconds", "expected whole seconds since 1970, from the year 1 to 9999, found"),
    "a date in place of seconds": ("2024-02-29", "seconds", "expected whole seconds since 1970"),
    "milliseconds": ("1709227815000", "seconds", "If it is milliseconds, divide the column by 1000"),
    "seconds after year 9999": (str(LAST_SECOND + 1), "seconds", f"found '{LAST_SECOND + 1}'."),
    "seconds before year 1": (str(FIRST_SECOND - 1), "seconds", f"found '{FIRST_SECOND - 1}'."),
}


def refused(data: Any, config: Config, error: type[TfwdError] = DataError) -> str:
    with pytest.raises(error) as caught:
        read(data, config)
    message = str(caught.value)
    assert "\n" not in message
    assert not re.search(r"LINE 1|Binder|Invalid Input|Conversion Error|read_csv|tfwd_|!", message), message
    return message


@pytest.mark.parametrize("case", TEXTS)
def test_text_that_is_no_moment_is_named(case: str, tmp_path: Path) -> None:
    text, format, wanted = TEXTS[case]
    good = {None: "2024-02-29", "seconds": "7"}.get(format) or datetime(2023, 5, 6).strftime(format or "")
    config = configured(format=format)
    data = csv(tmp_path / "d.csv", [good, text, good])
    message = refused(data, config)
    assert message.startswith(f"{data}, row 2, column 'when': expected ")
    assert wanted in message
    assert message.endswith(wanted) or not wanted.endswith(".")
    # As in a frame, which has no file.
    assert "row 2, column 'when': expected " in refused(table([good, text]), config)


VALUES: dict[str, tuple[Any, str]] = {
    "a fraction": (pa.array([7.0, 1.5]), "expected whole seconds since 1970, from the year 1 to 9999, found '1.5'."),
    "infinite": (pa.array([7.0, np.inf]), "whole seconds since 1970, from the year 1 to 9999, found 'inf'."),
    "large float": (pa.array([7.0, 1e300]), "found '1e+300'."),
    "year 10000": (pa.array([7, LAST_SECOND + 1]), f"found '{LAST_SECOND + 1}'."),
    "milliseconds": (pa.array([7, 1709227815000]), "If it is milliseconds, divide the column by 1000,"),
    "the missing number": (pa.array([7, MISSING_INTEGER]), "write missing integers as null."),
    "unsigned": (pa.array([7, 2**64 - 1], pa.uint64()), f"found '{2**64 - 1}'."),
    "day before year 1": (pa.array([0, -719163], pa.int32()).cast(pa.date32()), "expected a moment from the year 1"),
    "day after year 9999": (pa.array([0, 2932897], pa.int32()).cast(pa.date32()), "found '10000-01-01'."),
    "moment after year 9999": (
        pa.array([0, LAST_SECOND + 1], pa.int64()).cast(pa.timestamp("s")),
        "expected a moment from the year 1 to 9999, found '10000-01-01 00:00:00'.",
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_out_of_range_are_named(case: str, tmp_path: Path) -> None:
    values, wanted = VALUES[case]
    data = parquet(tmp_path / "d.parquet", table(values))
    message = refused(data, configured())
    assert message.startswith(f"{data}, row 2, column 'when': expected ")
    assert wanted in message


@pytest.mark.parametrize(
    "values",
    [pa.array([1, 2], pa.time64("us")), pa.array([True, False]), pa.array([[1], [2]]), pa.array([b"a", b"b"])],
    ids=["TIME", "BOOLEAN", "list", "BLOB"],
)
def test_columns_of_another_type_are_refused(values: pa.Array) -> None:
    message = refused(table(values), configured(), ConfigError)
    assert "The feature 'when' reads 'when', which is " in message
    assert message.endswith("a datetime feature needs a day, a moment, text or whole seconds since 1970.")


def test_a_later_file_of_another_type_is_refused(tmp_path: Path) -> None:
    source = Source.open(table([1, 2]))
    schema = resolve_schema(configured(), source)
    for values in (pa.array([True, False]), pa.array([[1], [2]])):
        with pytest.raises(DataError, match="the model takes a day, a moment, text or whole seconds since 1970 for it"):
            Rows(Source.open(table(values)), schema)
    # Another form of moments is what it was.
    rows = Rows(Source.open(table(np.array(MOMENTS, "datetime64[us]"))), schema).with_classes(("0", "1"))
    assert [value for batch in rows.batches(9) for value in batch.inputs["when"]] == seconds(list(MOMENTS))


def test_a_later_file_without_a_moment_is_read(tmp_path: Path) -> None:
    """Such a column has any type: pandas writes one of None as NULL."""
    schema = resolve_schema(configured(), Source.open(table([1, 2])))
    pd.DataFrame({"when": [None, None], "row": [0, 1], "y": [0, 1]}).to_parquet(tmp_path / "d.parquet")
    none = pa.array([None, None])
    for data in (str(tmp_path / "d.parquet"), table(none), table(none, pa.bool_()), table(none.cast(pa.bool_()))):
        rows = Rows(Source.open(data), schema).with_classes(("0", "1"))
        assert [value for batch in rows.batches(9) for value in batch.inputs["when"]] == [MISSING_INTEGER] * 2


def test_periods_of_pandas_are_refused() -> None:
    """Their numbers are months here, and would be taken for seconds."""
    frame = pd.DataFrame({"when": pd.period_range("2024-01", periods=2, freq="M"), "row": [0, 1], "y": [0, 1]})
    message = (
        "holds periods. Convert it to moments, for example with .dt.to_timestamp(), or to strings, for example with "
        ".astype(str)."
    )
    assert message in refused(frame, configured())


def test_one_column_has_one_form() -> None:
    when = {"type": "datetime", "column": "when", "parts": ["hour"]}
    number = {"type": "numeric", "column": "row"}
    others: list[tuple[dict[str, Any], str]] = [
        (
            {"type": "datetime", "column": "when", "name": "b", "parts": ["hour"], "format": "%d/%m/%Y"},
            "The features 'when' and 'b' both read 'when', one as moments without a format and one as moments of the "
            "format '%d/%m/%Y', and an input has one form. Give the datetime features the same format",
        ),
        (
            {"type": "categorical", "column": "when", "name": "b"},
            "The features 'when' and 'b' both read 'when', one as moments without a format and one as a value, and an "
            "input has one form.",
        ),
        ({"type": "numeric", "column": "when", "name": "b"}, "one as moments without a format and one as a value"),
        # An integer is of no format, ISO 8601 or other.
        (
            {"type": "datetime", "column": "when", "name": "b", "parts": ["hour"], "format": "seconds"},
            "one as moments without a format and one as moments of the format 'seconds'",
        ),
    ]
    for other, wanted in others:
        config = Config.of({"data": {"label": "y"}, "features": [when, number, other]})
        integers = other["type"] == "numeric" or other.get("format") == "seconds"
        values = [7, 8] if integers else ["2024-02-29", "2024-03-01"]
        assert wanted in refused(table(values), config, ConfigError)


WHEN = Schema((Input("when", "when", "integer", moment=""),), "binary", "y")
AWARE = pd.to_datetime([*MOMENTS, None]).tz_localize("UTC").tz_convert("Europe/Berlin")
REQUESTS: dict[str, Any] = {
    **{f"datetime64[{u}]": np.array([*MOMENTS, None], f"datetime64[{u}]") for u in ("s", "ms", "us", "ns")},
    "a column": np.array([*MOMENTS, None], "datetime64[us]")[:, np.newaxis],
    "datetimes": [*MOMENTS, None],
    "aware datetimes": [*(m.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=9))) for m in MOMENTS), pd.NaT],
    "objects": np.array([*MOMENTS, None], object),
    "timestamps": [*map(pd.Timestamp, MOMENTS), pd.NaT],
    "Series": pd.Series([*MOMENTS, None]),
    "Series with a zone": pd.Series(AWARE),
    "Index": pd.DatetimeIndex([*MOMENTS, None]),
    "Series of objects": pd.Series([*MOMENTS, pd.NaT], dtype=object),
    "Arrow": pa.array([*MOMENTS, None], pa.timestamp("us")),
    "Arrow's nanoseconds": pa.array([*MOMENTS, None], pa.timestamp("ns", "Europe/Berlin")),
    "seconds": [*seconds(list(MOMENTS)), None],
    "int64": np.array(seconds([*MOMENTS, None])),
    "floats": np.array([*seconds(list(MOMENTS)), np.nan], np.float64),
    "scalars of NumPy": [*(np.datetime64(moment, "ns") for moment in MOMENTS), np.datetime64("NaT")],
    "moments and seconds": [*MOMENTS[:4], *seconds(list(MOMENTS[4:])), None],
}


@pytest.mark.parametrize("form", REQUESTS)
def test_raw_batches_hold_moments_in_any_form(form: str) -> None:
    found = raw_arrays(WHEN, {"when": REQUESTS[form]})["when"]
    assert found.dtype == np.int64
    assert found.tolist() == seconds([*MOMENTS, None])


def test_raw_batches_hold_days() -> None:
    days = [date(2024, 2, 29), date(1, 1, 1), None]
    expected = seconds([datetime(2024, 2, 29), datetime(1, 1, 1), None])
    for values in (days, np.array(days, "datetime64[D]"), pa.array(days)):
        assert raw_arrays(WHEN, {"when": values})["when"].tolist() == expected
    assert raw_arrays(WHEN, {"when": []})["when"].tolist() == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["2024-02-29"], "'2024-02-29' in row 1"),
        (np.array(["2024-02-29"]), "str"),
        ([MOMENTS[0], "2024-02-29"], "'2024-02-29' in row 2"),
        ([1.5], "1.5 in row 1"),
        (np.array([1], "timedelta64[s]"), "timedelta64"),
        ([timedelta(1)], "in row 1"),
    ],
)
def test_a_request_that_is_no_moment_is_told_what_would_be(value: Any, found: str) -> None:
    with pytest.raises(DataError) as caught:
        raw_arrays(WHEN, {"when": value})
    wanted = "The input 'when' takes moments, int64 seconds since 1970-01-01 UTC or datetime64. Received: "
    assert str(caught.value).startswith(wanted)
    assert found in str(caught.value)
