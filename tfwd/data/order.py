"""The order of rows: a function of only seed and epoch, in memory that doesn't grow with the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa


def generator(seed: int, epoch: int, stream: int = 0) -> np.random.Generator:
    """Returns the random numbers of an epoch (Philox, counter-based: Salmon et al. 2011), equal in every process.

    Args:
        seed: the seed of the run.
        epoch: the epoch of the run.
        stream: distinguishes independent uses within an epoch.
    """
    key, counter = np.array([seed, epoch], np.uint64), np.array([0, 0, 0, stream], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def pieces(tables: Iterable[pa.Table], rows: int, skip: int = 0) -> Iterator[pa.Table]:
    """Yields the same rows in tables of exactly `rows` rows (the last may be shorter), without the first `skip`."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        if skip:
            dropped = min(skip, table.num_rows)
            skip -= dropped
            table = table.slice(dropped)
        while count + table.num_rows >= rows:
            taken = rows - count
            yield pa.concat_tables([*waiting, table.slice(0, taken)])
            table, waiting, count = table.slice(taken), [], 0
        if table.num_rows:
            waiting.append(table)
            count += table.num_rows
    if count:
        yield pa.concat_tables(waiting)


def shuffled(tables: Iterable[pa.Table], rows: int, random: np.random.Generator) -> Iterator[pa.Table]:
    """Yields the rows in random order, through a pool of at most `rows` of them.

    A random half of a full pool leaves at a time, and the next rows take its place, so that a row may end up far
    behind its original position.

    Args:
        tables: rows, divided in any way; the result does not depend on the division.
        rows: the size of the pool.
        random: where the order comes from.
    """
    step = max(rows // 2, 1)
    pool: pa.Table | None = None
    for table in pieces(tables, step):
        pool = table if pool is None else pa.concat_tables([pool, table])
        if pool.num_rows + step > rows:
            order = random.permutation(pool.num_rows)
            pool = pool.combine_chunks()
            yield pool.take(order[:step])
            pool = pool.take(order[step:])
    if pool is not None and pool.num_rows:
        yield pool.combine_chunks().take(random.permutation(pool.num_rows))
