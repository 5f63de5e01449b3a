"""The errors of DuckDB and Arrow for a file that cannot be read, as one sentence for its owner."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from tfwd.data.paths import given_name
from tfwd.errors import DataError

ENGINE_ERRORS = (duckdb.Error, pa.ArrowException, OSError, EOFError, zlib.error)


def is_conversion(error: BaseException) -> bool:
    """Returns whether a value did not fit its type (the row is found afterwards)."""
    return "Conversion Error" in str(error) or "Could not convert" in str(error)


def explain(error: BaseException, name: str) -> DataError:
    """Returns the error to raise in place of the engine's.

    Args:
        error: what DuckDB or Arrow raised.
        name: the source, in case the message does not name the file.
    """
    message = str(error)
    found = _find(r"^\s*file = (.*)$", message) or _find(r"'([^'\n]+\.(?:parquet|pq))'", message)
    file = given_name(found) if found else name
    if isinstance(error, duckdb.OutOfMemoryException):
        what = message.partition("Error: ")[2].splitlines()[0].rstrip(".")
        return DataError(
            f"Reading {name} takes more memory than there is ({what}). Remove the columns that no feature reads from "
            "the file, or write it as Parquet, of which only the needed columns are read."
        )
    barred = _find(r'Cannot access \w+ "(.*)" - file system operations are disabled', message)
    if barred is not None:
        # If a file is gone, DuckDB looks for a folder of its name.
        asked = given_name(barred.split("/**/")[0])
        if "/**/" in barred:
            return DataError(f"{asked} no longer exists: it existed when it was opened.")
        return DataError(f"{name} cannot be read: {asked} is none of the files that were opened.")
    line = _find(r"CSV Error on Line: (\d+)", message)
    expected = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if line and expected:
        original = _find(r"^Original Line: (.*)$", message) or ""
        few = int(expected[2]) < int(expected[1])
        advice = "must be quoted" if not few else "is empty is written all the same, as nothing between delimiters"
        return DataError(
            f"{file}, line {line}: expected {expected[1]} fields, found {expected[2]}: {_short(original)!r}. "
            f"A field that {'' if few else 'holds the delimiter '}{advice}."
        )
    if "not valid utf8" in message.lower():
        return DataError(
            f"{file}: a string is not UTF-8: {_find(r'value (.*) is not valid', message)}. Write the column as UTF-8 "
            "text, or leave it out of the file."
        )
    if "not utf-8" in message.lower() or "invalid unicode" in message.lower():
        where = f"{file}, line {line}" if line else file
        return DataError(
            f"{where}: the text is not UTF-8. Convert the file, for example with iconv -f LATIN1 -t UTF-8."
        )
    if "unterminated quote" in message.lower():
        return DataError(f"{file}, line {line}: a quote is opened and not closed.")
    if "magic bytes" in message or "Parquet" in message or "parquet" in message:
        return DataError(f"{file} is not a complete Parquet file: it was truncated or damaged. Write it again.")
    if (
        isinstance(error, EOFError | zlib.error)
        or "gzip" in message.lower()
        or "inflate" in message.lower()
        or "miniz" in message.lower()
    ):
        return DataError(f"{file} is not a complete gzip file: it was truncated or damaged. Write it again.")
    first = re.sub(r"^[A-Z][A-Za-z ]*Error: ", "", message.strip().splitlines()[0] if message.strip() else "")
    where = f"{file}, line {line}," if line else file
    return DataError(f"{where} cannot be read: {first.rstrip('.')}.")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns the engine's errors into a `DataError` about the source `name`."""
    try:
        yield
    except ENGINE_ERRORS as error:
        raise explain(error, name) from None


def _find(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else None


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
