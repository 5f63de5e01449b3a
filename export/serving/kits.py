"""All kits: which of them a call writes, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from export.serving import docker, kit_files, kserve, triton
from export.serving.found import NothingFitsError, kits_folder
from export.serving.settings import Kit, Settings
from tfwd.utils.console import load_tensorflow


class _Entry(NamedTuple):
    """A kit.

    Attributes:
        write: writes it, and returns its folder.
        folder: the name of its folder in that of the kits; empty for that folder itself.
        says: returns what it has written, and what to do next, for its folder.
    """

    write: Callable[[Path, Settings], Path]
    folder: str
    says: Callable[[Path], list[str]]


def _tf_serving(output: Path, settings: Settings) -> Path:
    # The other kits need no TensorFlow.
    load_tensorflow()
    from export.serving import tf_serving

    return tf_serving.write(output, settings)


def _of_tf_serving(folder: Path) -> list[str]:
    from export.serving.server_config import MODELS, own_entries

    lines = [f"{MODELS} and README.md in {folder}.", f"Start the server as {folder}/README.md says."]
    kept = ", ".join(own_entries(folder))
    if kept:
        lines.append(
            f"{MODELS} still has the versions and labels that it had of {kept}. To serve the newest version of each "
            "model again: --rewrite-models-config"
        )
    return lines


_KITS = {
    Kit.TF_SERVING: _Entry(_tf_serving, "", _of_tf_serving),
    Kit.TRITON: _Entry(
        triton.write,
        triton.FOLDER,
        lambda folder: [f"Model repositories for Triton in {folder}; see {folder}/README.md."],
    ),
    Kit.KSERVE: _Entry(
        kserve.write,
        kserve.FOLDER,
        lambda folder: [f"InferenceServices for KServe in {folder}; see {folder}/README.md."],
    ),
    Kit.DOCKER: _Entry(
        docker.write,
        docker.FOLDER,
        lambda folder: [f"An image of tfwd serve in {folder}; see {folder}/README.md."],
    ),
}


def write(output: Path, kits: Sequence[Kit], settings: Settings) -> list[str]:
    """Writes kits for the models of a folder.

    Args:
        output: the folder of all models.
        kits: which ones; `Kit.ALL` stands for those for which there are models. The others' files are removed.
        settings: the choices.

    Returns:
        What to say, a line each.

    Raises:
        ExportError: there is no model for a kit, or for `all` none for any; or a model is damaged.
    """
    lines: list[str] = []
    if Kit.ALL in kits:
        faults = {}
        for kit in _KITS:
            try:
                lines += _written(kit, output, settings)
            except NothingFitsError as error:
                faults[kit] = error
        if len(faults) == len(_KITS):
            raise faults[Kit.TF_SERVING]
        for kit in faults:
            # Of models that are no longer there.
            kit_files.clear(kits_folder(output, _KITS[kit].folder))
        return [*lines, *(f"No kit for {kit}: {error}" for kit, error in faults.items())]
    for kit in dict.fromkeys(kits):
        lines += _written(kit, output, settings)
    return lines


def _written(kit: Kit, output: Path, settings: Settings) -> list[str]:
    return _KITS[kit].says(_KITS[kit].write(output, settings))
