"""The first record of a CSV file: the names of its columns, whatever is wrong further down."""

from __future__ import annotations

import gzip
from typing import IO, Any

from tfwd.config.data import CsvConfig
from tfwd.data.failures import reading
from tfwd.data.gzip_check import is_gzip
from tfwd.errors import DataError

# Far beyond the names of 100,000 columns; anything longer is not a first line, but a file without lines.
_LONGEST, _LINES = 16 * 2**20, 1000


def read_header(file: str, dialect: CsvConfig) -> list[str]:
    """Returns the fields of the first record, unchanged.

    DuckDB takes seconds for a record of thousands of fields, and renames equal ones.

    Args:
        file: its path.
        dialect: how it is written; fields that stand for a missing value are names here.

    Raises:
        DataError: there is none, it is not UTF-8 or too long, or one of its quotes is not closed.
    """
    opener: Any = gzip.open if is_gzip(file) else open
    with reading(file), opener(file, "rb") as lines:
        for _ in range(dialect.skip):
            if not _line(lines):
                break
        fields = split_record(_record(file, lines, dialect), dialect)
    if fields is None:
        raise DataError(f"{file}, line {dialect.skip + 1}: a quote is opened and not closed.")
    if fields == [""]:
        raise DataError(f"{file} is empty: expected a first line with the columns' names.")
    return fields


def _record(file: str, lines: IO[bytes], dialect: CsvConfig) -> str:
    record = _line(lines)
    empty = 0
    while record and not record.strip(b"\r\n"):
        empty += 1
        record = _line(lines)
    if record and empty:
        # For DuckDB the empty line is the header, and the names are the first row.
        raise DataError(
            f"{file}, line {dialect.skip + 1}, is empty: expected the columns' names. Set data.csv.skip to "
            f"{dialect.skip + empty}, the number of lines before them."
        )
    text = _text(file, record, dialect)
    for _ in range(_LINES):
        if split_record(text, dialect) is not None or not (following := _line(lines)) or len(record) >= _LONGEST:
            break
        record += following
        text = _text(file, record, dialect)
    if len(record) >= _LONGEST:
        raise DataError(
            f"{file}, line {dialect.skip + 1}: expected the columns' names, found more than {_LONGEST >> 20} MiB "
            "without the end of a line."
        )
    return text


def _line(lines: IO[bytes]) -> bytes:
    return lines.readline(_LONGEST)


def _text(file: str, record: bytes, dialect: CsvConfig) -> str:
    try:
        return record.decode("utf-8-sig" if not dialect.skip else "utf-8")
    except UnicodeDecodeError:
        where = f"{file}, line {dialect.skip + 1}"
        if record.startswith((b"\xff\xfe", b"\xfe\xff")):
            fault, form = "UTF-16", "UTF-16"
        else:
            fault, form = "not UTF-8", "LATIN1"
        raise DataError(
            f"{where}: the text is {fault}. Convert the file, for example with iconv -f {form} -t UTF-8."
        ) from None


def split_record(text: str, dialect: CsvConfig) -> list[str] | None:
    """Returns the fields of a record, which ends with its line; None if one of its quotes is not closed.

    A quote opens a field where the field begins with it; in it the escape stands before a quote and before itself.
    """
    fields, at = [], 0
    while True:
        if dialect.quote and text.startswith(dialect.quote, at):
            found = _quoted(text, at + 1, dialect)
            if found is None:
                return None
            field, at = found
        else:
            field = ""
        ends = [place for end in (dialect.delimiter, "\n", "\r") if (place := text.find(end, at)) >= 0]
        end = min(ends, default=len(text))
        fields.append(field + text[at:end])
        if not text.startswith(dialect.delimiter, end):
            return fields
        at = end + len(dialect.delimiter)


def _quoted(text: str, at: int, dialect: CsvConfig) -> tuple[str, int] | None:
    """Returns the content up to the closing quote, and the position after it."""
    pieces = []
    while True:
        quote = text.find(dialect.quote, at)
        escape = text.find(dialect.escape, at) if dialect.escape else -1
        if escape >= 0 and (escape <= quote or quote < 0):
            following = text[escape + 1 : escape + 2]
            if following and following in (dialect.quote, dialect.escape):
                pieces.append(text[at:escape] + following)
                at = escape + 2
                continue
        if quote < 0:
            return None
        if escape >= 0 and escape < quote:
            pieces.append(text[at : escape + 1])
            at = escape + 1
            continue
        pieces.append(text[at:quote])
        return "".join(pieces), quote + 1
