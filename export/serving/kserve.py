"""The kit of KServe: an InferenceService with `tfwd serve`, and one with KServe's runtime for Triton."""

from __future__ import annotations

from pathlib import Path
from string import Template

from export.serving import triton
from export.serving.found import Version, kits_folder, newest, versions
from export.serving.settings import KITS_FOLDER, Settings, template
from tfwd.utils.files import write_text

# What the server takes without a model, and how much more than its file an ONNX model takes in memory.
_SERVER_MB, _LOADED = 256, 2


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
    folder = kits_folder(output, "kserve")
    storage = settings.storage_uri.rstrip("/")
    values = {
        "names": ", ".join(last),
        "name": next(iter(last)),
        "models": output.resolve(),
        "image": settings.server_image,
        "cores": settings.cores,
        "request": megabytes(last, 1),
        "memory": megabytes(last, 2),
    }
    repository = f"{storage}/{KITS_FOLDER}/{triton.FOLDER}/onnxruntime"
    for file, place in (("tfwd.yaml", storage), ("triton.yaml", repository), ("README.md", storage)):
        text = Template(template(f"kserve/{file}")).substitute(values, storage=place)
        write_text(folder / file, text)
    return folder


def megabytes(last: dict[str, Version], copies: int) -> int:
    """Returns the memory of `tfwd serve` with ONNX models: twice that of the models while new versions load."""
    files = (file for version in last.values() for file in version.folder.glob("model.onnx*"))
    size = sum(file.stat().st_size for file in files)
    return _SERVER_MB + round(copies * _LOADED * size / 2**20)
