"""The metadata of ONNX files and SavedModels: the single reader of them, which expects that they may be damaged.

A server imports this module: what reads data is loaded when `Metadata.reading` is asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfwd.errors import RunError
from tfwd.schema import FINGERPRINT_SUFFIX, Kind, Schema
from tfwd.utils.files import read_json
from tfwd.version import __version__

if TYPE_CHECKING:
    from tfwd.data.reading import Reading

# Keys of the metadata of an ONNX file; without the prefix, of a SavedModel's assets.extra/tfwd.json.
PREFIX = "tfwd_"
DESCRIBED = ("assets.extra", "tfwd.json")
# The key of an ONNX file that holds part of a model, and its values: the halves, and the lists.
PART, HALVES, LISTS = f"{PREFIX}part", ("transform", "ranker"), "recommend"
# As ONNX Runtime calls the types of inputs.
_KINDS: dict[str, Kind] = {"tensor(string)": "string", "tensor(int64)": "integer", "tensor(float)": "float"}


class Metadata:
    """The metadata of an export.

    Args:
        values: the values by key, parsed.
        where: the file, for messages.
        prefix: what the keys begin with in the file.

    Attributes:
        schema: the raw inputs and the answer.

    Raises:
        RunError: the schema cannot be used.
    """

    def __init__(self, values: Mapping[str, Any], where: str, prefix: str) -> None:
        self._values, self._where, self._prefix = values, where, prefix
        try:
            self.schema = Schema.from_dict(values["schema"])
        except (ValueError, RecursionError) as error:
            raise self._unusable(error) from None

    @cached_property
    def reading(self) -> Reading | None:
        """How a file becomes raw inputs; None for files of a version that did not record it.

        Raises:
            RunError: it cannot be used.
        """
        if "reading" not in self._values:
            return None
        from tfwd.data.reading import Reading

        try:
            return Reading.from_dict(self._values["reading"])
        except (ValueError, RecursionError) as error:
            raise self._unusable(error) from None

    @cached_property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The smallest and largest value of the training rows by input; empty if they were not known.

        Raises:
            RunError: they cannot be used.
        """
        try:
            return checked_ranges(self._values.get("ranges", {}), self.schema)
        except ValueError as error:
            raise self._unusable(error) from None

    @property
    def items(self) -> int | None:
        """The number of items that a SavedModel lists; None if it lists none, or a version did not record it."""
        found = self._values.get("catalogue")
        items = found.get("items") if isinstance(found, dict) else None
        return items if isinstance(items, int) and not isinstance(items, bool) and items > 0 else None

    def _unusable(self, error: Exception) -> RunError:
        version = self._values.get("version")
        written = f" It says that tfwd {version} wrote it; this is tfwd {__version__}." if _is_version(version) else ""
        return RunError(f"{self._where} has metadata that cannot be used: {self._prefix}{error}{written}")


def part_beside(model: Path, part: str) -> Path:
    """Returns the file of a part of an ONNX file, `NAME.PART.onnx` for `NAME.onnx`, whether or not it exists."""
    return model.with_name(f"{model.stem}.{part}{model.suffix}")


def facts(schema: Schema, reading: Reading | None) -> dict[str, Any]:
    """Returns what `of_onnx` and `of_saved_model` read, as JSON values; the key `reading` only if it is known."""
    return {"schema": schema.to_dict(), **({} if reading is None else {"reading": reading.to_dict()})}


def of_onnx(properties: Iterable[tuple[str, str]], file: Path, part: str | None = None) -> Metadata:
    """Returns the metadata of an ONNX file.

    Args:
        properties: the keys and values in the file.
        file: the file, for messages.
        part: one of `HALVES` for the file of that half of a model, `LISTS` for that of its lists, None for that of a
            whole model.

    Raises:
        RunError: they are not tfwd's, are damaged, or are those of another part of a model.
    """
    found: dict[str, str] = {}
    for key, value in properties:
        if key.startswith(PREFIX) and key in found:
            raise RunError(f"{file} is damaged: its metadata has {key} twice.")
        found[key] = value
    if f"{PREFIX}schema" not in found:
        raise RunError(f"{file} was not exported by tfwd: its metadata has no {PREFIX}schema.")
    if found.get(PART) != part:
        kinds = {None: "a whole model", LISTS: "the file of the lists of a model"}
        kind, wanted = (kinds.get(which, f"the half {which!a:.40} of a model") for which in (found.get(PART), part))
        raise RunError(f"{file} is {kind}. Expected: {wanted}.")
    values = {
        key: _parsed(found[PREFIX + key], f"{file}: {PREFIX}{key}")
        for key in ("schema", "reading", "ranges")
        if PREFIX + key in found
    }
    return Metadata({**values, "version": found.get(f"{PREFIX}version")}, str(file), PREFIX)


