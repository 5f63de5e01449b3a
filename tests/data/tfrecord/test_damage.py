"""A record that cannot be read is named: its file, its number, and the byte at which it begins."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tfrecord_cases import example, offset, write

from tfwd.data import Source
from tfwd.data.tfrecord.framing import masked_crc
from tfwd.errors import DataError

RECORDS = [example(word=f"word {index}", n=index, tags=["t"] * (index % 4)) for index in range(700)]
BAD = 613
START = offset(RECORDS, BAD)
DATA = len(RECORDS[BAD])


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def cut(at: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:at]


DAMAGE = {
    "length": (flipped(START + 1), "the checksum of its length does not match"),
    "checksum of the length": (flipped(START + 8), "the checksum of its length does not match"),
    "first byte of the data": (flipped(START + 12), f"the checksum of its {DATA} bytes of data does not match"),
    "last byte of the data": (flipped(START + 11 + DATA), f"the checksum of its {DATA} bytes of data does not match"),
    "checksum of the data": (flipped(START + 12 + DATA), f"the checksum of its {DATA} bytes of data does not match"),
    "cut in the length": (cut(START + 3), "it is cut off: the file ends after 3 of the 12 bytes of its header"),
    "cut in its checksum": (cut(START + 11), "it is cut off: the file ends after 11 of the 12 bytes of its header"),
    "cut before the data": (cut(START + 12), f"it is cut off: the file ends after 12 of its {DATA + 16} bytes"),
    "cut in the data": (cut(START + 20), f"it is cut off: the file ends after 20 of its {DATA + 16} bytes"),
    "cut in the last byte": (
        cut(START + 15 + DATA),
        f"it is cut off: the file ends after {DATA + 15} of its {DATA + 16} bytes",
    ),
}


def refused(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        Source.open(file)
    return str(caught.value)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_placed(tmp_path: Path, damage: str, zipped: bool) -> None:
    write(tmp_path / "a-00000-of-00002.tfrecord", RECORDS[:3])
    file = write(tmp_path / "a-00001-of-00002.tfrecord", RECORDS)
    change, said = DAMAGE[damage]
    content = change(file.read_bytes())
    file.write_bytes(gzip.compress(content) if zipped else content)
    message = refused(tmp_path)
    stream = " of the decompressed stream" if zipped else ""
    assert message.startswith(f"{file}, record {BAD + 1} at byte {START}{stream}: {said}"), message


PROTOS = {
    "no example": (b"\xff\xff\xff\xff", "its data is not a tf.train.Example"),
    "a cut example": (RECORDS[BAD][:-1], "its data is not a tf.train.Example"),
    "another kind": (example(n=0.5), "the feature 'n' holds floats, and int64s in an earlier record"),
    "an empty list of another kind": (example(n=[]), "the feature 'n' holds bytes, and int64s in an earlier record"),
    "no text": (example(word=b"caf\xe9"), "the feature 'word' holds b'caf\\xe9', which is not a string in UTF-8"),
    "no text in a list": (example(tags=[b"a", b"\xff"]), "the feature 'tags' holds b'\\xff', which is not a string"),
    "no name": (example(**{"": 1}), "a feature has no name"),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("record", PROTOS)
def test_records_that_do_not_fit_are_placed(tmp_path: Path, record: str, zipped: bool) -> None:
    bad, said = PROTOS[record]
    records = [*RECORDS[:BAD], bad, *RECORDS[BAD + 1 :]]
    file = write(tmp_path / "a.tfrecord", records, "GZIP" if zipped else "")
    stream = " of the decompressed stream" if zipped else ""
    assert refused(file).startswith(f"{file}, record {BAD + 1} at byte {START}{stream}: {said}")


def test_sequence_examples_are_refused(tmp_path: Path) -> None:
    record = tf.train.SequenceExample()
    record.context.feature["n"].int64_list.value.append(1)
    record.feature_lists.feature_list["tokens"].feature.add().int64_list.value.append(2)
    file = write(tmp_path / "a.tfrecord", [record.SerializeToString()])
    assert refused(file).startswith(f"{file}, record 1 at byte 0: its data has more fields than tf.train.Example")


def test_a_kind_that_differs_in_another_file_is_placed(tmp_path: Path) -> None:
    write(tmp_path / "a.tfrecord", RECORDS)
    file = write(tmp_path / "b.tfrecord", [example(word="x"), example(word=7)])
    place = offset([example(word="x")], 1)
    assert refused(tmp_path).startswith(f"{file}, record 2 at byte {place}: the feature 'word' holds int64s, and bytes")


def test_names_that_cannot_be_columns(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tfrecord", [example(Age=1), example(age=1)])
    assert "the column 'Age' and 'age', which differ only in case" in refused(file)
    file = write(tmp_path / "b.tfrecord", [example(file_row_number=1)])
    assert refused(file) == f"{file} has a column 'file_row_number', a name that DuckDB itself uses. Rename it."


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"PAR1" + bytes(40), b"{}", bytes(1000)])
def test_files_of_another_kind(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.tfrecord"
    file.write_bytes(content)
    message = refused(file)
    assert message.startswith(f"{file}, record 1 at byte 0: ")
    assert "is not a TFRecord file" in message or "it is cut off" in message


def test_damaged_gzip(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tfrecord", RECORDS, "GZIP")
    whole = file.read_bytes()
    size = offset(RECORDS, len(RECORDS))
    for content, said in (
        (whole[:-4], f"it was truncated after {size} bytes of the decompressed stream"),
        (whole[:-6] + b"xx" + whole[-4:], "it was damaged after"),
        (whole + b"more", f"it was damaged after {size} bytes of the decompressed stream"),
    ):
        file.write_bytes(content)
        assert refused(file).startswith(f"{file} is not a complete gzip file: {said}")
    # What there is of a truncated file ends in a record.
    file.write_bytes(whole[: len(whole) // 2])
    message = refused(file)
    assert "of the decompressed stream: it is cut off" in message
    assert "The gzip file is not complete: it was truncated after" in message
    # Two files one after the other are one.
    file.write_bytes(whole * 2)
    source = Source.open(file)
    assert source.connect().sql(source.select("count(*)")).fetchall() == [(2 * len(RECORDS),)]


def test_a_plain_file_that_begins_like_gzip(tmp_path: Path) -> None:
    length = int.from_bytes(b"\x1f\x8b\x08", "little")
    record = example(text="x" * length)
    record = example(text="x" * (2 * length - len(record)))
    file = write(tmp_path / "a.tfrecord", [record])
    assert file.read_bytes()[:3] == b"\x1f\x8b\x08"
    source = Source.open(file)
    assert source.connect().sql(source.select("len(text)")).fetchall() == [
        (2 * length - len(example(text="x" * length)),)
    ]


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300))
def test_checksum_is_that_of_tensorflow(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    content = write(tmp_path_factory.getbasetemp() / "checksum.tfrecord", [data]).read_bytes()
    assert masked_crc(content[:8]) == int.from_bytes(content[8:12], "little")
    assert masked_crc(data) == int.from_bytes(content[-4:], "little")
    assert next(iter(tf.data.TFRecordDataset(str(tmp_path_factory.getbasetemp() / "checksum.tfrecord")))) == data
