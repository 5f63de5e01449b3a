"""The kit of Docker: an image of `tfwd serve` with ONNX Runtime, on a slim base."""

from __future__ import annotations

from pathlib import Path
from string import Template

from export.serving import kit_files, monitoring
from export.serving.found import kits_folder, newest, versions
from export.serving.kserve import server_megabytes
from export.serving.settings import HOME, Settings, template
from export.serving.triton import no_onnx

FOLDER = "docker"
_PYTHON = "3.12"
_FILES = {
    "Dockerfile": "Dockerfile",
    "docker-compose.yaml": "docker-compose.yaml",
    "README.md": "README.md",
    ".dockerignore": "dockerignore",
}


def write(output: str | Path, settings: Settings | None = None) -> Path:
    """Writes `OUT/serving/docker`: Dockerfile, .dockerignore, requirements, docker-compose.yaml, monitoring, README.md.

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
    values = {
        "names": ", ".join(last),
        "name": next(iter(last)),
        "models": output.resolve(),
        "home": HOME,
        "image": settings.server_image,
        "version": settings.tfwd_version,
        "python": _PYTHON,
        "cores": settings.cores,
        "memory": server_megabytes(last, settings, 2),
        "prometheus": template("monitoring/compose.yaml").rstrip(),
    }
    text = {file: Template(template(f"docker/{source}")).substitute(values) for file, source in _FILES.items()}
    text["requirements-serve.txt"] = template("docker/requirements-serve.txt")
    text |= {f"monitoring/{name}": content for name, content in monitoring.files(monitoring.TFWD_SERVE).items()}
    kit_files.replace(kits_folder(output, FOLDER), text)
    return kits_folder(output, FOLDER)
