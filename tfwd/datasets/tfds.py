"""TensorFlow Datasets as tables: `tfds:NAME[/CONFIG][:VERSION][:SPLIT]`, downloaded or from a local copy."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfwd.datasets import movielens
from tfwd.errors import ConfigError, DataError
from tfwd.utils.console import console, progress

_BATCH = 8192


class Name(NamedTuple):
    """The name of a dataset in TFDS, and a split."""

    dataset: str
    split: str


def parse(source: str) -> Name:
    """Parses `tfds:NAME[/CONFIG][:VERSION][:SPLIT]`; the split is `train` unless given.

    Raises:
        ConfigError: it is not of that form.
    """
    found = re.fullmatch(r"tfds:(\w+(?:/[\w.-]+)?(?::\d+\.\d+\.\d+)?)(?::(\w+(?:\[.*\])?))?", source)
    if found is None:
        raise ConfigError(
            f"{source!r} is not tfds:NAME[/CONFIG][:SPLIT], as in tfds:movielens/1m-ratings or tfds:titanic:train."
        )
    return Name(found[1], found[2] or "train")


def as_parquet(source: str, path: str | None = None, work: Path | None = None) -> str:
    """Returns a dataset as one Parquet file.

    Class labels become their names, texts become strings, sequences become lists.

    Args:
        source: `tfds:NAME[/CONFIG][:SPLIT]`.
        path: a local copy: for MovieLens the folder or zip that GroupLens publishes; otherwise the folder in which
            TensorFlow Datasets has built it (its `data_dir`).
        work: where the Parquet file of GroupLens' files goes.

    Returns:
        The file's path. What TensorFlow Datasets has built is kept in a cache (`TFWD_CACHE`, by default
        `~/.cache/tfwd`) and found there the next time.

    Raises:
        ConfigError: the name does not have that form.
        DataError: there is no such dataset or split, or it can be neither downloaded nor found.
    """
    name = parse(source)
    if path is not None and not Path(path).exists():
        raise DataError(f"data.path: there is no {path}.")
    if (
        path is not None
        and work is not None
        and name.dataset.split("/")[0] == "movielens"
        and movielens.is_original(path)
    ):
        if name.split != "train":
            raise DataError(f"{source}: the files in {path} are the split 'train', and no part of it can be named.")
        table = name.dataset.partition("/")[2].partition(":")[0]
        file = work / f"movielens-{table}.parquet"
        movielens.write(path, table, file)
        return str(file)
    builder = _builder(name, path, source)
    if name.split.split("[")[0] not in builder.info.splits:
        raise DataError(f"{source}: there is no split {name.split!r}. It has {', '.join(builder.info.splits)}.")
    info = builder.info.splits[name.split]
    told = f"{builder.data_path}|{name.split}|{info.num_examples}|{builder.info.dataset_size}"
    folder = Path(os.environ.get("TFWD_CACHE") or Path.home() / ".cache" / "tfwd") / "tfds"
    file = folder / builder.info.full_name / f"{hashlib.md5(told.encode()).hexdigest()}.parquet"
    if not file.is_file():
        from tfwd.utils.files import file_beside

        file.parent.mkdir(parents=True, exist_ok=True)
        with file_beside(file) as temporary:
            _write(builder, name.split, info.num_examples, temporary)
    return str(file)


def _builder(name: Name, path: str | None, source: str) -> Any:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name.dataset, data_dir=path)
    except Exception as error:  # TFDS may raise anything if there is no such dataset, or no network to look
        raise DataError(f"{source}: there is no such dataset: {_first(error)}") from None
    if builder.data_path.exists():
        return builder
    if path is not None:
        built = f"{builder.info.full_name} as TensorFlow Datasets builds it"
        original = name.dataset.startswith("movielens/")
        raise DataError(
            f"data.path: {path} holds "
            + (f"neither the files of MovieLens that GroupLens publishes nor {built}." if original else f"no {built}.")
        )
    try:
        with console.status(f"Downloading {name.dataset}"):
            builder.download_and_prepare()
    except Exception as error:  # and where it cannot be downloaded
        copy = (
            "the folder or zip that GroupLens publishes, as ml-1m"
            if name.dataset.startswith("movielens/")
            else ("a folder in which TensorFlow Datasets has built it, on a machine with a network")
        )
        raise DataError(
            f"{source} cannot be downloaded: {_first(error)} Without a network, set data.path to {copy}."
        ) from None
    return builder


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."


def _write(builder: Any, split: str, rows: int, file: Path) -> None:
    # Sorted: a builder that has just built them has them in another order than one that reads what was built.
    features = {name: feature for name, feature in sorted(builder.info.features.items()) if _is_column(feature)}
    left_out = sorted(set(builder.info.features) - set(features))
    if left_out:
        console.print(f"{builder.info.full_name}: left out {', '.join(left_out)}: neither values nor lists of values.")
    if not features:
        raise DataError(f"tfds:{builder.info.full_name} has no columns of values or of lists of values.")
    writer = None
    with progress() as bar:
        task = bar.add_task(f"Reading {builder.info.full_name}", total=rows)
        for batch in _batches(builder, split, features):
            writer = writer or pq.ParquetWriter(file, batch.schema, compression="zstd")
            writer.write_table(batch)
            bar.advance(task, batch.num_rows)
    if writer is None:
        raise DataError(f"tfds:{builder.info.full_name}: the split {split!r} is empty.")
    writer.close()


def _is_column(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Sequence):
        return isinstance(feature.feature, tfds.features.FeatureConnector) and feature.feature.shape == ()
    return not isinstance(feature, tfds.features.FeaturesDict | tfds.features.Dataset) and feature.shape == ()


def _batches(builder: Any, split: str, features: dict[str, Any]) -> Iterator[pa.Table]:
    import tensorflow_datasets as tfds

    # One file after the other, so that the order of the rows is the same every time.
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    rows = builder.as_dataset(split=split, shuffle_files=False, read_config=config)
    rows = rows.map(lambda row: {name: row[name] for name in features})
    for batch in rows.ragged_batch(_BATCH):
        yield pa.table({name: _column(batch[name], feature) for name, feature in features.items()})


def _column(values: Any, feature: Any) -> pa.Array:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Sequence):
        ragged = values if isinstance(values, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(values)
        offsets = pa.array(ragged.row_splits.numpy().astype(np.int32))
        return pa.ListArray.from_arrays(offsets, _column(ragged.values, feature.feature))
    found = values.numpy()
    if isinstance(feature, tfds.features.ClassLabel):
        # -1 stands for an unknown label, as in a test split.
        return pa.array(feature.names).take(pa.array(found, mask=found < 0))
    return pa.array(found, pa.binary()).cast(pa.string()) if found.dtype == object else pa.array(found)
