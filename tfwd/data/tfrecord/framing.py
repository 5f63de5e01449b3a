"""The frames of a TFRecord file: where its records are, and which of them is damaged.

A record is its length (uint64), the masked CRC-32C of these eight bytes, the data, and the masked CRC-32C of the data;
all numbers are little-endian (tensorflow/core/lib/io/record_writer.h).
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tfwd.data.failures import reading
from tfwd.errors import DataError

# What a frame adds to the data: the length and its checksum before it, the checksum of the data after it.
HEADER, FRAME = 12, 16

_GZIP = b"\x1f\x8b\x08"
_COPIED = 1 << 20
# Records that TensorFlow returns at a time, and the number or bytes that fill a chunk: large records reach the bytes
# first.
_BATCH = 256
CHUNK_RECORDS, CHUNK_BYTES = 16_384, 32 * 2**20


def _table() -> list[int]:
    entries = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        entries.append(value)
    return entries


_TABLE = _table()


def masked_crc(data: bytes) -> int:
    """Returns the masked CRC-32C of TFRecord, in plain Python: for headers, and the few records searched for damage."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class Records(NamedTuple):
    """Consecutive records of a file.

    Attributes:
        data: their contents.
        number: the number of the first, from 1.
        offset: the offset of the first, in bytes of the decompressed file.
    """

    data: list[bytes]
    number: int
    offset: int

    def place(self, index: int) -> tuple[int, int]:
        """Returns the number and offset of the record at an index."""
        return self.number + index, self.offset + sum(len(record) + FRAME for record in self.data[:index])


class RecordFile:
    """A TFRecord file, plain or gzip, regardless of its name.

    Args:
        path: the file.
        work: a folder for the decompressed copy of a gzip file, which is removed when it has been read.

    Attributes:
        compressed: whether it is gzip.
        share_read: the progress of `chunks`, from 0 to 1.
    """

    def __init__(self, path: str, work: Path) -> None:
        self.path = path
        self._work = work
        with reading(path), open(path, "rb") as file:
            head = file.read(HEADER)
        # A record of half a megabyte may also begin with gzip's three bytes, but is followed by a checksum.
        self.compressed = head.startswith(_GZIP) and not _is_header(head)
        self.share_read = 0.0

    def chunks(self) -> Iterator[Records]:
        """Yields all records in order, with verified checksums, in lists of bounded size.

        Raises:
            DataError: a record is damaged or cut off, or there is none; names the record's number and offset.
        """
        if not self.compressed:
            yield from self._chunks(self.path)
            return
        plain = self._work / "decompressed.tfrecord"
        try:
            damage = self._decompress(plain)
            try:
                yield from self._chunks(str(plain))
            except DataError as error:
                raise DataError(f"{error} The gzip file is not complete: {damage}.") if damage else error from None
        finally:
            plain.unlink(missing_ok=True)
        if damage:
            raise DataError(f"{self.path} is not a complete gzip file: {damage}. Write it again.")

    def error(self, number: int, offset: int, what: str) -> DataError:
        """Returns the error about one record."""
        stream = " of the decompressed stream" if self.compressed else ""
        return DataError(f"{self.path}, record {number} at byte {offset}{stream}: {what}")

    def _decompress(self, plain: Path) -> str | None:
        """Writes the plain file; returns what is wrong if the end of the stream cannot be reached."""
        with gzip.open(self.path) as source, open(plain, "wb") as target:
            try:
                while part := source.read1(_COPIED):
                    target.write(part)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                how = "it was truncated" if isinstance(error, EOFError) else "it was damaged"
                return f"{how} after {target.tell()} bytes of the decompressed stream"
        return None

    def _chunks(self, plain: str) -> Iterator[Records]:
        import tensorflow as tf

        total = os.path.getsize(plain)
        if not total:
            raise DataError(f"{self.path} is empty.")
        waiting: list[bytes] = []
        number, offset, size = 1, 0, 0
        with tf.device("/CPU:0"):
            batches = iter(tf.data.TFRecordDataset(plain, buffer_size=_COPIED).batch(_BATCH).prefetch(4))
        while True:
            try:
                batch = next(batches, None)
            except tf.errors.OpError as error:
                place = number + len(waiting), offset + size
                raise self._damage(plain, *place) or self._unreadable(str(error)) from None
            if batch is None and offset + size != total:
                # TensorFlow treats bytes too few for a header as the end.
                place = number + len(waiting), offset + size
                raise self._damage(plain, *place) or self._unreadable("it changed while it was read")
            if batch is not None:
                found = batch.numpy().tolist()
                waiting += found
                size += sum(map(len, found)) + FRAME * len(found)
            if waiting and (batch is None or len(waiting) >= CHUNK_RECORDS or size >= CHUNK_BYTES):
                yield Records(waiting, number, offset)
                number, offset = number + len(waiting), offset + size
                waiting, size = [], 0
                self.share_read = offset / total
            if batch is None:
                return

    def _damage(self, plain: str, number: int, offset: int) -> DataError | None:
        """Returns the error about the first damaged record, searched from an intact one on."""
        with open(plain, "rb") as file:
            while True:
                file.seek(offset)
                what, length = _examine(file)
                if what is not None:
                    return self.error(number, offset, what)
                if length is None:
                    return None
                number, offset = number + 1, offset + length + FRAME

    def _unreadable(self, reason: str) -> DataError:
        return DataError(f"{self.path} cannot be read: {reason.splitlines()[0].rstrip('.')}.")


def _examine(file: BinaryIO) -> tuple[str | None, int | None]:
    """Returns what is wrong with the record that begins here, and its length; None as length at the end of the file."""
    start = file.tell()
    left = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    head = file.read(HEADER)
    if not head:
        return None, None
    if len(head) < HEADER:
        return f"it is cut off: the file ends after {len(head)} of the {HEADER} bytes of its header.", None
    if not _is_header(head):
        return (
            "the checksum of its length does not match. The file is damaged there, is not a TFRecord file, or is "
            "compressed, but not with gzip.",
            None,
        )
    length = int(struct.unpack("<Q", head[:8])[0])
    if left < length + FRAME:
        return f"it is cut off: the file ends after {left} of its {length + FRAME} bytes.", None
    data = file.read(length)
    if struct.pack("<I", masked_crc(data)) != file.read(4):
        return f"the checksum of its {length} bytes of data does not match. The file is damaged there.", None
    return None, length


def _is_header(head: bytes) -> bool:
    return len(head) == HEADER and struct.pack("<I", masked_crc(head[:8])) == head[8:]
