"""Whether a gzip file is complete: its length and its checksum, which DuckDB does not check."""

from __future__ import annotations

import gzip
import zlib

from tfwd.data.failures import reading
from tfwd.errors import DataError

_READ = 2**20


def is_gzip(file: str) -> bool:
    """Returns whether a CSV file is compressed, according to its name."""
    return file.lower().endswith(".gz")


def check_gzip(file: str) -> None:
    """Reads a gzip file to its end, a MiB at a time.

    Raises:
        DataError: it is truncated or damaged; or it cannot be read.
    """
    place = 0
    with reading(file), gzip.open(file, "rb") as stream:
        try:
            while part := stream.read(_READ):
                place += len(part)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            how = "it was truncated" if isinstance(error, EOFError) else f"it was damaged ({error})"
            raise DataError(
                f"{file} is not a complete gzip file: {how}, after {place:,} bytes of the decompressed text or a "
                "little later. Write or copy it again."
            ) from None
