"""What a folder of exported models holds, for the kits: SavedModels and ONNX files, by name and version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from export.serving.settings import KITS_FOLDER
from tfwd.errors import ExportError
from tfwd.inference.metadata import DESCRIBED

ONNX, LISTS = "model.onnx", "model.recommend.onnx"
TRANSFORM, RANKER = "model.transform.onnx", "model.ranker.onnx"
# As TF Serving reads the names of folders: 64 bits.
_LARGEST = 2**63 - 1
# A name goes into YAML, protobuf text, URLs and file names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class NothingFitsError(ExportError):
    """A folder holds no model that a kit can use."""


@dataclass(frozen=True)
class Version:
    """One version of a model: a folder `OUT/NAME/NUMBER`.

    Attributes:
        name: the model's name.
        number: the version.
        folder: its folder.
    """

    name: str
    number: int
    folder: Path

    @property
    def has_saved_model(self) -> bool:
        """Whether tfwd wrote a SavedModel there."""
        return self.folder.joinpath(*DESCRIBED).is_file()

    @property
    def onnx(self) -> Path | None:
        """The whole model in ONNX, if it is there."""
        file = self.folder / ONNX
        return file if file.is_file() else None

    @property
    def halves(self) -> tuple[Path, Path] | None:
        """The transform and the ranker in ONNX, if both are there beside the whole."""
        files = self.folder / TRANSFORM, self.folder / RANKER
        return files if self.onnx and all(file.is_file() for file in files) else None

    def loaded_by_onnx_runtime(self) -> Iterator[Path]:
        """Yields the files that `tfwd serve` loads with ONNX Runtime: the model, that of its lists, their tables."""
        for file in (ONNX, LISTS):
            yield from self.folder.glob(f"{file}*")


def versions(output: Path) -> dict[str, list[Version]]:
    """Returns the versions of each model in a folder, models by name and versions in ascending order.

    A version is a folder with a number for a name that holds a SavedModel of tfwd or a `model.onnx`.

    Raises:
        ExportError: a model has a name that the kits cannot write down, or the name of their folder.
    """
    found: dict[str, list[Version]] = {}
    for folder in sorted(output.glob("*/*")):
        name, number = folder.parent.name, folder.name
        if not (number.isascii() and number.isdecimal() and int(number) <= _LARGEST) or name.startswith("."):
            continue
        version = Version(name, int(number), folder)
        if version.has_saved_model or version.onnx:
            refuse_kits_name(name, folder)
            if not _NAME.fullmatch(name):
                raise ExportError(
                    f"{folder.parent} has a name that is not for servers: letters, digits, '.', '_' and '-'. Rename it."
                )
            found.setdefault(name, []).append(version)
    return {name: sorted(found[name], key=lambda version: version.number) for name in sorted(found)}


def newest(models: dict[str, list[Version]], holds: Callable[[Version], object]) -> dict[str, Version]:
    """Returns the newest version of each model that holds something; models without one are left out."""
    kept = {name: [version for version in found if holds(version)] for name, found in models.items()}
    return {name: found[-1] for name, found in kept.items() if found}


def refuse_kits_name(name: str, place: Path) -> None:
    """Refuses a model with the name of the kits' folder, among whose files its versions would be.

    Args:
        name: the model's name.
        place: where it is, or would be.

    Raises:
        ExportError: it has that name.
    """
    if name == KITS_FOLDER:
        raise ExportError(
            f"{place}: no model can be called {KITS_FOLDER}, since the serving kits of a folder of models are in a "
            "folder of that name. Choose another name."
        )


def refuse_version_of_kits(file: Path) -> None:
    """Refuses an ONNX file that would be a version of a model with the name of the kits' folder.

    Raises:
        ExportError: it would.
    """
    version = file.absolute().parent
    if file.name == ONNX and version.name.isdecimal():
        refuse_kits_name(version.parent.name, file)


def megabytes(files: Iterable[Path], server: int, times: float) -> int:
    """Returns the memory of a server.

    Args:
        files: what it loads.
        server: what it takes without a model, in MB.
        times: how much more than the files the models take in memory, in all processes together.
    """
    return server + round(times * sum(file.stat().st_size for file in files) / 2**20)


def missing(output: Path, models: Iterable[Version], what: str, example: str, command: str) -> NothingFitsError:
    """Returns the error of a folder that has nothing that a kit can use.

    Args:
        output: the folder.
        models: the newest version of each model in it, whatever it holds.
        what: the kit needs.
        example: where that would be, below a version.
        command: writes it, with `{output}`, `{name}` and `{version}` where they belong.
    """
    first = next(iter(models), None)
    name, number = (first.name, first.number) if first else ("wide_deep", 1)
    place = output / name / str(number)
    received = "a folder without any"
    if first is not None:
        held = "a SavedModel" if first.has_saved_model else "an ONNX file"
        received = f"{place} with {held} only"
    filled = command.format(output=output, name=name, version=number)
    return NothingFitsError(
        f"{output} must hold {what}, as in {place / example if example else place}. Received: {received}. "
        f"Write one with: {filled}"
    )


def kits_folder(output: Path, name: str = "") -> Path:
    """Returns the folder of the kits, or of one of them."""
    return output / KITS_FOLDER / name if name else output / KITS_FOLDER
