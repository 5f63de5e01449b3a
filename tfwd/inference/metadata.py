"""The metadata of ONNX files and SavedModels: the single reader of them, which expects that they may be damaged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfwd.data.reading import Reading
from tfwd.errors import RunError
from tfwd.schema import FINGERPRINT_SUFFIX, Kind, Schema
from tfwd.utils.files import read_json
from tfwd.version import __version__

# Keys of the metadata of an ONNX file; without the prefix, of a SavedModel's assets.extra/tfwd.json.
PREFIX = "tfwd_"
DESCRIBED = ("assets.extra", "tfwd.json")


@dataclass(frozen=True)
class Metadata:
    """The metadata of an export.

    Attributes:
        schema: the raw inputs and the answer.
        reading: how a file becomes raw inputs; None for files of a version that did not record it.
    """

    schema: Schema
    reading: Reading | None


def facts(schema: Schema, reading: Reading | None) -> dict[str, Any]:
    """Returns what `of_onnx` and `of_saved_model` read, as JSON values; the key `reading` only if it is known."""
    return {"schema": schema.to_dict(), **({} if reading is None else {"reading": reading.to_dict()})}


def of_onnx(properties: Iterable[tuple[str, str]], file: Path) -> Metadata:
    """Returns the metadata of an ONNX file.

    Args:
        properties: the keys and values in the file.
        file: the file, for messages.

    Raises:
        RunError: they are not tfwd's, or damaged.
    """
    found: dict[str, str] = {}
    for key, value in properties:
        if key.startswith(PREFIX) and key in found:
            raise RunError(f"{file} is damaged: its metadata has {key} twice.")
        found[key] = value
    if f"{PREFIX}schema" not in found:
        raise RunError(f"{file} was not exported by tfwd: its metadata has no {PREFIX}schema.")
    values = {
        key: _parsed(found[PREFIX + key], f"{file}: {PREFIX}{key}")
        for key in ("schema", "reading")
        if PREFIX + key in found
    }
    return _metadata({**values, "version": found.get(f"{PREFIX}version")}, str(file), PREFIX)


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
    return _metadata(values, str(file), "")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise RunError(f"{where} is damaged: it is not JSON.") from None
    except RecursionError:
        raise RunError(f"{where} is damaged: it is nested too deep.") from None


def _metadata(values: Mapping[str, Any], where: str, prefix: str) -> Metadata:
    try:
        schema = Schema.from_dict(values["schema"])
        reading = Reading.from_dict(values["reading"]) if "reading" in values else None
    except (ValueError, RecursionError) as error:
        version = values.get("version")
        written = f" It says that tfwd {version} wrote it; this is tfwd {__version__}." if _is_version(version) else ""
        raise RunError(f"{where} has metadata that cannot be used: {prefix}{error}{written}") from None
    return Metadata(schema, reading)


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
