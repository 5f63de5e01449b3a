"""Lists of items from the file that `export.onnx` writes beside a model that ranks, with ONNX Runtime alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfwd.errors import DataError, RunError
from tfwd.inference.onnx_runtime import new_session, onnxruntime
from tfwd.schema import MISSING, Kind, Schema

# Names in the graph; no raw input has such a name, as inputs have no slash.
ITEMS, TITLES = "catalogue/items", "catalogue/titles"
LOGITS, SCORES = "catalogue/logits", "catalogue/scores"
PLACES, SOME_LOGITS, SOME_SCORES = "some/places", "some/logits", "some/scores"
# The key of the metadata that says what is listed.
CATALOGUE = "tfwd_catalogue"

_KINDS: dict[str, Kind] = {"tensor(string)": "string", "tensor(int64)": "integer", "tensor(float)": "float"}
_DTYPES: dict[Kind, Any] = {"string": object, "integer": np.int64, "float": np.float32}
_NAMES: dict[Kind, str] = {"string": "string", "integer": "int64", "float": "float32"}
_WANTED: dict[Kind, str] = {"string": "text", "integer": "whole numbers", "float": "numbers"}


class Tensor(NamedTuple):
    """An input or output of `recommend`: its name, its type (string, int64, int32 or float32) and its shape."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


def lists_beside(model: Path) -> Path:
    """Returns the file of lists that belongs to an ONNX file."""
    return model.with_name(f"{model.stem}.recommend.onnx")


class Lists:
    """Answers what the signature `recommend` of the SavedModel answers.

    One object may be used by several threads.

    Args:
        path: the file, with any external data next to it.

    Attributes:
        schema: the schema of the model.
        ids: the items, in the order that breaks ties between equal scores: str objects or int64 `(N,)`.
        titles: their titles, str objects `(N,)`, or None.
        k: the length of a list by default.
        inputs: what `recommend` takes.
        outputs: what it returns.

    Raises:
        RunError: the file cannot be read, or is not a file of lists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._session = new_session(path, path.parent, threads=1)
        except Exception as error:  # ONNX Runtime's own classes, without a common base
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise RunError(f"{path} cannot be read as an ONNX model: {why}") from None
        self.schema, described = _described(self._session, path)
        self._options = onnxruntime.RunOptions()
        # Without it, whoever asks for all items would have some scored as well.
        self._options.only_execute_path_to_fetches = True
        given = {entry.name: entry for entry in self._session.get_inputs()}
        self._users = {name: _KINDS[entry.type] for name, entry in given.items() if name != PLACES}
        outputs = [entry.name for entry in self._session.get_outputs()]
        shapes = {
            name: (None, *(size if isinstance(size, int) else None for size in given[name].shape[1:]))
            for name in self._users
        }
        users = tuple(Tensor(name, _NAMES[kind], shapes[name]) for name, kind in self._users.items())
        nobody = {
            name: np.full((1, *(size or 1 for size in shapes[name][1:])), MISSING[kind], _DTYPES[kind])
            for name, kind in self._users.items()
        }
        # Every path through the graph is run once: the first run takes longer, and is not made for several threads.
        self.ids = self._session.run([ITEMS], nobody, self._options)[0]
        self.titles = self._session.run([TITLES], nobody, self._options)[0] if TITLES in outputs else None
        self._of_all(nobody)
        self._of_some(nobody, np.zeros(1, np.int64))
        self.k = described
        self._kind: Kind = "string" if self.ids.dtype == object else "integer"
        self._rows = {value: row for row, value in enumerate(self.ids.tolist())}
        item, listed = _NAMES[self._kind], (None, None)
        self.inputs = (
            *users,
            Tensor("k", "int32", ()),
            Tensor("candidates", item, listed),
            Tensor("exclude", item, listed),
        )
        titles = () if self.titles is None else (Tensor("titles", "string", listed),)
        self.outputs = (Tensor("items", item, listed), Tensor("scores", "float32", listed), *titles)
