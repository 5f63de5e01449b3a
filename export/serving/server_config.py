"""TF Serving's own configuration as protobuf text: models, canary, monitoring, session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from google.protobuf import text_format
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import model_server_config_pb2
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from export.serving.found import Version
from export.serving.monitoring import TF_SERVING
from export.serving.settings import HOME, Settings
from tfwd.errors import ExportError

MODELS = "models.config"
STABLE, CANARY = "stable", "canary"


def models_config(names: list[str], own: Mapping[str, ModelConfig] | None = None) -> str:
    """Returns the configuration of models, each in `/models/<name>`, which serves the newest version of each.

    Args:
        names: of the models.
        own: entries that take the place of such a one, by name.
    """
    return text_format.MessageToString(_models(names, own or {}))


def own_entries(folder: Path) -> dict[str, ModelConfig]:
    """Returns what `models.config` in the kit's folder says of models beyond that they are served, by name.

    That is an entry with labels or versions, as in a canary, or with anything else that somebody wrote.

    Raises:
        ExportError: the file is not what TF Serving reads.
    """
    file = folder / MODELS
    try:
        found = text_format.Parse(file.read_text(encoding="utf-8"), model_server_config_pb2.ModelServerConfig())
    except FileNotFoundError:
        return {}
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ExportError(
            f"{file} is not a configuration of TF Serving: {error}. Mend it, or write it anew: --rewrite-models-config"
        ) from None
    return {entry.name: entry for entry in found.model_config_list.config if entry != _plain(entry.name)}


def canary_configs(models: dict[str, list[Version]], name: str, own: Mapping[str, ModelConfig]) -> dict[str, str]:
    """Returns the configurations that a canary of one model goes through, by file name, in their order.

    A label may only be given to a version that is loaded. So the first loads both versions, the second gives the new
    one the label `canary`, the third gives it `stable` too, and the fourth lets the old one go. A model with one
    version has one step: the label `stable`. The old version is the one that is `stable` now, or the one before the
    new one. The other models stay as they are.

    Args:
        models: the versions of all models that are served.
        name: the model with the canary.
        own: entries of `models.config`, as `own_entries` returns them.
    """
    numbers = [version.number for version in models[name]]
    new, stable = numbers[-1], own[name].version_labels.get(STABLE) if name in own else None
    old = stable if stable in numbers[:-1] else numbers[-2:][0]
    steps: dict[str, tuple[list[int], dict[str, int]]] = {"1-stable.config": ([old], {STABLE: old})}
    if new != old:
        steps = {
            "1-load.config": ([old, new], {STABLE: old}),
            "2-canary.config": ([old, new], {STABLE: old, CANARY: new}),
            "3-promote.config": ([old, new], {STABLE: new, CANARY: new}),
            "4-retire.config": ([new], {STABLE: new}),
        }
    written = {}
    for file, (loaded, labels) in steps.items():
        config = _models(list(models), own)
        entry = next(entry for entry in config.model_config_list.config if entry.name == name)
        entry.ClearField("model_version_policy")
        entry.ClearField("version_labels")
        entry.model_version_policy.specific.versions.extend(loaded)
        for label, number in labels.items():
            entry.version_labels[label] = number
        written[file] = text_format.MessageToString(config)
    return written


def monitoring_config() -> str:
    """Returns the configuration of the metrics, which Prometheus reads at the REST port."""
    return f'prometheus_config {{\n  enable: true\n  path: "{TF_SERVING.metrics}"\n}}\n'


def session_config(settings: Settings) -> str:
    """Returns the threads of a session: one call runs on one core, as many calls at once as there are cores."""
    config = config_pb2.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=settings.cores)
    return text_format.MessageToString(config)


def arguments(batched: bool) -> list[str]:
    """Returns the command line of the server, for the folder of all models at `/models`.

    Args:
        batched: whether a model is batched.
    """
    kit = f"{HOME}/serving"
    found = [
        f"--model_config_file={kit}/{MODELS}",
        "--model_config_file_poll_wait_seconds=60",
        # A server that starts again in the middle of a canary finds labels of versions that it has still to load.
        "--allow_version_labels_for_unavailable_models=true",
        f"--monitoring_config_file={kit}/monitoring.config",
        f"--tensorflow_session_config_file={kit}/session.config",
    ]
    if batched:
        found += [
            "--enable_batching=true",
            "--enable_per_model_batching_parameters=true",
            f"--batching_parameters_file={kit}/batching.config",
        ]
    return found


def _models(names: list[str], own: Mapping[str, ModelConfig]) -> model_server_config_pb2.ModelServerConfig:
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.extend(own.get(name) or _plain(name) for name in names)
    return config


def _plain(name: str) -> ModelConfig:
    return ModelConfig(name=name, base_path=f"{HOME}/{name}", model_platform="tensorflow")
