"""A canary in TF Serving: its steps, and what is left of it when the kit is written again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import kit_validators as check
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export.serving import kits
from export.serving.found import Version
from export.serving.server_config import MODELS, canary_configs, models_config, own_entries
from export.serving.settings import Kit, Settings
from tfwd.errors import ExportError


def served(**numbers: list[int]) -> dict[str, list[Version]]:
    return {
        name: [Version(name, number, Path(name, str(number))) for number in found] for name, found in numbers.items()
    }


def parsed(text: str) -> dict[str, model_server_config_pb2.ModelConfig]:
    assert check.models(text) is None
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return {entry.name: entry for entry in config.model_config_list.config}


def loaded(entry: model_server_config_pb2.ModelConfig) -> list[int]:
    return list(entry.model_version_policy.specific.versions)


def own(folder: Path, text: str) -> dict[str, model_server_config_pb2.ModelConfig]:
    (folder / MODELS).write_text(text)
    return own_entries(folder)


def test_every_step_follows_from_the_one_before() -> None:
    """A label is given only to a version that the step before has loaded, or that is loaded already."""
    models = served(bags=[1], binary=[1, 10])
    now = {1}
    steps = canary_configs(models, "binary", {})
    assert list(steps) == ["1-load.config", "2-canary.config", "3-promote.config", "4-retire.config"]
    for text in steps.values():
        entries = parsed(text)
        assert set(entries) == set(models)
        assert set(entries["binary"].version_labels.values()) <= now
        now = set(loaded(entries["binary"]))
    assert now == {10}
    assert list(canary_configs(models, "bags", {})) == ["1-stable.config"]


def test_what_somebody_wrote_of_a_model_is_its_own(tmp_path: Path) -> None:
    assert own_entries(tmp_path) == {}
    assert own(tmp_path, models_config(["bags", "binary"])) == {}
    plain = models_config(["bags", "binary"])
    policy = "model_version_policy { specific { versions: 1 } }"
    for more in (policy, f'{policy} version_labels {{ key: "x" value: 1 }}', "logging_config {}"):
        found = own(tmp_path, plain.replace('name: "binary"', f'name: "binary" {more}'))
        assert list(found) == ["binary"]
        assert parsed(models_config(["bags", "binary"], found))["binary"] == found["binary"]
    with pytest.raises(ExportError, match=r"models.config is not a configuration.*1:1.*--rewrite-models-config"):
        own(tmp_path, "modles {")


def test_the_steps_of_a_model_leave_the_others_where_they_are(tmp_path: Path) -> None:
    models = served(bags=[1, 2], binary=[1, 10])
    found = own(tmp_path, canary_configs(models, "binary", {})["2-canary.config"])
    for text in canary_configs(models, "bags", found).values():
        assert parsed(text)["binary"] == found["binary"]
    # Its own steps are the same, whichever it is at.
    assert canary_configs(models, "binary", found) == canary_configs(models, "binary", {})


def test_a_canary_goes_on_from_the_version_that_is_stable(tmp_path: Path) -> None:
    """A version that is exported in the middle of a canary does not make the last one stable."""
    found = own(tmp_path, canary_configs(served(binary=[1, 10]), "binary", {})["2-canary.config"])
    first = parsed(canary_configs(served(binary=[1, 10, 11]), "binary", found)["1-load.config"])["binary"]
    assert (loaded(first), dict(first.version_labels)) == ([1, 11], {"stable": 1})
    # The stable version is gone: the one before the new one is the old one.
    first = parsed(canary_configs(served(binary=[10, 11]), "binary", found)["1-load.config"])["binary"]
    assert (loaded(first), dict(first.version_labels)) == ([10, 11], {"stable": 10})


def test_writing_the_kit_again_keeps_a_canary(exports: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    def export(name: str, number: int) -> None:
        shutil.copytree(exports["binary"][0], tmp_path / name / str(number), copy_function=os.link)

    export("clicks", 1)
    export("clicks", 2)
    said = kits.write(tmp_path, [Kit.TF_SERVING], Settings())
    assert not any("--rewrite-models-config" in line for line in said)
    folder = tmp_path / "serving"
    canary = (folder / "canary" / "clicks" / "2-canary.config").read_text()
    (folder / MODELS).write_text(canary)
    export("shop", 1)
    said = kits.write(tmp_path, [Kit.TF_SERVING], Settings())
    assert said[-1].startswith("models.config still has the versions and labels that it had of clicks.")
    for file in (MODELS, "canary/shop/1-stable.config"):
        entries = parsed((folder / file).read_text())
        assert set(entries) == {"clicks", "shop"}
        assert entries["clicks"] == parsed(canary)["clicks"]
    said = kits.write(tmp_path, [Kit.TF_SERVING], Settings(rewrite_models_config=True))
    assert len(said) == 2
    assert (folder / MODELS).read_text() == models_config(["clicks", "shop"])
