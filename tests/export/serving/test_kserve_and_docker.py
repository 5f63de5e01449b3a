"""The kits of KServe and Docker, and the command that writes all kits: each file valid, a spoilt twin refused."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import kit_cases
import kit_validators as check
import pytest
import typer
from typer.testing import CliRunner

from export import commands
from export.serving import docker, kserve
from export.serving.found import refuse_version_of_kits
from export.serving.settings import Settings
from tfwd.cli.serve import serve
from tfwd.errors import ExportError
from tfwd.server.model_files import find
from tfwd.version import __version__

SETTINGS = Settings(cores=3, server_image="shop.example/serve:7", tfwd_version="9.8.7", storage_uri="s3://shop/models/")
app = typer.Typer()
app.command()(commands.serving)
server = typer.Typer()
server.command()(serve)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kits")
    kit_cases.write_halves(folder / "shop" / "3")
    kserve.write(folder, SETTINGS)
    docker.write(folder, SETTINGS)
    return folder


def text(output: Path, name: str) -> str:
    return (output / "serving" / name).read_text(encoding="utf-8")


SPOILT = [
    ("kserve/tfwd.yaml", check.inference_service, "minReplicas: 1", "minReplica: 1"),
    ("kserve/tfwd.yaml", check.inference_service, "maxReplicas: 10", 'maxReplicas: "10"'),
    ("kserve/tfwd.yaml", check.inference_service, "v1beta1", "v1"),
    ("kserve/tfwd.yaml", check.inference_service, "name: kserve-container", "name: server"),
    ("kserve/tfwd.yaml", check.inference_service, "readinessProbe", "readyProbe"),
    ("kserve/tfwd.yaml", check.inference_service, "            cpu:", "            cpu: 1\n            cpu:"),
    ("kserve/triton.yaml", check.inference_service, "storageUri", "storageURI"),
    ("kserve/triton.yaml", check.inference_service, "        name: triton\n", '        version: "2"\n'),
    ("kserve/triton.yaml", check.inference_service, "        limits:", "        limit:"),
    ("docker/docker-compose.yaml", check.compose, "    build:", "    builds:"),
    ("docker/docker-compose.yaml", check.compose, "type: bind", "kind: bind"),
]


@pytest.mark.parametrize(("name", "validate", "old", "new"), SPOILT, ids=[f"{s[0]} {s[3]!r}" for s in SPOILT])
def test_a_file_is_valid_and_a_spoilt_twin_is_not(
    output: Path, name: str, validate: object, old: str, new: str
) -> None:
    assert callable(validate)
    good = text(output, name)
    assert validate(good) is None
    assert old in good
    assert validate(good.replace(old, new, 1)) is not None


def test_the_dockerfile_is_valid_and_a_spoilt_twin_is_not(output: Path) -> None:
    good = text(output, "docker/Dockerfile")
    spoilt = {
        "USER 10001:10001": "USER root",
        "python:3.12-slim AS": "python AS",
        "HEALTHCHECK": "HEALTHCHECKS",
        "RUN groupadd": "RUN cd /etc && groupadd",
    }
    assert all(old in good for old in spoilt)
    twins = [good.replace(old, new, 1) for old, new in spoilt.items()]
    assert check.dockerfiles([good, *twins]) == [True, False, False, False, False]


def test_the_services_are_of_the_image_and_the_storage(output: Path) -> None:
    (own,) = check.documents(text(output, "kserve/tfwd.yaml"))
    (container,) = own["spec"]["predictor"]["containers"]
    assert container["image"] == "shop.example/serve:7"
    assert container["env"] == [{"name": "STORAGE_URI", "value": "s3://shop/models"}]
    assert container["args"][0] == "/mnt/models"
    assert (
        container["args"][container["args"].index("--workers") + 1] == container["resources"]["requests"]["cpu"] == "3"
    )
    (port,) = container["ports"]
    assert str(port["containerPort"]) == container["args"][container["args"].index("--port") + 1]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == port["containerPort"]
    (other,) = check.documents(text(output, "kserve/triton.yaml"))
    storage = other["spec"]["predictor"]["model"]["storageUri"]
    # The folder of all models is the storage: what KServe mounts is a repository.
    repository = output / storage.removeprefix("s3://shop/models/")
    assert (repository / "shop" / "config.pbtxt").is_file()


def test_a_model_without_an_onnx_file_is_left_out(output: Path) -> None:
    """The image has no TensorFlow: one that it cannot load would keep the server from being ready."""
    (service,) = check.documents(text(output, "kserve/tfwd.yaml"))
    (compose,) = check.documents(text(output, "docker/docker-compose.yaml"))
    (command,) = re.findall(r"^CMD (.*)$", text(output, "docker/Dockerfile"), re.MULTILINE)
    (example,) = re.findall(r"`docker run \.\.\. \S+ (.*)`", text(output, "docker/README.md"))
    known = {option for parameter in typer.main.get_command(server).params for option in parameter.opts}
    for arguments in (
        service["spec"]["predictor"]["containers"][0]["args"],
        compose["services"]["tfwd-serve"]["command"],
        json.loads(command),
        example.split(),
    ):
        assert arguments[arguments.index("--backend") + 1] == "onnx"
        assert {argument for argument in arguments if argument.startswith("-")} <= known


def test_the_backend_of_the_kits_finds_onnx_files_only(tmp_path: Path) -> None:
    kit_cases.write_halves(tmp_path / "shop" / "3")
    (tmp_path / "other" / "1").mkdir(parents=True)
    (tmp_path / "other" / "1" / "saved_model.pb").touch()
    assert set(find(str(tmp_path), None, "auto")) == {"other", "shop"}
    assert set(find(str(tmp_path), None, "onnx")) == {"shop"}


def test_memory_holds_the_models_of_each_worker_and_instance(tmp_path: Path) -> None:
    """Twice for the time in which a new version loads; the file of the lists is one of `tfwd serve` only."""
    kit_cases.write_halves(tmp_path / "shop" / "3")
    for name in ("model.onnx.data", "model.recommend.onnx"):
        with (tmp_path / "shop" / "3" / name).open("wb") as file:
            file.truncate(50 * 2**20)
    whole = (tmp_path / "shop" / "3" / "model.onnx").stat().st_size / 2**20

    def memory(container: dict[str, Any]) -> list[float]:
        found = container["resources"]
        return [int(found[kind]["memory"].removesuffix("Mi")) for kind in ("requests", "limits")]

    for cores in (1, 3):
        kserve.write(tmp_path, Settings(cores=cores))
        docker.write(tmp_path, Settings(cores=cores))
        own, other = (check.documents(text(tmp_path, f"kserve/{name}.yaml"))[0] for name in ("tfwd", "triton"))
        once = 2 * (whole + 100)
        expected = [cores * (256 + once), cores * (256 + 2 * once)]
        assert memory(own["spec"]["predictor"]["containers"][0]) == pytest.approx(expected, abs=1)
        (compose,) = check.documents(text(tmp_path, "docker/docker-compose.yaml"))
        limit = compose["services"]["tfwd-serve"]["deploy"]["resources"]["limits"]["memory"]
        assert int(limit.removesuffix("M")) == pytest.approx(expected[1], abs=1)
        once = cores * 2 * (whole + 50)
        expected = [1024 + once, 1024 + 2 * once]
        assert memory(other["spec"]["predictor"]["model"]) == pytest.approx(expected, abs=1)


def test_the_image_installs_what_the_server_needs_and_no_tensorflow(output: Path) -> None:
    """The requirements are those of the repository; the build reads no other file of the folder."""
    requirements = text(output, "docker/requirements-serve.txt")
    assert requirements == (Path(__file__).parents[3] / "requirements-serve.txt").read_text()
    assert "tensorflow" not in "".join(line for line in requirements.splitlines() if not line.startswith("#")).lower()
    dockerfile = text(output, "docker/Dockerfile")
    assert "ARG TFWD_VERSION=9.8.7" in dockerfile
    assert '--no-deps --find-links . "tfwd==${TFWD_VERSION}"' in dockerfile
    ignored = text(output, "docker/.dockerignore").splitlines()
    assert ignored[1] == "*"
    assert "!requirements-serve.txt" in ignored


def test_the_container_cannot_write(output: Path) -> None:
    (compose,) = check.documents(text(output, "docker/docker-compose.yaml"))
    service = compose["services"]["tfwd-serve"]
    assert service["read_only"] is True
    assert service["volumes"][0]["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    # Its files are replaced: a file that is mounted alone would stay the old one.
    assert compose["services"]["prometheus"]["volumes"][0] == "./monitoring:/etc/prometheus:ro"
    assert (output / "serving" / "docker" / "monitoring" / "grafana" / "dashboards" / "tfwd-serve.json").is_file()
    # The models are two folders above, as the volume says.
    assert (output / "serving" / "docker" / service["volumes"][0]["source"]).resolve() == output.resolve()
    assert service["command"][0] == service["volumes"][0]["target"] == "/models"


def test_the_command_writes_the_kits_for_which_there_are_models(
    tmp_path: Path, exports: dict[str, tuple[Path, Path]]
) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(tmp_path), *arguments])
        return result.exit_code, " ".join(result.output.split())

    code, shown = said("--for", "all")
    assert code == 2
    assert "must hold exported models" in shown
    kit_cases.write_halves(tmp_path / "shop" / "1")
    code, shown = said("--for", "all", "--cores", "5", "--tfwd-version", "1.2", "--claim", "c")
    assert code == 0, shown
    assert "No kit for tf-serving: " in shown
    assert sorted(entry.name for entry in (tmp_path / "serving").iterdir()) == ["docker", "kserve", "triton"]
    assert "ARG TFWD_VERSION=1.2" in text(tmp_path, "docker/Dockerfile")
    assert "count: 5" in text(tmp_path, "triton/python/shop/config.pbtxt")
    code, shown = said()
    assert code == 2
    assert f"--output {tmp_path} --name shop" in shown
    shutil.copytree(exports["binary"][0], tmp_path / "clicks" / "1", copy_function=os.link)
    code, shown = said("--for", "tf-serving", "--for", "docker", "--cores", "5")
    assert code == 0, shown
    assert "count" not in shown
    assert shown.count("README.md says") == 1
    assert "inter_op_parallelism_threads: 5" in text(tmp_path, "session.config")
    # A kit serves what it can: the others are another server's.
    assert "shop" not in text(tmp_path, "models.config")
    code, shown = said("--for", "tf-serving", "--cores", "0")
    assert code == 2
    assert "--cores" in shown
    assert said("--for", "nginx")[0] == 2
    # The kits of models that are no longer there go, but not what somebody put beside them.
    (tmp_path / "serving" / "docker" / "tfwd.whl").touch()
    shutil.rmtree(tmp_path / "shop")
    code, shown = said("--for", "all")
    assert code == 0, shown
    assert not any((tmp_path / "serving" / kit).exists() for kit in ("kserve", "triton"))
    assert [file.name for file in (tmp_path / "serving" / "docker").iterdir()] == ["tfwd.whl"]
    # A fault is one, also where other kits could be written.
    warmup = tmp_path / "clicks" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    damaged = warmup.read_bytes()[:-5]
    warmup.unlink()
    warmup.write_bytes(damaged)
    code, shown = said("--for", "all")
    assert code == 2
    assert "tf_serving_warmup_requests is damaged: truncated record at" in shown
    assert "{{" not in shown


def test_a_model_is_not_called_as_the_folder_of_the_kits(tmp_path: Path) -> None:
    kit_cases.write_halves(tmp_path / "serving" / "1")
    with pytest.raises(ExportError, match="serving/1: no model can be called serving"):
        docker.write(tmp_path)
    with pytest.raises(ExportError, match=r"serving/2/model.onnx: no model can be called serving.*another name"):
        refuse_version_of_kits(tmp_path / "serving" / "2" / "model.onnx")
    for file in ("serving/model.onnx", "serving/two/model.onnx", "serving/2/other.onnx", "shop/2/model.onnx"):
        refuse_version_of_kits(tmp_path / file)


def test_without_an_onnx_file_there_is_no_image(tmp_path: Path) -> None:
    for write in (docker.write, kserve.write):
        with pytest.raises(ExportError, match=r"must hold ONNX models.*python -m export.onnx RUN --output"):
            write(tmp_path)
    assert not (tmp_path / "serving").exists()
    assert Settings().server_image == f"tfwd-serve:{__version__}"
