"""Awkward data files: a good file spoilt by a seed, read as a training and a scoring read it.

`python -m tests.hostile.files --count 300`

What comes out is rows or an error of tfwd, never another exception, and nothing hangs.
"""

from __future__ import annotations

import gzip
import io
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.hostile.tally import Tally, arguments, track

FEATURES = [
    {"type": "numeric", "column": "age"},
    {"type": "bucketized", "column": "age", "quantiles": 3},
    {"type": "categorical", "column": "city"},
    {"type": "categorical", "column": "visits", "dtype": "integer"},
    {"type": "categorical", "column": "tags", "max_length": 3, "delimiter": "|"},
]
TOKENS = [
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\n\n", b'"', b'""', b"'", b",", b";", b"\t", b"\\"),
    *(b"NA", b"nan", b"inf", b"-inf", b"1e999", b"1e-400", b"9" * 40, b"-9223372036854775808", b"0x1F", b"1,5"),
    *("é".encode("latin-1"), "日本語".encode(), "\u2028".encode(), b"x" * 3_000_000, b"#", b"NULL", b"TRUE", b" "),
]


def table(draw: random.Random) -> pd.DataFrame:
    """What a file would hold if nothing were wrong."""
    rows = draw.choice([0, 1, 30, 100, 300])
    return pd.DataFrame(
        {
            "age": [draw.choice([17, 18.5, 40, None]) for _ in range(rows)],
            "city": [draw.choice(["Rome", "Città", "", None, "a,b", 'q"q', "l\nl"]) for _ in range(rows)],
            "visits": [draw.choice([0, 1, 2**40, -5]) for _ in range(rows)],
            "tags": ["|".join(draw.choices(["x", "y", "z"], k=draw.randint(0, 4))) for _ in range(rows)],
            "label": [draw.randint(0, 1) for _ in range(rows)],
        }
    )


