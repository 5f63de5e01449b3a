"""The kit of TF Serving, made from the SavedModels themselves: its configuration, and all that it runs in."""

from __future__ import annotations

from pathlib import Path
from string import Template

from export.serving import batching, clients, kit_files, monitoring
from export.serving.found import Version, kits_folder, megabytes, missing, newest, versions
from export.serving.page import page
from export.serving.rows import user
from export.serving.server_config import (
    MODELS,
    arguments,
    canary_configs,
    models_config,
    monitoring_config,
    own_entries,
    session_config,
)
from export.serving.settings import HOME, Settings, template
from tfwd.errors import ExportError
from tfwd.inference.metadata import of_saved_model

__all__ = ["models_config", "write"]

# What the server takes without a model, and how much more than its files a loaded model takes, as the server estimates.
_SERVER_MB, _LOADED = 512, 1.2


def write(output: str | Path, settings: Settings | None = None) -> Path:
    """Writes `OUT/serving` for all SavedModels in a folder.

    `models.config`, `batching.config`, `monitoring.config` and `session.config` for the server; `canary/MODEL`;
    `docker-compose.yaml`, `kubernetes.yaml` and `monitoring`; `clients/MODEL`; `README.md`. The newest version of a
    model that may be batched gets a `batching_params.pbtxt`. What `models.config` says of a model beyond its name and
    place, as in a canary, stays, unless the settings have `rewrite_models_config`.

    Args:
        output: the folder that `export.savedmodel.save` wrote to.
        settings: the choices; by default those for this machine.

    Returns:
        `OUT/serving`.

    Raises:
        ExportError: there is no SavedModel in the folder, TF Serving would load something else, or `models.config` is
            not what it reads.
    """
    output, settings = Path(output), settings or Settings()
    models = _served(output)
    names = list(models)
    last = {name: found[-1] for name, found in models.items()}
    own = {} if settings.rewrite_models_config else own_entries(kits_folder(output))
    unbatched, rows = _batched(last)
    text = {
        MODELS: models_config(names, own),
        "batching.config": batching.shared(settings),
        "monitoring.config": monitoring_config(),
        "session.config": session_config(settings),
        "docker-compose.yaml": _compose(last, settings, rows > 0),
        "kubernetes.yaml": _kubernetes(last, settings, rows > 0),
        **{f"monitoring/{name}": content for name, content in monitoring.files(monitoring.TF_SERVING).items()},
    }
    for name, version in last.items():
        text |= {f"canary/{name}/{file}": content for file, content in canary_configs(models, name, own).items()}
        text |= {f"clients/{name}/{file}": content for file, content in clients.files(version).items()}
    text["README.md"] = page(output, last[names[0]], settings, unbatched, rows)
    kit_files.replace(kits_folder(output), text)
    return kits_folder(output)


def _served(output: Path) -> dict[str, list[Version]]:
    """Returns the versions with a SavedModel, by model.

    Raises:
        ExportError: there are none, or TF Serving would load another folder than the newest of them.
    """
    models = versions(output)
    last = newest(models, lambda version: version.has_saved_model)
    if not last:
        raise missing(
            output,
            [found[-1] for found in models.values()],
            "exported models",
            "",
            "python -m export.savedmodel RUN --output {output} --name {name}",
        )
    for name, version in last.items():
        highest = models[name][-1]
        if highest is not version:
            raise ExportError(
                f"{highest.folder} must hold a SavedModel, since TF Serving loads the highest version. Received: ONNX "
                f"only. Write the next version with: python -m export.savedmodel RUN --output {output} --name {name}"
            )
    return {name: [one for one in models[name] if one.has_saved_model] for name in last}


def _batched(last: dict[str, Version]) -> tuple[dict[str, str], int]:
    """Writes the parameters of batching of each model; returns why others have none, and the largest batch."""
    unbatched, rows = {}, 0
    for name, version in last.items():
        schema = of_saved_model(version.folder).schema
        lists = user(version.folder, schema) is not None
        rows = max(rows, batching.write(version.folder, schema, lists))
        why = batching.why_not(schema, lists)
        if why is not None:
            unbatched[name] = why
    return unbatched, rows


def _compose(last: dict[str, Version], settings: Settings, batched: bool) -> str:
    command = "\n".join(f"      - {argument}" for argument in arguments(batched))
    return Template(template("tf_serving/docker-compose.yaml")).substitute(
        image=settings.tf_serving_image,
        command=command,
        home=HOME,
        names=" ".join(last),
        cores=settings.cores,
        memory=_megabytes(last, 2),
        prometheus=template("monitoring/compose.yaml").rstrip(),
    )


def _kubernetes(last: dict[str, Version], settings: Settings, batched: bool) -> str:
    return Template(template("tf_serving/kubernetes.yaml")).substitute(
        image=settings.tf_serving_image,
        args="\n".join(f"            - {argument}" for argument in arguments(batched)),
        home=HOME,
        name=next(iter(last)),
        claim=settings.claim,
        cores=settings.cores,
        request=_megabytes(last, 1),
        memory=_megabytes(last, 2),
        metrics=monitoring.TF_SERVING.metrics,
    )


def _megabytes(last: dict[str, Version], copies: int) -> int:
    """Returns the memory of a server: twice that of the models while new versions load."""
    files = (file for version in last.values() for file in version.folder.rglob("*") if file.is_file())
    return megabytes((file for file in files if file.suffix not in (".onnx", ".data")), _SERVER_MB, copies * _LOADED)
