"""Synthetic clicks with a known rule, as Parquet: for benchmarks and tests that need the truth.

    python -m tfwd.datasets.clicks --rows 10_000_000 --output clicks

Columns: power-law strings c1, c2, ... (`v0` is the most frequent), float32 x1, x2, ..., the label
`clicked` and, on request, the true `probability`. `tfwd.datasets.click_rule` has the rule.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfwd.datasets.click_rule import BLOCK_ROWS, Doubles, Rule, expect
from tfwd.errors import DataError, TfwdError


def write(
    path: str | pathlib.Path,
    rows: int,
    *,
    seed: int = 0,
    categorical: int = 8,
    numeric: int = 5,
    cardinality: int | Sequence[int] = 1_000,
    exponent: float = 1.1,
    positive_rate: float = 0.07,
    rows_per_file: int = 1_000_000,
    with_probability: bool = False,
) -> Rule:
    """Writes clicks, block by block, so that memory does not grow with the rows.

    Row n depends only on the seed, the columns and n: more rows, or another number of files,
    leave the existing rows unchanged (under one version of NumPy).

    Args:
        path: a path that ends in `.parquet` becomes one file, any other a folder of files
            `part-00000.parquet`, .... It appears only when it is complete.
        rows: how many rows to write, 1 or more.
        seed: seeds the rows and the rule.
        categorical: how many columns c1, c2, ... of strings, 2 or more.
        numeric: how many columns x1, x2, ... of float32: in turn normal and log-normal.
        cardinality: how many categories a column has; a sequence gives one number per column.
        exponent: the exponent of the power law of categories; 0 makes all of a column equally frequent.
        positive_rate: the expected share of clicks.
        rows_per_file: how many rows a file of a folder has at most.
        with_probability: whether to add the true `probability` (float64).

    Returns:
        The rule that the labels came from.

    Raises:
        ConfigError: an argument is out of range.
        DataError: `path` exists already.
    """
    path = pathlib.Path(path)
    expect(rows >= 1, "rows of 1 or more", rows)
    expect(rows_per_file >= 1, "rows_per_file of 1 or more", rows_per_file)
    each = [cardinality] * categorical if isinstance(cardinality, int) else list(cardinality)
    expect(len(each) == categorical, f"one cardinality, or {categorical} of them", cardinality)
    rule = Rule(tuple(each), numeric, seed, exponent, positive_rate)
    if path.exists():
        raise DataError(f"{path} exists. Remove it, or write to another path.")

    path.parent.mkdir(parents=True, exist_ok=True)
    block = _blocks(rule, with_probability)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as beside:
        unfinished = pathlib.Path(beside) / path.name
        if path.suffix == ".parquet":
            _write_file(unfinished, block, 0, rows)
        else:
            unfinished.mkdir()
            for part, start in enumerate(range(0, rows, rows_per_file)):
                file = unfinished / f"part-{part:05d}.parquet"
                _write_file(file, block, start, min(start + rows_per_file, rows))
        unfinished.rename(path)
    return rule


def probability(table: pa.Table, rule: Rule, *, crosses: bool = True) -> Doubles:
    """Returns the true probability of a click for rows that `write` wrote.

    Args:
        table: has the columns c1, c2, ..., x1, x2, ... of the rule; others are ignored.
        rule: what `write` returned.
        crosses: False leaves the weights of pairs out, as a model without crosses would.

    Returns:
        float64 (rows,). Its AUC on `clicked` is the best that a model can expect.
    """
    ids = [
        pc.utf8_slice_codeunits(table[f"c{i + 1}"], 1).cast(pa.int64()).to_numpy()
        for i in range(len(rule.cardinalities))
    ]
    numbers = np.empty((table.num_rows, rule.numeric), np.float32)
    for i in range(rule.numeric):
        numbers[:, i] = table[f"x{i + 1}"].to_numpy()
    return rule.probability(np.stack(ids, axis=1), numbers, crosses=crosses)


def _blocks(rule: Rule, with_probability: bool) -> Callable[[int], pa.Table]:
    """Returns a function from a block's number to its rows, all BLOCK_ROWS of them."""
    # Columns of the same size share their strings: a million of them takes a while to make.
    names = {n: pa.array([f"v{i}" for i in range(n)]) for n in set(rule.cardinalities)}

    # The last block is kept because a file may end inside it and the next one starts there.
    @functools.lru_cache(maxsize=1)
    def block(number: int) -> pa.Table:
        ids, numbers, uniform = rule.draw(number)
        truth = rule.probability(ids, numbers)
        columns: dict[str, pa.Array] = {
            f"c{i + 1}": names[n].take(pa.array(ids[:, i])) for i, n in enumerate(rule.cardinalities)
        }
        for i in range(rule.numeric):
            columns[f"x{i + 1}"] = pa.array(numbers[:, i])
        columns["clicked"] = pa.array((uniform < truth).astype(np.int32))
        if with_probability:
            columns["probability"] = pa.array(truth)
        return pa.table(columns)

    return block


def _rows(block: Callable[[int], pa.Table], start: int, stop: int) -> Iterator[pa.Table]:
    while start < stop:
        number, offset = divmod(start, BLOCK_ROWS)
        table = block(number).slice(offset, stop - start)
        yield table
        start += table.num_rows


def _write_file(file: pathlib.Path, block: Callable[[int], pa.Table], start: int, stop: int) -> None:
    schema = block(start // BLOCK_ROWS).schema
    strings = [field.name for field in schema if pa.types.is_string(field.type)]
    with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=strings) as writer:
        for table in _rows(block, start, stop):
            writer.write_table(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line over `write`."""
    parser = argparse.ArgumentParser(
        prog="python -m tfwd.datasets.clicks",
        description="Write synthetic clicks with a known rule as Parquet.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rows", type=int, required=True, help="how many rows")
    parser.add_argument("--output", required=True, help="a file (*.parquet) or a folder of files")
    parser.add_argument("--seed", type=int, default=0, help="of the rows and of the rule")
    parser.add_argument("--categorical", type=int, default=8, help="columns of strings")
    parser.add_argument("--numeric", type=int, default=5, help="columns of float32")
    parser.add_argument(
        "--cardinality",
        type=int,
        nargs="+",
        default=[1_000],
        help="categories: one number, or one per column",
    )
    parser.add_argument("--exponent", type=float, default=1.1, help="of the power law; 0: uniform")
    parser.add_argument("--positive-rate", type=float, default=0.07, help="expected share of clicks")
    parser.add_argument("--rows-per-file", type=int, default=1_000_000, help="in a folder, at most")
    parser.add_argument("--with-probability", action="store_true", help="add the true probability")
    options = vars(parser.parse_args(arguments))
    path, rows, cardinality = (options.pop(name) for name in ("output", "rows", "cardinality"))
    try:
        write(
            path,
            rows,
            cardinality=cardinality[0] if len(cardinality) == 1 else cardinality,
            **options,
        )
    except TfwdError as error:
        parser.exit(2, f"{error}\n")
    print(f"{path}: {rows} rows")


if __name__ == "__main__":
    main()
