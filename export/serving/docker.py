"""The kit of Docker: an image of `tfwd serve` with ONNX Runtime, on a slim base."""

from __future__ import annotations

from pathlib import Path
from string import Template

from export.serving.found import kits_folder, newest, versions
from export.serving.kserve import megabytes
from export.serving.settings import HOME, Settings, template
from export.serving.triton import no_onnx
from tfwd.utils.files import write_text

_PYTHON = "3.12"
_FILES = {
    "Dockerfile": "Dockerfile",
    "docker-compose.yaml": "docker-compose.yaml",
    "README.md": "README.md",
    ".dockerignore": "dockerignore",
}


def write(output: str | Path, settings: Settings | None = None) -> Path:
    """Writes `OUT/serving/docker`: Dockerfile, .dockerignore, requirements, docker-compose.yaml, README.md.

    Args:
        output: the folder of all models: `NAME/VERSION/` with `model.onnx`.
        settings: the choices; by default those for this machine.

    Returns:
        `OUT/serving/docker`.

    Raises:
        ExportError: there is no ONNX model in the folder.
    """
    output, settings = Path(output), settings or Settings()
    models = versions(output)
    last = newest(models, lambda version: version.onnx)
    if not last:
        raise no_onnx(output, models)
    folder = kits_folder(output, "docker")
    values = {
        "names": ", ".join(last),
        "name": next(iter(last)),
        "models": output.resolve(),
        "home": HOME,
        "image": settings.server_image,
        "version": settings.tfwd_version,
        "python": _PYTHON,
        "cores": settings.cores,
        # Each worker is a process with models of its own.
        "memory": settings.cores * megabytes(last, 2),
    }
    for file, source in _FILES.items():
        write_text(folder / file, Template(template(f"docker/{source}")).substitute(values))
    write_text(folder / "requirements-serve.txt", template("docker/requirements-serve.txt"))
    return folder
