"""Lists of items from the file that `export.onnx` writes beside a model that ranks, by ONNX Runtime alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.errors import DataError, RunError, first_line
from tfwd.inference.metadata import LISTS, of_onnx, part_beside
from tfwd.inference.onnx_session import new_session
from tfwd.schema import DTYPES, MISSING, Kind, Schema
from tfwd.server import list_requests
from tfwd.server.signature import Spec, input_specs, uneven_weights
from tfwd.server.values import nothing

# Names in the graph; no raw input has such a name, as inputs have no slash.
PLACES, LOGITS, SCORES = "catalogue/places", "catalogue/logits", "catalogue/scores"
ITEMS, TITLES = "catalogue/items", "catalogue/titles"
# The key of the metadata that a file of lists has besides those of a model.
CATALOGUE = "tfwd_catalogue"

_DTYPES = {"tensor(string)": "string", "tensor(int64)": "int64", "tensor(float)": "float32"}
_WANTED = {"string": "text", "int64": "whole numbers", "float32": "numbers", "int32": "a whole number of 32 bits"}


def lists_beside(model: Path) -> Path:
    """Returns the file of lists that belongs to an ONNX file, whether or not it exists."""
    return part_beside(model, LISTS)


class Lists:
    """Answers users with the best items of a catalogue, as the signature `recommend` of the SavedModel does.

    Several threads may use one object.

    Args:
        path: the file, with any external data next to it.

    Attributes:
        schema: the raw inputs of the model, those of the item among them.
        ids: the items, in the order of the catalogue: `str` objects or int64 `(N,)`.
        titles: their titles, `str` objects `(N,)`, or None.
        inputs: what `recommend` takes.
        outputs: what it returns.
        defaults: the values of inputs that may be left out: the length of a list, no candidates, nothing excluded.

    Raises:
        RunError: the file cannot be read, or is not a file of lists.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._session = new_session(path, path.parent, threads=1)
        except Exception as error:  # ONNX Runtime's own classes, without a common base
            raise RunError(f"{path} cannot be read as an ONNX model: {first_line(error)}") from None
        properties = self._session.get_modelmeta().custom_metadata_map
        self.schema = of_onnx(properties.items(), path, LISTS).schema
        length = _default_length(properties.get(CATALOGUE), path)
        graph = {entry.name: entry for entry in self._session.get_inputs()}
        outputs = {entry.name for entry in self._session.get_outputs()}
        graph.pop(PLACES, None)
        if not {ITEMS, LOGITS, SCORES} <= outputs or not graph:
            raise _damaged(path, f"the graph takes {sorted(graph)} and gives {sorted(outputs)}")
        self._users = _of_users(self.schema, graph, path)
        nobody = {spec.name: nothing(spec, 1) for spec in self._users}
        columns = [name for name in (ITEMS, TITLES) if name in outputs]
        try:
            logits, self.ids, *more = self._session.run([LOGITS, *columns], nobody)
        except Exception as error:  # as above
            raise _damaged(path, f"a user without any value gets {first_line(error)}") from None
        self.titles: NDArray[Any] | None = more[0] if more else None
        if {logits.shape, *(found.shape for found in more)} != {self.ids.shape}:
            raise _damaged(path, f"{logits.shape} scores of {self.ids.shape} items")
        kind: Kind = "string" if self.ids.dtype == object else "integer"
        item, self._none = DTYPES[kind], MISSING[kind]
        self._rows = {value: row for row, value in enumerate(self.ids.tolist())}
        listed = [Spec(name, item, (None, None), self._none) for name in list_requests.CHOICES]
        self.inputs = (*self._users, Spec("k", "int32", ()), *listed)
        none = np.full((1, 1), self._none, listed[0].type)
        self.defaults = {"k": np.array(length, np.int32), "candidates": none, "exclude": none}
        titles = () if self.titles is None else (Spec("titles", "string", (None, None)),)
        self.outputs = (Spec("items", item, (None, None)), Spec("scores", "float32", (None, None)), *titles)

    def recommend(
        self, inputs: Mapping[str, Any], stopped: Callable[[], bool] = list_requests.never
    ) -> dict[str, NDArray[Any]]:
        """Returns the best items for `B` users.

        Items are in the order of their logits, and items with equal logits in the order of the catalogue.

        Args:
            inputs: by name: those of the users as in `serving_default`, `(B,)` or `(B, K)`; `k`, int32 `()`, the length
                of a list; `candidates` `(B, C)` and `exclude` `(B, S)`, items, padded with the missing value, where one
                row is for all users. A row of `candidates` without an item stands for the whole catalogue. The last
                three may be left out.
            stopped: is asked before each user whether nobody waits for the lists any more.

        Returns:
            `items` `(B, k)`, `scores` float32 `(B, k)` and, where the catalogue has titles, `titles` `(B, k)`; after
            the last item the missing value, 0 and "".

        Raises:
            DataError: an input is missing, unknown, or of the wrong type, shape or number of rows.
            TimeoutError: nobody waits any more.
        """
        given = self._checked(inputs)
        count = len(given[self._users[0].name])
        length = max(int(given["k"]), 0)
        candidates, exclude = (self._places(given[name]) for name in list_requests.CHOICES)
        items = np.full((count, length), self._none, self.ids.dtype)
        scores = np.zeros((count, length), np.float32)
        titles = np.full((count, length), "", object)
        for row in range(count):
            if stopped():
                raise TimeoutError(f"Nobody waits for the lists any more: {row} of {count} users had theirs.")
            user = {spec.name: given[spec.name][row : row + 1] for spec in self._users}
            found, best = self._best(user, length, candidates[row % len(candidates)], exclude[row % len(exclude)])
            items[row, : len(found)], scores[row, : len(found)] = self.ids[found], best
            if self.titles is not None:
                titles[row, : len(found)] = self.titles[found]
        answer = {"items": items, "scores": scores}
        return answer if self.titles is None else {**answer, "titles": titles}

    def _best(
        self, user: dict[str, NDArray[Any]], length: int, candidates: NDArray[Any] | None, exclude: NDArray[Any] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the places of the best items for one user, and their scores."""
        places = np.arange(len(self.ids)) if candidates is None else candidates
        if exclude is not None:
            allowed = np.ones(len(self.ids), bool)
            allowed[exclude] = False
            places = places[allowed[places]]
        if not len(places) or not length:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        if candidates is None:
            # To score what is excluded too takes less time than to gather all the others.
            logits, scores = (values[places] for values in self.scored(user))
        else:
            logits, scores = self.scored(user, places)
        chosen = largest(logits, length)
        return places[chosen], scores[chosen]

    def scored(
        self, user: Mapping[str, NDArray[Any]], places: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the logits and scores of items for one user, float32 `(M,)`.

        Args:
            user: the inputs of the user, `(1,)` or `(1, K)`, which are not checked.
            places: int64 `(M,)`, at least one position in `ids`; all items if None.
        """
        chosen = {} if places is None else {PLACES: places}
        logits, scores = self._session.run([LOGITS, SCORES], {**user, **chosen})
        return logits, scores

    def _checked(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Returns the inputs as arrays of their types, with the defaults."""
        names = [spec.name for spec in self.inputs]
        strange = sorted(map(repr, inputs.keys() - set(names)))
        if strange:
            raise DataError(f"recommend has no input {strange[0]}. It takes: {', '.join(names)}.")
        given: dict[str, NDArray[Any]] = {}
        for spec in self.inputs:
            if spec.name not in inputs and spec.name not in self.defaults:
                raise DataError(f"recommend needs the input {spec.name!r}.")
            given[spec.name] = _array(spec, inputs.get(spec.name, self.defaults.get(spec.name)))
        widths = {spec.name: given[spec.name].shape[1] for spec in self._users if spec.of_lists}
        fault = list_requests.row_fault(self._users, given) or uneven_weights(self._users, widths)
        if fault is not None:
            raise DataError(fault)
        return given

    def _places(self, array: NDArray[Any]) -> list[NDArray[np.int64] | None]:
        """Returns the places of listed items for each user, or for all: in order, None where no item is given."""
        found: list[NDArray[np.int64] | None] = []
        for listed in array.tolist():
            rows = sorted({self._rows[item] for item in listed if item in self._rows})
            found.append(np.array(rows, np.int64) if any(item != self._none for item in listed) else None)
        return found


def largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Returns the positions of the largest values, the largest first, of equal ones the first first.

    Args:
        values: `(N,)`.
        count: how many; at least 1.
    """
    chosen = np.arange(len(values))
    if count < len(values):
        border = np.partition(values, len(values) - count)[len(values) - count]
        above = np.flatnonzero(values > border)
        equal = np.flatnonzero(values == border)[: count - len(above)]
        chosen = np.sort(np.concatenate([above, equal]))
    return chosen[np.argsort(-values[chosen], kind="stable")]


def _array(spec: Spec, value: Any) -> NDArray[Any]:
    """Returns an input as an array of its type and rank."""
    try:
        # A fixed-width string would end at a NUL.
        array = value if isinstance(value, np.ndarray) else np.array(value, object if spec.dtype == "string" else None)
    except ValueError:
        raise _refused(spec, "lists of different lengths") from None
    if array.ndim != len(spec.shape) or any(
        size not in (None, found) for size, found in zip(spec.shape, array.shape, strict=False)
    ):
        shown = "(" + ", ".join("any" if size is None else str(size) for size in spec.shape) + ")"
        raise DataError(f"The input {spec.name!r} takes the shape {shown}. Received: {array.shape}")
    if spec.dtype == "string":
        return _texts(spec, array)
    if array.dtype == spec.type:
        return array
    if not array.size:
        return np.zeros(array.shape, spec.type)
    if array.dtype.kind not in ("fiu" if spec.dtype == "float32" else "iu"):
        raise _refused(spec, str(array.dtype))
    with np.errstate(over="ignore"):
        made = array.astype(spec.type)
    if spec.dtype != "float32" and (made != array).any():
        raise _refused(spec, str(array[made != array].flat[0]))
    return made


def _texts(spec: Spec, array: NDArray[Any]) -> NDArray[Any]:
    values = array.ravel().tolist()
    try:
        if {bytes} & set(map(type, values)):
            values = [value.decode() if isinstance(value, bytes) else value for value in values]
        "".join(values).encode()
    except UnicodeError:
        raise _refused(spec, "text that is not valid UTF-8") from None
    except TypeError:
        strange = next(value for value in values if not isinstance(value, str))
        raise _refused(spec, f"{strange!r:.60}") from None
    made = np.empty(len(values), object)
    made[:] = values
    return made.reshape(array.shape)


def _refused(spec: Spec, found: str) -> DataError:
    return DataError(f"The input {spec.name!r} takes {_WANTED[spec.dtype]}. Received: {found}")


def _of_users(schema: Schema, graph: Mapping[str, Any], path: Path) -> tuple[Spec, ...]:
    """Returns the inputs of a graph, each of which is a raw input or its fingerprints."""
    specs = {spec.name: spec for spec in input_specs(schema, graph)}
    for name, entry in graph.items():
        spec = specs.get(name)
        if spec is None or _DTYPES.get(entry.type) != spec.dtype or len(entry.shape) != len(spec.shape):
            raise _damaged(path, f"the graph takes {name!r}, {entry.type} of the shape {entry.shape}")
    return tuple(specs.values())


def _default_length(text: str | None, path: Path) -> int:
    """Returns the length of a list by default from the metadata."""
    if text is None:
        raise RunError(f"{path} is not a file of lists: its metadata has no {CATALOGUE}.")
    try:
        found = json.loads(text)["k"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found < 2**31:
        raise RunError(f"{path} is damaged: its {CATALOGUE} has no length of a list, k.")
    return found


def _damaged(path: Path, what: str) -> RunError:
    return RunError(f"{path} is damaged: its metadata and its graph do not match: {what}.")
