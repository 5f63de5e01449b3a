"""A configuration is read, changed, dumped, and refused in words that say what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfwd.config.config import Config, presets
from tfwd.config.data import CsvConfig, DataConfig, LabelConfig
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.config.model import ModelConfig
from tfwd.config.optimizers import OptimizerConfig, ScheduleConfig
from tfwd.config.overrides import override
from tfwd.config.training import EarlyStoppingConfig, TrainConfig
from tfwd.errors import ConfigError

TEXT = """
data:
  train: rows/train.csv
  test: /data/test.csv
  label: {column: bought, positive: yes}
  csv: {delimiter: ";", null: ["", "NA"]}
  weight: importance
  names: {user id: who}
features:
  - {type: numeric, column: age, normalization: [zscore, quantile], fill: 0, wide: true}
  - {type: bucketized, column: age, boundaries: [18, 30.5], embedding: 4}
  - {type: categorical, column: user id, hash_bins: 100, embedding: auto}
  - {type: categorical, column: zip, vocabulary: [00701, no, 12]}
  - {type: categorical, column: city, vocabulary_file: cities.txt, one_hot: true}
  - {type: cross, keys: [age_buckets, zip], bins: exact}
model: {hidden_units: [8, 4], dropout: 0.1}
train:
  wide_optimizer: {name: ftrl, l1_regularization_strength: 1e-3}
  deep_optimizer: {name: adam, learning_rate: {schedule: cosine, start: 1e-2, warmup: 10}}
  class_weights: {0: 1, 1: 2.5}
  early_stopping: {monitor: auc, patience: 2}
  max_steps: 100
