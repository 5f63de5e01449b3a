"""What DuckDB and Arrow say when a file cannot be read, as one sentence for its owner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from tfwd.data.paths import given_name
from tfwd.errors import DataError

ENGINE_ERRORS = (duckdb.Error, pa.ArrowException, OSError, EOFError)


def is_conversion(error: BaseException) -> bool:
    """Whether a value did not fit its type (the row is found afterwards)."""
    return "Conversion Error" in str(error) or "Could not convert" in str(error)


def explain(error: BaseException, name: str) -> DataError:
    """The error to raise in place of the engine's.

    Args:
        error: what DuckDB or Arrow raised.
        name: the source, for when the message does not say which file.
    """
    message = str(error)
    found = _find(r"^\s*file = (.*)$", message) or _find(r"'([^'\n]+\.(?:parquet|pq))'", message)
    file = given_name(found) if found else name
    barred = _find(r'Cannot access \w+ "(.*)" - file system operations are disabled', message)
    if barred is not None:
        return DataError(f"{name} cannot be read: {given_name(barred)} is none of the files that were opened.")
    line = _find(r"CSV Error on Line: (\d+)", message)
    expected = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if line and expected:
        original = _find(r"^Original Line: (.*)$", message) or ""
        return DataError(
            f"{file}, line {line}: expected {expected[1]} fields, found {expected[2]}: {_short(original)!r}. "
            "A field that holds the delimiter must be quoted."
        )
    if "not utf-8" in message.lower() or "invalid unicode" in message.lower():
        where = f"{file}, line {line}" if line else file
        return DataError(f"{where}: the text is not UTF-8. Convert the file, as with iconv -f LATIN1 -t UTF-8.")
    if "unterminated quote" in message.lower():
        return DataError(f"{file}, line {line}: a quote is opened and not closed.")
    if "magic bytes" in message or "Parquet" in message or "parquet" in message:
        return DataError(f"{file} is not a whole Parquet file: it was truncated or damaged. Write it again.")
    if (
        isinstance(error, EOFError)
        or "gzip" in message.lower()
        or "inflate" in message.lower()
        or "miniz" in message.lower()
    ):
        return DataError(f"{file} is not a whole gzip file: it was truncated or damaged. Write it again.")
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
