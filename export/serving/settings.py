"""What a user may choose about the kits: which ones, and for which machine, images and storage."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tfwd.errors import ConfigError
from tfwd.version import __version__

# The folder of the models in a container, and beside them of the kits.
HOME = "/models"
KITS_FOLDER = "serving"

# As the reference of an image is defined: [HOST[:PORT]/]NAME[:TAG][@DIGEST].
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
# Without a query: the kit writes places below it.
_STORAGE = re.compile(r"[a-z0-9]+://[A-Za-z0-9][A-Za-z0-9._/@:=%-]*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_CLAIM = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


class Kit(StrEnum):
    """A server that a kit is for, or all of them."""

    TF_SERVING = "tf-serving"
    TRITON = "triton"
    KSERVE = "kserve"
    DOCKER = "docker"
    ALL = "all"


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Settings:
    """The choices, which end up in the files of the kits.

    Attributes:
        cores: of the machine that serves.
        tf_serving_image: the image of TF Serving.
        triton_image: the image of Triton, with the backends of ONNX Runtime and Python.
        server_image: the name and tag that the image of the docker kit gets, and which the KServe kit runs.
        tfwd_version: the version of tfwd in that image.
        storage_uri: for KServe, where the folder of all models is.
        claim: for Kubernetes, the PersistentVolumeClaim that holds the folder of all models.
        rewrite_models_config: whether TF Serving's `models.config` is written anew, without the versions and labels
            that somebody wrote into it, as those of a canary.
    """

    cores: int = field(default_factory=_cores)
    tf_serving_image: str = "tensorflow/serving:2.21.0"
    triton_image: str = "nvcr.io/nvidia/tritonserver:24.10-py3"
    server_image: str = f"tfwd-serve:{__version__}"
    tfwd_version: str = __version__
    storage_uri: str = "pvc://models"
    claim: str = "models"
    rewrite_models_config: bool = False

    def __post_init__(self) -> None:
        if self.cores < 1:
            raise ConfigError(f"cores (--cores) must be at least 1. Received: {self.cores}")
        # They are written into YAML, shell and Dockerfiles as they are.
        patterns = {
            "tf_serving_image": _IMAGE,
            "triton_image": _IMAGE,
            "server_image": _IMAGE,
            "tfwd_version": _VERSION,
            "storage_uri": _STORAGE,
            "claim": _CLAIM,
        }
        for name, pattern in patterns.items():
            value = getattr(self, name)
            if not pattern.fullmatch(value):
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(
                    f"{name} ({option}) has a character or a form that it must not have. Expected: "
                    f"{_EXPECTED[name]}. Received: {value!r}"
                )


_EXPECTED = {
    "tf_serving_image": "an image, as tensorflow/serving:2.21.0",
    "triton_image": "an image, as HOST/tritonserver:24.10-py3",
    "server_image": "an image, as HOST/tfwd-serve:1",
    "tfwd_version": f"a version, as {__version__}",
    "storage_uri": "a place without a query, as pvc://CLAIM, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER",
    "claim": "a name of Kubernetes: small letters, digits, - and ., at most 253",
}


def template(name: str) -> str:
    """Returns a template of the kits, as `tf_serving/README.md`."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