def awkward_columns(draw: random.Random, frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of other types and names."""
    rows = len(frame)
    column = draw.choice(list(frame))
    kinds: list[Any] = [
        pd.Series([{"a": 1}] * rows, dtype=object),
        pd.Series([[1, 2]] * rows, dtype=object),
        pd.Series([[["deep"]]] * rows, dtype=object),
        pd.Series([b"\xff\x00"] * rows, dtype=object),
        pd.Series(pd.to_datetime(["2024-02-29"] * rows)),
        pd.Series(pd.Categorical(["a"] * rows)),
        pd.Series(np.full(rows, 2**64 - 1, np.uint64)),
        pd.Series([-(2**63)] * rows, dtype="int64"),
        pd.Series([None] * rows, dtype=object),
        pd.Series([True] * rows),
        pd.Series(pd.to_timedelta([1] * rows, unit="D")),
        pd.Series(np.full(rows, 1e300)),
        pd.Series(np.full(rows, np.inf)),
    ]
    choice = draw.random()
    if choice < 0.6:
        return frame.assign(**{column: draw.choice(kinds)})
    if choice < 0.7:
        return frame.drop(columns=column)
    if choice < 0.8:
        return frame.rename(
            columns={column: draw.choice(["", " age", "AGE", "a" * 5000, "a\nb", '"', "age,city", "é"])}
        )
    return pd.concat([frame, frame[[column]]], axis=1)


def as_csv(draw: random.Random, frame: pd.DataFrame) -> bytes:
    """CSV in some dialect."""
    separator = "," if draw.random() < 0.9 else draw.choice([";", "\t"])
    missing = "" if draw.random() < 0.8 else "NA"
    text = frame.to_csv(index=draw.random() < 0.1, sep=separator, header=draw.random() < 0.95, na_rep=missing)
    return text.encode("utf-8" if draw.random() < 0.8 else draw.choice(["latin-1", "utf-16", "utf-8-sig"]), "replace")


def as_parquet(draw: random.Random, frame: pd.DataFrame) -> bytes:
    """Parquet, if pandas can write the columns."""
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer, row_group_size=draw.choice([1, 10, 1000]))
    except Exception:  # duplicate names, mixed types: not a file then
        return b"PAR1" + frame.to_csv().encode() + b"PAR1"
    return buffer.getvalue()


def as_records(draw: random.Random, frame: pd.DataFrame) -> bytes:
    """TFRecord of tf.Example."""
    import tensorflow as tf

    with tempfile.NamedTemporaryFile(suffix=".tfrecord") as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
                made = {}
                for name, value in row.items():
                    if isinstance(value, str):
                        made[str(name)] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
                    elif isinstance(value, bool | int) and -(2**63) <= value < 2**63:
                        made[str(name)] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))
                    elif isinstance(value, float):
                        made[str(name)] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
                    elif draw.random() < 0.5:
                        made[str(name)] = tf.train.Feature()
                writer.write(tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString())
        return Path(file.name).read_bytes()


def spoilt(draw: random.Random, content: bytes) -> bytes:
    """The content of a file with something wrong in it, or not."""
    for _ in range(draw.choice([0, 0, 0, 1, 1, 2])):
        place = draw.randint(0, len(content))
        how = draw.random()
        if how < 0.4:
            content = content[:place] + draw.choice(TOKENS) + content[place:]
        elif how < 0.55:
            content = content[:place]
        elif how < 0.75 and content:
            place = min(place, len(content) - 1)
            content = content[:place] + bytes([content[place] ^ (1 << draw.randint(0, 7))]) + content[place + 1 :]
        elif how < 0.85:
            content = content[:place] + content[min(len(content), place + draw.randint(1, 50)) :]
        else:
            content = content + content[: draw.randint(0, len(content))]
    return content


def write(draw: random.Random, folder: Path) -> Path:
    """An awkward file."""
    frame = table(draw)
    if draw.random() < 0.4:
        frame = awkward_columns(draw, frame)
    form, make = draw.choice([(".csv", as_csv), (".csv", as_csv), (".parquet", as_parquet), (".tfrecord", as_records)])
    content = spoilt(draw, make(draw, frame))
    if form != ".parquet" and draw.random() < 0.3:
        form, content = form + ".gz", spoilt(draw, gzip.compress(content))
    name = draw.choice(["rows", "rows [1]", "o'brien", "a b", "città", "back\\slash", "per%cent", "-dash", "x" * 200])
    path = folder / f"{name}{form}"
    path.write_bytes(content)
    return path


def attack(draw: random.Random, path: Path) -> None:
    """Reads a file as a training does: schema, statistics, then every row.

    Raises:
        TfwdError: it was refused.
    """
    from tfwd.analysis.analyze import analyze
    from tfwd.config.config import Config
    from tfwd.training.splits import open_splits

    data = {"train": str(path), "label": {"column": "label"}, "validation_fraction": draw.choice([0.0, 0.3])}
    early = {} if data["validation_fraction"] else {"early_stopping": None}
    config = Config.of({"data": data, "features": FEATURES, "train": early})
    parts = open_splits(config)
    statistics = analyze(parts.fit, config)
    parts = parts.with_classes(statistics.label.classes)
    for rows in (parts.fit, parts.validation):
        for batch in rows.batches(64, order=(0, 0)) if rows is not None else ():
            for name, values in batch.inputs.items():
                entry = next(entry for entry in parts.schema.inputs if entry.name == name)
                assert values.dtype == {"string": object, "integer": np.int64, "float": np.float32}[entry.kind], name


def run(count: int, first: int = 0, show: bool = False) -> Tally:
    """`count` files, of the seeds from `first` on."""
    tally = Tally("awkward files", 5)
    for seed in track(range(first, first + count), "Files", disable=not show):
        with tempfile.TemporaryDirectory() as folder:
            draw = random.Random(seed)
            path = write(draw, Path(folder))
            tally.attempt(f"seed {seed}, {path.name}", lambda draw=draw, path=path: attack(draw, path))
    return tally


if __name__ == "__main__":
    given = arguments(__doc__, 300)
    raise SystemExit(run(given.count, given.first, show=True).close(given.refusals))
