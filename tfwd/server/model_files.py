"""Where the versions of models are: a run, a file, a SavedModel, or a folder as TensorFlow Serving polls it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tfwd.errors import ConfigError
from tfwd.inference.metadata import HALVES, LISTS
from tfwd.server.settings import Backend

# Files beside an ONNX file that are parts of it, and no models of their own.
_PARTS = tuple(f".{part}.onnx" for part in (*HALVES, LISTS))


# The time of the last change and the size of each file of a version; -1 for one that is not there.
Stamp = tuple[tuple[float, int], ...]


class Place(NamedTuple):
    """A version of a model on disk.

    Attributes:
        path: the ONNX file or the folder of the SavedModel.
        backend: what can load it.
    """

    path: Path
    backend: Backend

    def stamp(self) -> Stamp:
        """What changes when one of the files is written again, or comes later."""
        if self.backend == "tensorflow":
            files = [self.path / "saved_model.pb"]
        else:
            lists = self.path.with_name(f"{self.path.stem}{_PARTS[0]}")
            files = [self.path, lists, *(file.with_name(f"{file.name}.data") for file in (self.path, lists))]
        return tuple(map(_stamp, files))


def _stamp(file: Path) -> tuple[float, int]:
    try:
        found = file.stat()
    except OSError:
        return (0.0, -1)
    return (found.st_mtime, found.st_size)


Places = dict[str, dict[int, Place]]


def find(model: str, name: str | None, backend: Backend) -> Places:
    """Returns the versions by model and number.

    Args:
        model: a run, an .onnx file, a SavedModel, or a folder of versions or of models.
        name: the model's name if there is one model; by default that of the file or folder.
        backend: the only kind to serve; `auto` prefers ONNX.

    Raises:
        ConfigError: there is nothing of that kind, nor could a version appear in a folder.
    """
    path = Path(model)
    if path.is_file():
        if path.suffix != ".onnx":
            raise ConfigError(f"{path} is not an .onnx file, a run directory or a folder of models.")
        _refuse_backend(path, "onnx", backend)
        return {name or path.stem: {1: Place(path, "onnx")}}
    if not path.is_dir():
        raise ConfigError(f"{path} does not exist. Give a run directory, an .onnx file or a folder of NAME/VERSION.")
    if (path / "run.json").is_file():
        return _of_run(path, name, backend)
    if (path / "saved_model.pb").is_file():
        _refuse_backend(path, "tensorflow", backend)
        number = int(path.name) if path.name.isdecimal() else 1
        shown = path.resolve().parent.name if path.name.isdecimal() else path.resolve().name
        return {name or shown: {number: Place(path, "tensorflow")}}
    versions = _versions(path, backend)
    if versions or any(_is_version(child) for child in path.iterdir()):
        return {name or path.resolve().name: versions}
    found = {child.name: _versions(child, backend) for child in sorted(path.iterdir()) if _is_model(child)}
    found = {key: versions for key, versions in found.items() if versions}
    return found if name is None else _only(name, found, path)


def _only(name: str, found: Places, path: Path) -> Places:
    """Returns one of several models.

    Raises:
        ConfigError: there are others and not this one.
    """
    if found and name not in found:
        raise ConfigError(f"{path} has no model {name!r}. It has: {', '.join(sorted(found))}")
    return {key: versions for key, versions in found.items() if key == name}


def _of_run(run: Path, name: str | None, backend: Backend) -> Places:
    exports = run / "export"
    files = sorted(exports.glob("*.onnx")) if exports.is_dir() else []
    files = [file for file in files if not file.name.endswith(_PARTS)]
    found: Places = {}
    if backend != "tensorflow":
        found = {file.stem: {1: Place(file, "onnx")} for file in files}
    if not found and exports.is_dir() and backend != "onnx":
        folders = {folder.name: _versions(folder, "tensorflow") for folder in sorted(exports.iterdir())}
        found = {key: versions for key, versions in folders.items() if versions}
    if not found:
        wanted = {"onnx": "no ONNX file", "tensorflow": "no SavedModel", "auto": "no export"}[backend]
        command = "export.savedmodel" if backend == "tensorflow" else "export.onnx"
        raise ConfigError(f"{run} has {wanted} to serve. Write one with: python -m {command} {run}")
    if name is not None and len(found) == 1:
        return dict(zip([name], found.values(), strict=True))
    return found if name is None else _only(name, found, run)


def _refuse_backend(path: Path, found: Backend, backend: Backend) -> None:
    if backend not in ("auto", found):
        kind = {"onnx": "an ONNX file", "tensorflow": "a SavedModel"}[found]
        raise ConfigError(f"{path} is {kind}, which --backend {backend} cannot serve.")


def _is_model(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _is_version(child: Path) -> bool:
    return child.is_dir() and child.name.isdecimal() and child.name.isascii()


def _versions(folder: Path, backend: Backend) -> dict[int, Place]:
    """Returns the versions in a folder; one that has nothing to load, as while it is being written, is left out."""
    found: dict[int, Place] = {}
    if not folder.is_dir():
        return found
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return found
    for child in children:
        place = _place(child, backend) if _is_version(child) else None
        if place is not None:
            found[int(child.name)] = place
    return found


def _place(folder: Path, backend: Backend) -> Place | None:
    if backend != "tensorflow":
        file = folder / "model.onnx"
        if file.is_file():
            return Place(file, "onnx")
        others = [one for one in sorted(folder.glob("*.onnx")) if not one.name.endswith(_PARTS)]
        if len(others) == 1:
            return Place(others[0], "onnx")
    if backend != "onnx" and (folder / "saved_model.pb").is_file():
        return Place(folder, "tensorflow")
    return None
