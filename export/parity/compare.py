"""Compares an export with its Keras model: tables bit for bit; ids, numbers and answers on real and hostile rows.

A difference is an `ExportError` that names the feature, the value and both results. An export with half-precision
tables is compared just as exactly with the model with rounded tables; its distance from the model itself is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from export.parity.answers import answers, blocks, tables, transformed_names
from export.parity.hostile import hostile_rows, narrowed
from export.parity.known_values import known_values
from export.parity.rows import Rows, as_rows, length, part
from export.parity.session import JoinedSession, OnnxSession, open_session
from export.parity.small_ranker import RoundedRanker, rounded
from export.parity.tolerance import differs, logarithm, rounded_off
from tfwd.errors import ExportError
from tfwd.features.layout import Layout, Range, columns_of, weights_name
from tfwd.features.raw_tensors import tensors
from tfwd.inference.answers import scored_names
from tfwd.inference.onnx_scorer import OnnxScorer
from tfwd.model.wide_deep import WideDeep

Results = dict[str, np.ndarray]

HOSTILE_ROWS = 10_000
_BATCH = 2048
# Hostile lists are longer than the model keeps. Some are compared again with lists that it pads.
_NARROW = 256
_NARROWED = {"with full lists": 1.0, "with short lists": 0.5, "without lists": 0.0}


def check_savedmodel(
    model: WideDeep, folder: str | Path, rows: Mapping[str, Any] | None = None, hostile: int | None = None
) -> None:
    """Compares a SavedModel with its model.

    Args:
        model: the exported model.
        folder: the SavedModel.
        rows: real rows by input.
        hostile: the number of hostile rows to add; `HOSTILE_ROWS` if None.

    Raises:
        ExportError: they differ; names the feature.
    """
    loaded = tf.saved_model.load(str(folder))

    def table(name: str, start: int, stop: int) -> np.ndarray:
        return np.asarray(tf.gather(loaded.tables[name], tf.range(start, stop)).numpy())

    _compare_tables(model, table, "The SavedModel")

    def results(batch: Rows) -> Results:
        raw = tensors(batch)
        found = {**loaded.signatures["transform"](**raw), **loaded.signatures["serving_default"](**raw)}
        return {name: tensor.numpy() for name, tensor in found.items()}

    _compare(model, results, _rows(model, rows, hostile), "The SavedModel")


def check_onnx(
    model: WideDeep, file: str | Path, rows: Mapping[str, Any] | None = None, hostile: int | None = None
) -> float:
    """Compares an ONNX file with its model: as run by ONNX Runtime on the CPU, then as scored by tfwd.

    `tfwd.inference` splits the graph in two. One batch of every kind of rows is compared with its answers.

    Args:
        model: the exported model.
        file: the ONNX file.
        rows: real rows by input.
        hostile: the number of hostile rows to add; `HOSTILE_ROWS` if None.

    Returns:
        The largest difference between a probability or prediction and the model's. With half-precision tables it is
        what they lose; otherwise it is within the tolerance.

    Raises:
        ExportError: they differ; names the feature.
        RunError: tfwd cannot score with the file.
    """
    session = open_session(Path(file), transformed_names(model.layout), tuple(tables(model.ranker)))
    half = session.half
    chosen = _rows(model, rows, hostile)
    largest = _compare_session(model, session, chosen, "The ONNX file")
    # Its tables are in memory once: they are freed before the file is loaded again.
    del session
    first = {kind: part(batch, 0, _BATCH) for kind, batch in chosen.items()}
    # What `load_scorer` returns for a file named .onnx, which this one need not be.
    _compare(model, OnnxScorer(Path(file)).score, first, "The ONNX file in tfwd", half, whole=False)
    return largest


def check_halves(
    model: WideDeep,
    first: str | Path,
    second: str | Path,
    rows: Mapping[str, Any] | None = None,
    hostile: int | None = None,
) -> float:
    """Compares the two halves of an ONNX file with its model: as run by ONNX Runtime on the CPU, one after the other.

    Args:
        model: the exported model.
        first: the half from raw inputs to ids and numbers.
        second: the half from ids and numbers to the answers.
        rows: real rows by input.
        hostile: the number of hostile rows to add; `HOSTILE_ROWS` if None.

    Returns:
        The largest difference between a probability or prediction and the model's, as `check_onnx` does.

    Raises:
        ExportError: they differ; names the feature.
    """
    session = JoinedSession(Path(first), Path(second), tuple(tables(model.ranker)))
    return _compare_session(model, session, _rows(model, rows, hostile), "The ONNX file in halves")


def _compare_session(
    model: WideDeep, session: OnnxSession | JoinedSession, rows: Mapping[str, Rows], what: str
) -> float:
    half = session.half
    _compare_tables(model, session.table, what, half)
    return _compare(model, session.run, rows, what, half)


def _compare_tables(
    model: WideDeep, found: Callable[[str, int, int], np.ndarray], what: str, half: bool = False
) -> None:
    for table in model.layout.tables:
        own = tables(model.ranker)[table.name].value
        for start, values in blocks(own):
            expected = rounded(values) if half else values
            received = found(table.name, start, start + len(values))
            if received.shape != expected.shape:
                raise ExportError(
                    f"{what}: rows of the table {table.name!r} are {received.shape}. Expected: {expected.shape}"
                )
            differing = np.flatnonzero((expected.view(np.uint32) != received.view(np.uint32)).any(axis=1))
            if len(differing):
                row = int(differing[0])
                feature, local = _feature(table.ranges, start + row)
                raise ExportError(
                    f"{what} disagrees with the model on feature {feature!r}: the weights of its id {local} "
                    f"(row {start + row} of table {table.name!r}) are {received[row]}. Expected: {expected[row]}."
                )


def _feature(ranges: tuple[Range, ...], row: int) -> tuple[str, int]:
    found = next((r for r in ranges if r.start <= row < r.start + r.rows), None)
    return (found.feature, row - found.start) if found else ("padding", row)


def _rows(model: WideDeep, rows: Mapping[str, Any] | None, hostile: int | None) -> dict[str, Rows]:
    """Returns the rows on which to compare, by kind."""
    real = {} if rows is None else {"real row": as_rows(model.schema, rows)}
    count = HOSTILE_ROWS if hostile is None else hostile
    made = {"hostile row": hostile_rows(model.schema, known_values(model), count)} if count else {}
    if count and any(entry.length and not entry.fixed for entry in model.schema.inputs):
        some = part(made["hostile row"], 0, _NARROW)
        made |= {f"hostile row {kind}": narrowed(model.schema, some, share) for kind, share in _NARROWED.items()}
    return real | made


def _compare(
    model: WideDeep,
    results: Callable[[Rows], Results],
    rows: Mapping[str, Rows],
    what: str,
    half: bool = False,
    whole: bool = True,
) -> float:
    rounding = RoundedRanker(model, _BATCH) if half else None
    largest = 0.0
    for kind, batchable in rows.items():
        for start in range(0, length(batchable), _BATCH):
            batch = part(batchable, start, start + _BATCH)
            distance = _compare_batch(model, batch, results(batch), f"{what}, on {kind}", start, rounding, whole)
            largest = max(largest, distance)
    return largest


def _compare_batch(
    model: WideDeep, batch: Rows, received: Results, what: str, start: int, rounding: RoundedRanker | None, whole: bool
) -> float:
    matrices = model.transform(tensors(batch))
    own = answers(model, model.ranker(matrices, training=False))
    found = own if rounding is None else answers(model, rounding(matrices))
    if not whole:
        # A scorer returns neither the transform's outputs nor the names of the classes.
        found = {name: found[name] for name in scored_names(model.schema)}
    transformed = matrices if whole else {}
    expected = {name: tensor.numpy() for name, tensor in {**transformed, **found}.items()}
    for name, values in expected.items():
        if received[name].shape != values.shape:
            raise ExportError(f"{what}s: {name!r} has the shape {received[name].shape}. Expected: {values.shape}")
    features = _column_features(model.layout)
    for name in transformed:
        wrong = np.argwhere(differs(name, expected[name], received[name], 1.0))
        if len(wrong):
            row, column = map(int, wrong[0])
            feature = features[name][column]
            values = _read_values(model, batch, row, name, column)
            raise ExportError(
                f"{what} {start + row}, disagrees with the model on feature {feature!r}: {name}[{column}] is "
                f"{received[name][row, column]}. Expected: {expected[name][row, column]}. The inputs: {values}"
            )
    unfit = _not_finite(found, expected)
    if unfit is not None:
        name, row = unfit
        raise ExportError(
            f"{what} {start + row}: {name} of the model itself is {expected[name][row]}, where every input must have a "
            f"finite answer. The inputs: { {key: _short(values[row]) for key, values in batch.items()} }"
        )
    scale = float(model.heads.logit.scale)
    off = rounded_off(model, matrices)
    for name in found:
        pair = (expected[name], received[name])
        if model.schema.counts:
            # exp turns an absolute error of the logit into an equal relative error of the answer.
            pair = (logarithm(pair[0]), logarithm(pair[1]))
        wrong = np.argwhere(differs(name, *pair, scale, off))
        if len(wrong):
            row = int(wrong[0][0])
            place = "the tower or the sum of the heads" if whole else "how tfwd runs the graph, which itself agrees"
            raise ExportError(
                f"{what} {start + row}, disagrees with the model: {name} is {received[name][row]}. Expected: "
                f"{expected[name][row]}. Tables, ids and numbers are equal, so that the difference is in {place}. "
                f"The inputs: { {key: _short(values[row]) for key, values in batch.items()} }"
            )
    main = model.schema.answer
    return float(np.abs(own[main].numpy() - received[main]).max())


def _column_features(layout: Layout) -> dict[str, list[str]]:
    """Returns the feature of every column of the transform's outputs."""
    found = {"numeric": list(layout.numeric)}
    for name, slots in layout.matrices.items():
        found[name] = [slot.feature for slot in columns_of(slots)]
        found[weights_name(name)] = [slot.feature for slot in columns_of(slots) if slot.bag]
    return found


def _not_finite(names: Iterable[str], expected: Results) -> tuple[str, int] | None:
    """Returns the model's first answer that is not finite, and its row."""
    for name in names:
        if expected[name].dtype.kind == "f":
            rows = np.argwhere(~np.isfinite(expected[name]))
            if len(rows):
                return name, int(rows[0][0])
    return None


def _read_values(model: WideDeep, batch: Rows, row: int, name: str, column: int) -> dict[str, Any]:
    """Returns the inputs, with their values in a row, that a transformed column depends on: those that change it."""
    count = length(batch)
    repeated = {key: np.repeat(values[row : row + 1], count, axis=0) for key, values in batch.items()}
    original = model.transform(tensors(repeated))[name].numpy()[0, column]
    found = {}
    for key, values in batch.items():
        changed = model.transform(tensors({**repeated, key: values}))[name].numpy()[:, column]
        if (changed != original).any():
            found[key] = _short(values[row])
    return found or {key: _short(values[row]) for key, values in batch.items()}


def _short(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim:
        return [_short(entry) for entry in value]
    if isinstance(value, str) and len(value) > 60:
        return f"{value[:40]}... ({len(value)} characters)"
    return value if isinstance(value, str) else value.item()
