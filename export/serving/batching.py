"""Batching in TF Serving: for which models, and with which parameters.

TF Serving batches the requests of a model that has a file `batching_params.pbtxt` beside its `saved_model.pb`, if it is
started with `--enable_batching` and `--enable_per_model_batching_parameters`. Two kinds of models must not have one:

- A model with lists of any length. Rows of different widths are refused in one batch, or, with
  `pad_variable_length_inputs`, filled up with the first value of the request, which is a category like any other.
- A model that makes lists: `k` of `recommend` is a scalar, which the batching session refuses. So would the warm-up be,
  and with it the version.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from export.serving.rows import largest
from export.serving.settings import Settings
from tfwd.schema import Schema
from tfwd.utils.files import write_text

FILE = "batching_params.pbtxt"
# How long a request waits for others, and how many batches may wait. At 256 rows a batch takes about a millisecond.
_MICROSECONDS, _WAITING = 500, 100


def why_not(schema: Schema, lists: bool) -> str | None:
    """Returns why TF Serving must not batch a model, or None if it may.

    Args:
        schema: its inputs.
        lists: whether it has the signature `recommend`.
    """
    if lists:
        return "it makes lists, and the number of items is one value for the whole request"
    open_ended = [entry.name for entry in schema.inputs if entry.length and not entry.fixed]
    if open_ended:
        return f"its lists may have any length: {', '.join(open_ended)}"
    return None


def sizes(rows: int) -> list[int]:
    """Returns the sizes to which a batch is filled up: powers of two, and the largest."""
    found, size = [], 1
    while size < rows:
        found.append(size)
        size *= 2
    return [*found, rows]


def parameters(rows: int) -> str:
    """Returns the parameters of one model as protobuf text.

    Args:
        rows: the largest batch; a request with more is refused.
    """
    allowed = "".join(f"allowed_batch_sizes: {size}\n" for size in sizes(rows))
    return (
        f"max_batch_size {{ value: {rows} }}\n"
        f"batch_timeout_micros {{ value: {_MICROSECONDS} }}\n"
        f"max_enqueued_batches {{ value: {_WAITING} }}\n{allowed}"
    )


def shared(settings: Settings) -> str:
    """Returns what all models share, as protobuf text: the threads that run batches."""
    return f'num_batch_threads {{ value: {settings.cores} }}\nthread_pool_name {{ value: "batches" }}\n'


def write(version: Path, schema: Schema, lists: bool) -> int:
    """Writes the parameters of a version into its folder, or removes them if it must not be batched.

    Args:
        version: its folder, with the warm-up requests.
        schema: its inputs.
        lists: whether it has the signature `recommend`.

    Returns:
        The largest batch, in rows; 0 if the version is not batched.
    """
    file = version / FILE
    if why_not(schema, lists) is not None:
        file.unlink(missing_ok=True)
        return 0
    # Larger batches than those of the warm-up are never seen before.
    rows = largest(version)
    write_text(file, parameters(rows))
    return rows


def inherit(version: Path, model: Path, numbers: Collection[int], schema: Schema, lists: bool) -> None:
    """Batches a new version if the newest one before it is batched: it is served as soon as it appears.

    Args:
        version: the folder of the new version, before it appears.
        model: the folder of its model.
        numbers: the versions that exist.
        schema: the inputs of the new version.
        lists: whether it has the signature `recommend`.
    """
    if numbers and (model / str(max(numbers)) / FILE).is_file():
        write(version, schema, lists)
