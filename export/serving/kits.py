"""All kits: which of them a call writes, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from export.serving import docker, kserve, triton
from export.serving.settings import Kit, Settings
from tfwd.errors import ExportError
from tfwd.utils.console import load_tensorflow


class _Entry(NamedTuple):
    """A kit.

    Attributes:
        write: writes it, and returns its folder.
        says: what it has written, and what to do next, with `{folder}` where that belongs.
    """

    write: Callable[[Path, Settings], Path]
    says: tuple[str, ...]


def _tf_serving(output: Path, settings: Settings) -> Path:
    # The other kits need no TensorFlow.
    load_tensorflow()
    from export.serving import tf_serving

    return tf_serving.write(output, settings)


_KITS = {
    Kit.TF_SERVING: _Entry(
        _tf_serving,
        ("models.config and README.md in {folder}.", "Start the server as {folder}/README.md says."),
    ),
    Kit.TRITON: _Entry(triton.write, ("Model repositories for Triton in {folder}; see {folder}/README.md.",)),
    Kit.KSERVE: _Entry(kserve.write, ("InferenceServices for KServe in {folder}; see {folder}/README.md.",)),
    Kit.DOCKER: _Entry(docker.write, ("An image of tfwd serve in {folder}; see {folder}/README.md.",)),
}


def write(output: Path, kits: Sequence[Kit], settings: Settings) -> list[str]:
    """Writes kits for the models of a folder.

    Args:
        output: the folder of all models.
        kits: which ones; `Kit.ALL` stands for those for which there are models.
        settings: the choices.

    Returns:
        What to say, a line each.

    Raises:
        ExportError: there is no model for a kit, or for `all` none for any.
    """
    lines: list[str] = []
    if Kit.ALL in kits:
        faults = {}
        for kit in _KITS:
            try:
                lines += _written(kit, output, settings)
            except ExportError as error:
                faults[kit] = error
        if len(faults) == len(_KITS):
            raise faults[Kit.TF_SERVING]
        return [*lines, *(f"No kit for {kit}: {error}" for kit, error in faults.items())]
    for kit in dict.fromkeys(kits):
        lines += _written(kit, output, settings)
    return lines


def _written(kit: Kit, output: Path, settings: Settings) -> list[str]:
    folder = _KITS[kit].write(output, settings)
    return [text.format(folder=folder) for text in _KITS[kit].says]