"""

PYTHON = Config(
    data=DataConfig(
        train="rows/train.csv",
        test="/data/test.csv",
        label=LabelConfig(column="bought", positive="yes"),
        csv=CsvConfig(delimiter=";", null=("", "NA")),
        weight="importance",
        names={"user id": "who"},
    ),
    features=(
        Numeric("age", normalization=("zscore", "quantile"), fill=0, wide=True),
        Bucketized("age", boundaries=(18, 30.5), embedding=4),
        Categorical("user id", hash_bins=100, embedding="auto"),
        Categorical("zip", vocabulary=("00701", "no", 12)),
        Categorical("city", vocabulary_file="cities.txt", one_hot=True),
        Cross(["age_buckets", "zip"], "exact"),
    ),
    model=ModelConfig(hidden_units=(8, 4), dropout=0.1),
    train=TrainConfig(
        wide_optimizer=OptimizerConfig(name="ftrl", learning_rate=0.1, l1_regularization_strength=0.001),
        deep_optimizer=OptimizerConfig(
            name="adam", learning_rate=ScheduleConfig(schedule="cosine", start=0.01, warmup=10)
        ),
        class_weights={"0": 1.0, "1": 2.5},
        early_stopping=EarlyStoppingConfig(monitor="auc", patience=2),
        max_steps=100,
    ),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "model.yaml"
    path.parent.mkdir()
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_python_form_equals_yaml_form(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert Config.load(file) == PYTHON.absolute()


def test_dump_and_load_give_an_equal_one_from_any_folder(file: Path, tmp_path: Path) -> None:
    config = Config.load(file)
    (tmp_path / "dump.yaml").write_text(config.dump(), encoding="utf-8")
    assert Config.load(tmp_path / "dump.yaml") == config


def test_paths_are_beside_their_file(file: Path) -> None:
    config = Config.load(file)
    assert config.data.train == str(file.parent / "rows" / "train.csv")
    assert config.data.test == "/data/test.csv"
    assert config.features[4].vocabulary_file == str(file.parent / "cities.txt")


def test_paths_of_overrides_are_beside_the_working_directory(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config.load(file, ["data.train=other.csv", "data.test=census:test", "data.validation=~/v.csv"])
    assert config.data.train == str(tmp_path / "other.csv")
    assert config.data.test == "census:test"
    assert config.data.validation == str(Path("~/v.csv").expanduser())


def test_absolute_makes_every_path_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = PYTHON.absolute()
    assert config.data.train == str(tmp_path / "rows" / "train.csv")
    assert config.features[4].vocabulary_file == str(tmp_path / "cities.txt")
    assert config.absolute() == config


def test_presets_load_and_come_back() -> None:
    assert "census" in presets()
    for name in presets():
        config = Config.load(name)
        assert config == Config.of(config.model_dump(mode="json"))


def test_short_forms() -> None:
    features = [{"type": "categorical", "column": "city", "embedding": 4}]
    train = {"wide_optimizer": "adagrad", "deep_optimizer": {"beta_1": 0.8}}
    short = Config.of({"data": {"label": "y"}, "features": features, "train": train})
    assert short.data.label == LabelConfig(column="y")
    assert short.train.wide_optimizer == OptimizerConfig(name="adagrad", learning_rate=0.05)
    assert short.train.deep_optimizer == OptimizerConfig(name="lazy_adam", learning_rate=0.001, beta_1=0.8)
    assert short.train.deep_optimizer.options == {"beta_1": 0.8}


def test_numbers_of_options_are_numbers(file: Path) -> None:
    assert Config.load(file).train.wide_optimizer.options == {"l1_regularization_strength": 0.001}


OVERRIDES: list[tuple[str, Callable[[Config], Any], Any]] = [
    ("train.epochs=3", lambda c: c.train.epochs, 3),
    ("train.max_steps=", lambda c: c.train.max_steps, None),
    ("train.early_stopping=null", lambda c: c.train.early_stopping, None),
    ("model.hidden_units=[3, 2]", lambda c: c.model.hidden_units, (3, 2)),
    ("model.hidden_units.1=7", lambda c: c.model.hidden_units, (8, 7)),
    ("features.age.normalization=log", lambda c: c.features[0].normalization, "log"),
    ("features.age_buckets.embedding=null", lambda c: c.features[1].embedding, None),
    ("features.age_buckets_x_zip.bins=50", lambda c: c.features[5].bins, 50),
    ("features.2.hash_bins=7", lambda c: c.features[2].hash_bins, 7),
    ("train.wide_optimizer.learning_rate=1e-2", lambda c: c.train.wide_optimizer.learning_rate, 0.01),
    ("train.deep_optimizer.learning_rate.start=.5", lambda c: c.train.deep_optimizer.learning_rate.start, 0.5),
    ("train.deep_optimizer=sgd", lambda c: c.train.deep_optimizer.name, "sgd"),
    ("data.label.positive=no", lambda c: c.data.label.positive, "no"),
    ("data.filter=rating != 3 and a = 'b=c'", lambda c: c.data.filter, "rating != 3 and a = 'b=c'"),
    ("export.name=mine", lambda c: c.export.name, "mine"),
]


@pytest.mark.parametrize(("change", "read", "value"), OVERRIDES, ids=[change for change, _, _ in OVERRIDES])
def test_overrides(file: Path, change: str, read: Callable[[Config], Any], value: Any) -> None:
    assert read(Config.load(file)) != value
    assert read(Config.load(file, [change])) == value


def test_an_override_opens_a_label_given_by_name() -> None:
    values: dict[str, Any] = {"data": {"label": "y"}}
    override(values, "data.label.positive=1")
    assert values == {"data": {"label": {"column": "y", "positive": 1}}}


def test_replace(file: Path) -> None:
    config = Config.load(file)
    changed = config.replace(train__epochs=3, features__age__fill=2.0, data__label__positive=None)
    assert (changed.train.epochs, changed.features[0].fill, changed.data.label.positive) == (3, 2.0, None)
    assert config.train.epochs == 10
    with pytest.raises(ConfigError, match=r"train.epoch: unknown key. Did you mean 'epochs'\?"):
        config.replace(train__epoch=3)
    with pytest.raises(ConfigError, match=r"features.agee.fill: the list has no element 'agee'. .*by name: age, "):
        config.replace(features__agee__fill=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.epochs", "--set takes KEY=VALUE, as in train.epochs=3. Received: 'train.epochs'"),
        ("=3", "--set takes KEY=VALUE"),
        ("train.epochs=[1", "--set train.epochs: '[1' is not a YAML value"),
        ("train.epoch=3", "train.epoch: unknown key. Did you mean 'epochs'?"),
        ("trian.epochs=3", "trian: unknown key. Did you mean 'train'?"),
        ("features.zap.embedding=3", "the list has no element 'zap'. It has 0 to 5, or by name: age, age_buckets"),
        ("features.6.embedding=3", "the list has no element '6'"),
        ("model.hidden_units.5=3", "the list has no element '5'. It has 0 to 1."),
        ("model.hidden_units.0.x=3", "'0' is 8, which has no parts"),
    ],
)
def test_overrides_that_are_refused(file: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Config.load(file, [change])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "must hold keys such as data and features. Received: ['a', 'b']"),
        ("", "must hold keys such as data and features. Received: None"),
        ("a: [1", "is not YAML: "),
        ("train: {epochs: 1, epochs: 2}", "the key 'epochs' occurs twice in one section"),
        ("data: {label: y}\nfeatures: []\n", "features: expected a list of at least 1"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        Config.load(path)
    assert str(caught.value).startswith(str(path))


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("data: {label: y}\nfeatures: [{type: categorical, column: y}]\nmodel: {heads: [wide]}\n")
    with pytest.raises(ConfigError, match=r"bad.yaml: features\[0\]: 'y' reads the label's column"):
        Config.load(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"data: \xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        Config.load(tmp_path / "bad.yaml")


def test_neither_a_preset_nor_a_file() -> None:
    with pytest.raises(ConfigError, match=r"^cencus is neither a preset nor a file. Did you mean 'census'\?$"):
        Config.load("cencus")
