"""The code of an MLflow model: rows of a DataFrame to arrays, ONNX Runtime, and its answers as a DataFrame.

tfwd writes a copy of this file into every MLflow model, next to the ONNX file, whose metadata it reads. It needs no
tfwd and no TensorFlow.
"""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

# Otherwise ONNX Runtime looks up a host of its vendor.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

# Rows of a call: the intermediate values of more would not fit a cache.
_ROWS = 4096
# From here on, neighbouring integers are one float.
_EXACT = 2**53
_MISSING: dict[str, Any] = {"string": "", "integer": -(2**63), "float": math.nan}
_DTYPES: dict[str, Any] = {"string": object, "integer": np.int64, "float": np.float32}
_WANTED = {"string": "text", "integer": "whole numbers", "float": "numbers"}
_FINGERPRINT = "_fingerprint"

Entry = Mapping[str, Any]


class Predictor(mlflow.pyfunc.PythonModel):
    """Answers rows.

    Columns go by name; their order and other columns don't matter. None, NaN, NaT and pandas' NA are missing values.
    """

    def load_context(self, context: Any) -> None:
        """Opens the ONNX file.

        Args:
            context: its artifact `onnx` is the folder of the file.
        """
        (file,) = Path(context.artifacts["onnx"]).glob("*.onnx")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that wait actively take a core from whatever else runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._schema: dict[str, Any] = json.loads(self._session.get_modelmeta().custom_metadata_map["tfwd_schema"])
        self._entries = list(_entries(self._schema, [entry.name for entry in self._session.get_inputs()]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Returns one row of answers per row, with the index of the rows.

        Binary: `probability` of the positive class, `logit` and `predicted`; multi-class: `probability_<class>` for
        each class and `predicted`; regression: `prediction`.

        Args:
            context: as for `load_context`.
            model_input: the rows.
            params: there are none.

        Raises:
            MlflowException: a column is missing, or a value does not fit; names the column and the row, from 1.
        """
        names = ["prediction"] if self._schema["task"] == "regression" else ["probability", "logit"]
        parts = []
        for start in range(0, max(len(model_input), 1), _ROWS):
            rows = model_input.iloc[start : start + _ROWS]
            parts.append(self._session.run(names, arrays(self._entries, rows, start)))
        answers = {name: np.concatenate(some) for name, some in zip(names, zip(*parts, strict=True), strict=True)}
        return pd.DataFrame(_columns(self._schema, answers), index=model_input.index)


def _entries(schema: Mapping[str, Any], inputs: list[str]) -> Iterator[Entry]:
    """Yields the inputs of the schema as the graph takes them: with fingerprints in place of what it hashes."""
    hashed = {entry["column"] for entry in schema["inputs"] if entry["name"] not in inputs}
    for entry in schema["inputs"]:
        weighs = f"{entry['weighs']}{_FINGERPRINT}" if entry["weighs"] in hashed else entry["weighs"]
        if entry["column"] in hashed:
            renamed = {key: f"{entry[key]}{_FINGERPRINT}" for key in ("name", "column")}
            yield {**entry, **renamed, "kind": "integer", "delimiter": None}
        else:
            yield {**entry, "weighs": weighs}


def _columns(schema: Mapping[str, Any], answers: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    if schema["task"] == "regression":
        return dict(answers)
    classes, probability = np.array(schema["classes"], object), answers["probability"]
    if schema["task"] == "binary":
        return {**answers, "predicted": classes[(probability >= 0.5).astype(int)]}
    named = {f"probability_{name}": probability[:, place] for place, name in enumerate(classes)}
    return {**named, "predicted": classes[probability.argmax(axis=1)]}


def arrays(entries: list[Entry], frame: pd.DataFrame, start: int = 0) -> dict[str, NDArray[Any]]:
    """Returns the rows as the graph takes them: by input, `(B,)`, or `(B, K)` for lists.

    Args:
        entries: the inputs of the schema.
        frame: the rows.
        start: the rows before them, for messages.
    """
    found: dict[str, NDArray[Any]] = {}
    lengths: dict[str, NDArray[np.int64]] = {}
    for entry in entries:
        if entry["column"] not in frame.columns:
            raise _refused(entry, f"there is no such column. There are: {', '.join(map(str, frame.columns))}")
        values = frame[entry["column"]]
        if isinstance(values, pd.DataFrame):
            raise _refused(entry, "there are several columns of this name")
        if entry["length"]:
            found[entry["name"]], lengths[entry["column"]] = _lists(entry, values.tolist(), start)
        else:
            found[entry["name"]] = _scalars(entry, values, start)
    for entry in entries:
        if entry["weighs"] is not None:
            weighed = next(found[other["name"]] for other in entries if other["column"] == entry["weighs"])
            own, of = lengths[entry["column"]], lengths[entry["weighs"]]
            uneven = np.flatnonzero((own > 0) & (own != of))
            if len(uneven):
                row = int(uneven[0])
                raise _refused(entry, f"{own[row]} weights for {of[row]} values of {entry['weighs']!r}", start + row)
            more = weighed.shape[1] - found[entry["name"]].shape[1]
            found[entry["name"]] = np.pad(found[entry["name"]], ((0, 0), (0, more)), constant_values=np.nan)
    return found


def _scalars(entry: Entry, values: pd.Series, start: int) -> NDArray[Any]:
    numpy_kind = values.dtype.kind if isinstance(values.dtype, np.dtype) else ""
    if entry["kind"] == "float" and numpy_kind and numpy_kind in "biuf":
        with np.errstate(over="ignore"):
            return values.to_numpy(np.float32)
    return _converted(entry, values.tolist(), lambda place: start + place)


def _lists(entry: Entry, given: list[Any], start: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Returns `(B, K)`, padded at the end, and the length of each list."""
    rows = [_list(entry, item) for item in given]
    lengths = np.array([len(row) for row in rows], np.int64)
    if entry["fixed"]:
        wrong = np.flatnonzero((lengths != 0) & (lengths != entry["length"]))
        if len(wrong):
            row = int(wrong[0])
            raise _refused(entry, f"{entry['length']} numbers wanted, {lengths[row]} found", start + row)
    width = entry["length"] if entry["fixed"] else int(lengths.max(initial=0))
    made = np.full((len(rows), width), _MISSING[entry["kind"]], _DTYPES[entry["kind"]])
    owner = np.repeat(np.arange(len(rows)), lengths)
    made[np.arange(width) < lengths[:, np.newaxis]] = _converted(
        entry, [item for row in rows for item in row], lambda place: start + int(owner[place])
    )
    return made, lengths


def _list(entry: Entry, item: Any) -> list[Any]:
    if isinstance(item, list | tuple | np.ndarray | pd.Series):
        return list(item)
    if isinstance(item, str) and entry["delimiter"] is not None:
        return item.split(entry["delimiter"]) if item else []
    return [] if _is_missing(item) else [item]


def _converted(entry: Entry, items: list[Any], row_of: Callable[[int], int]) -> NDArray[Any]:
    moment = entry.get("moment")
    convert = {"string": _text, "integer": _integer, "float": _float}[entry["kind"]]
    made = np.full(len(items), _MISSING[entry["kind"]], _DTYPES[entry["kind"]])
    with np.errstate(over="ignore"):
        for place, item in enumerate(items):
            if not _is_missing(item):
                try:
                    made[place] = convert(item) if moment is None else _second(item, moment)
                except (TypeError, ValueError, OverflowError):
                    raise _refused(entry, f"{_hint(entry, moment)}, found {_short(item)}", row_of(place)) from None
    return made


def _is_missing(item: Any) -> bool:
    if isinstance(item, str):
        return not item
    return bool(pd.api.types.is_scalar(item) and pd.isna(item))


def _text(item: Any) -> str:
    """Returns a category as tfwd names it: whole numbers in digits, truth values as true and false."""
    if isinstance(item, bytes):
        item = item.decode()
    if not isinstance(item, str):
        item = str(bool(item)).lower() if isinstance(item, bool | np.bool_) else str(_integer(item))
    item.encode()
    return str(item)


def _integer(item: Any) -> int:
    number = int(item)
    if not isinstance(item, str) and number != item:
        raise ValueError(item)
    if isinstance(item, float | np.floating) and abs(number) > _EXACT and number != _MISSING["integer"]:
        raise ValueError(item)
    if not -(2**63) <= number < 2**63:
        raise ValueError(item)
    return number


def _float(item: Any) -> float:
    try:
        return float(item)
    except OverflowError:
        return math.inf if item > 0 else -math.inf


def _second(item: Any, moment: str) -> int:
    """Returns a moment as seconds since 1970-01-01 UTC, rounded down."""
    if isinstance(item, str) and not moment:
        item = datetime.datetime.fromisoformat(item.strip())
    if not isinstance(item, datetime.date | np.datetime64):
        return _integer(item)
    stamp = pd.Timestamp(item)
    naive = stamp if stamp.tzinfo is None else stamp.tz_convert(None)
    return int(naive.to_datetime64().astype("datetime64[s]").astype(np.int64))


def _hint(entry: Entry, moment: str | None) -> str:
    if moment is not None:
        text = ", ISO 8601 text" if not moment else ""
        return f"datetimes{text} or whole seconds since 1970 wanted"
    if entry["kind"] == "integer":
        return "whole numbers of 64 bits wanted (floats up to 2^53: for larger ones, -2^63 is a missing value)"
    return f"{_WANTED[entry['kind']]} wanted"


def _short(item: Any) -> str:
    text = repr(item)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _refused(entry: Entry, why: str, row: int | None = None) -> MlflowException:
    where = "" if row is None else f", row {row + 1}"
    return MlflowException.invalid_parameter_value(f"Column {entry['column']!r}{where}: {why}.")


mlflow.models.set_model(Predictor())