def of_session(session: Any, file: Path) -> Metadata:
    """Returns the metadata of an ONNX file that ONNX Runtime has opened, which fits its graph.

    Args:
        session: the session, as `tfwd.inference.onnx_session.new_session` returns it.
        file: the file, for messages.

    Raises:
        RunError: they are not tfwd's, are damaged, or do not match the graph.
    """
    described = of_onnx(session.get_modelmeta().custom_metadata_map.items(), file)
    # ONNX Runtime reports no dimensions where their number is unknown.
    inputs = {entry.name: (_KINDS.get(entry.type), len(entry.shape) or None) for entry in session.get_inputs()}
    outputs = {entry.name: entry.shape for entry in session.get_outputs()}
    check_graph(described.schema, file, inputs, outputs)
    shape = outputs[described.schema.answer]
    check_classes(described.schema, file, shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None)
    return described


def of_saved_model(folder: Path) -> Metadata:
    """Returns the metadata of a SavedModel.

    Raises:
        RunError: they are not tfwd's, or damaged.
    """
    file = folder.joinpath(*DESCRIBED)
    if not file.is_file():
        raise RunError(f"{folder} was not exported by tfwd: {'/'.join(DESCRIBED)} does not exist.")
    values = read_json(file)
    if "schema" not in values:
        raise RunError(f"{file} is damaged: it has no schema.")
    return Metadata(values, str(file), "")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise RunError(f"{where} is damaged: it is not JSON.") from None
    except RecursionError:
        raise RunError(f"{where} is damaged: it is nested too deep.") from None


def checked_ranges(values: Any, schema: Schema) -> dict[str, tuple[float, float]]:
    """Returns ranges by input if they can be those of a schema's inputs.

    Raises:
        ValueError: they cannot; says which and why.
    """
    if not isinstance(values, dict):
        raise ValueError(f"ranges: expected a section of inputs. Received: {type(values).__name__}")
    numeric = {entry.name for entry in schema.inputs if entry.kind != "string"}
    for name, range_ in values.items():
        if name not in numeric:
            raise ValueError(f"ranges: {ascii(name)[:120]} is not a numeric input.")
        if (
            not isinstance(range_, list | tuple)
            or list(map(_is_number, range_)) != [True, True]
            or range_[0] > range_[1]
        ):
            raise ValueError(
                f"ranges.{name}: expected the smallest and the largest value. Received: {ascii(range_)[:120]}"
            )
    return {name: (float(low), float(high)) for name, (low, high) in values.items()}


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool | str) and math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def _is_version(version: Any) -> bool:
    return isinstance(version, str) and version.isprintable() and len(version) <= 40 and version != __version__


def check_graph(
    schema: Schema, where: Path, inputs: Mapping[str, tuple[Kind | None, int | None]], outputs: Iterable[str]
) -> dict[str, str]:
    """Checks that a schema fits the graph that it is stored with.

    Args:
        schema: the schema in the metadata.
        where: the file, for messages.
        inputs: the graph's inputs, with their kinds (None: not a kind of tfwd) and ranks (None: unknown).
        outputs: the graph's outputs.

    Returns:
        The inputs that take fingerprints, with the inputs that these are computed from.

    Raises:
        RunError: they do not match.
    """
    named = {entry.name: entry for entry in schema.inputs}
    hashed: dict[str, str] = {}
    for name, (kind, rank) in inputs.items():
        entry = named.get(name)
        if entry is None and name.endswith(FINGERPRINT_SUFFIX) and kind == "integer":
            hashed[name] = name.removesuffix(FINGERPRINT_SUFFIX)
            entry, kind = named.get(hashed[name]), None if hashed[name] not in named else named[hashed[name]].kind
        if entry is None:
            raise _disagree(where, f"the graph takes {name!r}, of which it says nothing")
        if entry.kind != kind or rank not in (None, len(entry.shape)):
            said = f"{'lists of ' if entry.length else ''}{entry.kind}"
            found = f"{'lists of ' if rank == 2 else ''}{kind or 'another type'}"
            raise _disagree(where, f"it says that {name!r} is {said}, and the graph takes {found}")
    missing = [name for name in named if name not in inputs and name not in hashed.values()]
    if missing:
        raise _disagree(where, f"it names the input {missing[0]!r}, which the graph does not take")
    if schema.answer not in set(outputs):
        would = f"of the task {schema.task} it would answer {schema.answer!r}"
        raise _disagree(where, f"{would}, which the graph does not give")
    return hashed


def check_classes(schema: Schema, where: Path, last: int | None) -> None:
    """Compares the number of classes with the last dimension of the answer, if that is known.

    Raises:
        RunError: they differ.
    """
    if schema.task == "multiclass" and last is not None and last != len(schema.classes):
        raise _disagree(where, f"it names {len(schema.classes)} classes, and the graph answers {last}")


def _disagree(where: Path, what: str) -> RunError:
    return RunError(f"{where} is damaged: its metadata and its graph do not match: {what}.")
