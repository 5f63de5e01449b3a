"""An exported ONNX file as a served model: its signatures, computed by ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tfwd.errors import DataError, RunError, first_line
from tfwd.inference import onnx_wire
from tfwd.inference.metadata import Metadata, of_session
from tfwd.inference.onnx_session import new_session
from tfwd.server import list_requests
from tfwd.server.drift import Watch
from tfwd.server.lists import Lists, lists_beside
from tfwd.server.request_error import RequestError
from tfwd.server.signature import Signature, Spec, Tensors, input_specs

_INSIDE = "transform/"
_TYPES = {"tensor(string)": "string", "tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(float)": "float32"}


class OnnxModel:
    """A model that ONNX Runtime answers, on one thread: a server scales by processes.

    Args:
        file: the file, with any external data next to it.

    Attributes:
        kind: `onnx`.
        schema: the raw inputs and the answer.
        signatures: what can be asked, by name.
        watch: counts values that training has not seen.

    Raises:
        RunError: the file cannot be read, or was not made by tfwd.
    """

    kind = "onnx"

    def __init__(self, file: Path) -> None:
        content = _read(file)
        inside = _transformed(onnx_wire.properties(content, str(file)))
        content += onnx_wire.outputs(inside)
        try:
            self._session = new_session(content, file.parent, threads=1)
        except Exception as error:  # its own classes, without a common base
            raise RunError(f"{file} cannot be read as an ONNX model: {first_line(error)}") from None
        del content
        described = of_session(self._session, file)
        self.schema = described.schema
        given = {entry.name: entry for entry in self._session.get_outputs()}
        inputs = input_specs(self.schema, [entry.name for entry in self._session.get_inputs()])
        answers = [name for name in self.schema.answer_names if name in given]
        self._answers = answers
        specs = tuple(_output(given[name], name) for name in answers)
        transformed = tuple(_output(given[name], name.removeprefix(_INSIDE)) for name in inside)
        self._watched: list[str] = []
        self.watch = self._watch(described, list(inside), inputs)
        self._run = self._session.run
        self.signatures = {"serving_default": Signature("serving_default", inputs, specs, self._answer)}
        if transformed:
            self.signatures["transform"] = Signature("transform", inputs, transformed, self._transform)
        beside = lists_beside(file)
        if beside.is_file():
            self.signatures["recommend"] = _recommending(Lists(beside))

    def _answer(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        found = self._run(self._answers + self._watched, inputs)
        if self._watched:
            self.watch.add(inputs, dict(zip(self._watched, found[len(self._answers) :], strict=True)))
        return dict(zip(self._answers, found, strict=False))

    def _transform(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        names = [spec.name for spec in self.signatures["transform"].outputs]
        return dict(zip(names, self._run([_INSIDE + name for name in names], inputs), strict=True))

    def _watch(self, described: Metadata, inside: list[str], inputs: tuple[Spec, ...]) -> Watch:
        ids = [name for name in inside if name.endswith("_ids")]

        def ask(values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return dict(zip(ids, self._session.run(ids, values), strict=True)) if ids else {}

        watch = Watch(self.schema, inputs, described.ranges, ask)
        self._watched = watch.matrices
        return watch


def _recommending(lists: Lists) -> Signature:
    """Returns the signature of lists, which answers one request at a time."""

    def run(inputs: Mapping[str, NDArray[Any]], stopped: Callable[[], bool]) -> Tensors:
        try:
            return lists.recommend(inputs, stopped)
        except DataError as error:
            raise RequestError(str(error)) from None

    signature = Signature("recommend", lists.inputs, lists.outputs, run, merges=False, defaults=lists.defaults)
    return list_requests.checked(signature, len(lists.ids))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RunError(f"{file} cannot be read as an ONNX model: {error.strerror or error}") from None


def _transformed(properties: list[tuple[str, str]]) -> dict[str, int]:
    """Returns the values inside the graph that are outputs of the transform, with their types; none if not known."""
    layout = next((value for key, value in properties if key == "tfwd_layout"), None)
    try:
        found = json.loads(layout) if layout is not None else {}
        made = {f"{_INSIDE}{table['name']}_ids": onnx_wire.INT32 for table in found.get("tables", ()) if table["slots"]}
        if found.get("one_hot_slots"):
            made[f"{_INSIDE}one_hot_ids"] = onnx_wire.INT32
        if found.get("numeric"):
            made[f"{_INSIDE}numeric"] = onnx_wire.FLOAT
        return made
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _output(entry: Any, name: str) -> Spec:
    sizes = tuple(size if isinstance(size, int) else None for size in entry.shape)
    return Spec(name, _TYPES[entry.type], sizes or (None,))
