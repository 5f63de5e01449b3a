"""The kit of KServe: an InferenceService with `tfwd serve`, and one with KServe's runtime for Triton."""

from __future__ import annotations

from pathlib import Path
from string import Template

from export.serving import kit_files, triton
from export.serving.found import ONNX, Version, kits_folder, megabytes, newest, versions
from export.serving.settings import KITS_FOLDER, Settings, template

FOLDER = "kserve"
# What `tfwd serve` and Triton take without a model, and how much more than its file an ONNX model takes in memory.
_SERVER_MB, _TRITON_MB, _LOADED = 256, 1024, 2


def write(output: str | Path, settings: Settings | None = None) -> Path:
    """Writes `OUT/serving/kserve`, and the kit of Triton, whose repository the second service serves.

    Args:
        output: the folder of all models: `NAME/VERSION/` with `model.onnx`.
        settings: the choices; by default those for this machine.

    Returns:
        `OUT/serving/kserve`.

    Raises:
        ExportError: there is no ONNX model in the folder.
    """
    output, settings = Path(output), settings or Settings()
    triton.write(output, settings)
    last = newest(versions(output), lambda version: version.onnx)
    storage = settings.storage_uri.rstrip("/")
    values = {
        "names": ", ".join(last),
        "name": next(iter(last)),
        "models": output.resolve(),
        "image": settings.server_image,
        "cores": settings.cores,
    }
    repository = f"{storage}/{KITS_FOLDER}/{triton.FOLDER}/onnxruntime"
    each = {
        "tfwd.yaml": (storage, server_megabytes),
        "triton.yaml": (repository, _triton_megabytes),
        "README.md": (storage, server_megabytes),
    }
    text = {
        file: Template(template(f"kserve/{file}")).substitute(
            values, storage=place, request=memory(last, settings, 1), memory=memory(last, settings, 2)
        )
        for file, (place, memory) in each.items()
    }
    kit_files.replace(kits_folder(output, FOLDER), text)
    return kits_folder(output, FOLDER)


def server_megabytes(last: dict[str, Version], settings: Settings, copies: int) -> int:
    """Returns the memory of `tfwd serve` with ONNX models and a worker a core: a process with models of its own each.

    Args:
        last: the newest version of each model.
        settings: the choices.
        copies: the versions of a model that are loaded: two while a new one replaces the old one.
    """
    files = (file for version in last.values() for file in version.loaded_by_onnx_runtime())
    return megabytes(files, settings.cores * _SERVER_MB, settings.cores * copies * _LOADED)


def _triton_megabytes(last: dict[str, Version], settings: Settings, copies: int) -> int:
    """Returns the memory of Triton, in which each instance has a session with tables of its own."""
    files = (file for version in last.values() for file in version.folder.glob(f"{ONNX}*"))
    return megabytes(files, _TRITON_MB, settings.cores * copies * _LOADED)
