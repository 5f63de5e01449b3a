"""TF Serving's own configuration as protobuf text: models, canary, monitoring, session."""

from __future__ import annotations

from google.protobuf import text_format
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import model_server_config_pb2

from export.serving.found import Version
from export.serving.settings import HOME, Settings

METRICS_PATH = "/monitoring/prometheus/metrics"
STABLE, CANARY = "stable", "canary"


def models_config(names: list[str]) -> str:
    """Returns the configuration of models, each in `/models/<name>`, which serves the newest version of each."""
    return text_format.MessageToString(_models(names))


def canary_configs(models: dict[str, list[Version]], name: str) -> dict[str, str]:
    """Returns the configurations that a canary of one model goes through, by file name, in their order.

    A label may only be given to a version that is loaded. So the first loads both versions, the second gives the new
    one the label `canary`, the third gives it `stable` too, and the fourth lets the old one go. A model with one
    version has one step: the label `stable`.

    Args:
        models: the versions of all models that are served.
        name: the model with the canary.
    """
    numbers = [version.number for version in models[name]][-2:]
    old, new = numbers[0], numbers[-1]
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
        config = _models(list(models))
        own = next(entry for entry in config.model_config_list.config if entry.name == name)
        own.model_version_policy.specific.versions.extend(loaded)
        for label, number in labels.items():
            own.version_labels[label] = number
        written[file] = text_format.MessageToString(config)
    return written


def monitoring_config() -> str:
    """Returns the configuration of the metrics, which Prometheus reads at the REST port."""
    return f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n'


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
        f"--model_config_file={kit}/models.config",
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


def _models(names: list[str]) -> model_server_config_pb2.ModelServerConfig:
    config = model_server_config_pb2.ModelServerConfig()
    for name in names:
        config.model_config_list.config.add(name=name, base_path=f"{HOME}/{name}", model_platform="tensorflow")
    return config
