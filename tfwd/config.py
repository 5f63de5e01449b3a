"""One YAML file as pydantic models: data, features, model, training, export.

`Config.load` reads a preset or a file, applies `--set a.b=c` overrides and refuses unknown keys with the nearest right
one. `Config.dump` writes the complete configuration, from which the run can be repeated.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tfwd import config_yaml
from tfwd.config_edit import assign, override, resolve_paths
from tfwd.config_errors import explain
from tfwd.errors import ConfigError
from tfwd.features.checks import check_features
from tfwd.features.columns import AnyColumn, Numeric
from tfwd.metrics import MONITORS
from tfwd.naming import input_name, is_reserved, is_valid, nearest, refuse_case_twins

Task = Literal["binary", "multiclass", "regression"]
Head = Literal["wide", "deep"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CsvConfig(_Section):
    """The dialect of CSV files. Every field is read as text and cast once, by the schema."""

    delimiter: str = Field(default=",", min_length=1, max_length=4)
    quote: str = Field(default='"', max_length=1)
    escape: str = Field(default='"', max_length=1)
    header: bool = True
    columns: tuple[str, ...] | None = None
    null: tuple[str, ...] = ("",)
    skip: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> CsvConfig:
        if not self.header and self.columns is None:
            raise ValueError("a file without a header needs its columns' names in data.csv.columns")
        return self


class LabelConfig(_Section):
    """The label: its column and, for classes, their names.

    Args:
        column: the data column.
        positive: binary only: the value that is the positive class. Without it the label must be 0/1 or boolean.
        classes: multi-class only: the classes in order; learnt from the training rows (sorted) when not given.
    """

    column: str
    positive: str | int | bool | float | None = None
    classes: tuple[str | int, ...] | None = Field(default=None, min_length=2)


class DataConfig(_Section):
    """Where the rows come from and what their columns mean.

    Args:
        train: a CSV (also .gz), Parquet file, folder or glob, or `census:train` for the bundled data.
        validation: a source like `train`; without it, `validation_fraction` of the training rows.
        validation_fraction: the share of training rows kept for validation, chosen by a hash of the row, so that the
            choice is the same in every run and equal rows stay together.
        test: a source like `train`, read once, at the end.
        format: by default what the file's ending says.
        label: the label's column, or a section with `column`, `positive` or `classes`.
        weight: a column with a weight per example, at least 0.
        key: columns that `predict` passes through.
        filter: an SQL condition on the columns of a row; other rows are left out, as in `rating != 3`.
        names: graph input names for data columns whose own names a graph cannot carry.
    """

    train: str | None = None
    validation: str | None = None
    validation_fraction: float = Field(default=0.1, ge=0.0, lt=1.0)
    test: str | None = None
    format: Literal["auto", "csv", "parquet"] = "auto"
    csv: CsvConfig = CsvConfig()
    label: LabelConfig
    weight: str | None = None
    key: tuple[str, ...] = ()
    filter: str | None = None
    names: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _label_by_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("label"), str):
            values = {**values, "label": {"column": values["label"]}}
        return values

    @model_validator(mode="after")
    def _check_names(self) -> DataConfig:
        for column, name in self.names.items():
            if not is_valid(name):
                raise ValueError(
                    f"names: {column!r} is mapped to {name!r}; an input name is made of letters, digits and _, "
                    "a letter first"
                )
        return self


class ScheduleConfig(_Section):
    """A learning rate that changes with the step; `steps: auto` is the whole training.

    Args:
        schedule: `cosine`, `linear` (both down to `end`), or `exponential` (times `end` after `steps`).
        start: the rate after the warm-up.
        end: the share of `start` that is left at the end.
        warmup: steps in which the rate rises linearly from 0.
        steps: the length of the decay, in steps.
    """

    schedule: Literal["cosine", "linear", "exponential"]
    start: float = Field(gt=0)
    end: float = Field(default=0.0, ge=0, le=1)
    warmup: int = Field(default=0, ge=0)
    steps: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"

    @model_validator(mode="after")
    def _check(self) -> ScheduleConfig:
        if self.schedule == "exponential" and self.end == 0:
            raise ValueError("an exponential schedule never reaches 0: give an end above 0, as in end: 0.01")
        return self


class OptimizerConfig(BaseModel):
    """An optimizer by name, with its own options beside the learning rate (`l1`, `beta_1`, `clipnorm`, ...)."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: Literal["sparse_ftrl", "lazy_adam", "adagrad", "sgd", "ftrl", "adam"]
    learning_rate: Annotated[float, Field(gt=0)] | ScheduleConfig

    @property
    def options(self) -> dict[str, Any]:
        """What was given beside the name and the learning rate."""
        return dict(self.model_extra or {})


class ModelConfig(_Section):
    """The heads and their sizes.

    Args:
        heads: `[wide, deep]`, or one of them.
        hidden_units: the widths of the deep head's layers.
        activation: a Keras activation.
        dropout: the share of units dropped after every hidden layer.
        batch_norm: batch normalization after every hidden layer, before the activation.
        l2: L2 penalty on the kernels of the deep head's dense layers (tables: see the optimizer's `l2`).
        embedding_dropout: the share of the tower's inputs dropped.
    """

    heads: tuple[Head, ...] = Field(default=("wide", "deep"), min_length=1)
    hidden_units: tuple[Annotated[int, Field(ge=1)], ...] = (256, 128, 64)
    activation: str = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    embedding_dropout: float = Field(default=0.0, ge=0, lt=1)
    batch_norm: bool = False
    l2: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if len(set(self.heads)) != len(self.heads):
            raise ValueError("a head stands in heads twice")
        return self


class EarlyStoppingConfig(_Section):
    """When to stop: `patience` evaluations without a better `monitor` on the validation rows.

    Args:
        monitor: a metric of the task; `auto` is the log loss, or the RMSE of a regression.
        patience: evaluations.
    """

    monitor: str = "auto"
    patience: int = Field(default=3, ge=1)


class TrainConfig(_Section):
    """How to train.

    Args:
        epochs: passes over the training rows, at the most.
        max_steps: batches, at the most.
        batch_size: rows a step.
        seed: of the weights, the order of the rows and the dropout.
        wide_optimizer: of the wide head.
        deep_optimizer: of the deep head.
        early_stopping: null trains all epochs; the best step is kept in any case.
        refit: once more from new weights on training and validation rows together, for as many steps an epoch count
            as validation chose.
        evaluate_every: evaluate after so many steps instead of after every epoch.
        checkpoint_every: checkpoint after so many steps, beside every evaluation.
        class_weights: a weight per label value.
        cache: `ids` keeps the transformed training rows in memory and shuffles all of them every epoch; `none` streams
            them; `auto` chooses `ids` when there is more than one epoch and they fit `cache_bytes`.
        cache_bytes: the memory that cached ids may take.
        shuffle_rows: rows in the shuffle buffer when streaming.
        steps_per_execution: steps in one call of the compiled loop.
        deterministic: TensorFlow's op determinism: the same weights to the bit, more slowly.
        tensorboard: write TensorBoard logs.
    """

    epochs: int = Field(default=10, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=512, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    wide_optimizer: OptimizerConfig = OptimizerConfig(name="sparse_ftrl", learning_rate=0.1)
    deep_optimizer: OptimizerConfig = OptimizerConfig(name="lazy_adam", learning_rate=0.001)
    early_stopping: EarlyStoppingConfig | None = EarlyStoppingConfig()
    refit: bool = False
    evaluate_every: int | None = Field(default=None, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)
    class_weights: dict[str, Annotated[float, Field(ge=0)]] | None = None
    cache: Literal["auto", "ids", "none"] = "auto"
    cache_bytes: int = Field(default=2 * 1024**3, ge=0)
    shuffle_rows: int = Field(default=100_000, ge=1)
    steps_per_execution: int = Field(default=16, ge=1)
    deterministic: bool = False
    tensorboard: bool = True

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        rates = {
            "sparse_ftrl": 0.1,
            "ftrl": 0.1,
            "adagrad": 0.05,
            "sgd": 0.1,
            "lazy_adam": 0.001,
            "adam": 0.001,
        }
        if isinstance(values, dict):
            for key, usual in (("wide_optimizer", "sparse_ftrl"), ("deep_optimizer", "lazy_adam")):
                given = {"name": values[key]} if isinstance(values.get(key), str) else values.get(key)
                if isinstance(given, dict):
                    # `--set train.wide_optimizer.beta=1` means the optimizer that is there without a section.
                    given = {"name": usual, **given}
                    # A name that is none is refused later, with the nearest: not for the lack of a rate.
                    given = {"learning_rate": rates.get(str(given.get("name")), 0.1), **given}
                    values = {**values, key: given}
            weights = values.get("class_weights")
            if isinstance(weights, dict):
                # YAML reads the labels 0 and 1 as numbers, and true as a truth value.
                values = {**values, "class_weights": {str(label): weight for label, weight in weights.items()}}
        return values


class ExportConfig(_Section):
    """What is exported: the model's name in TF Serving, and the formats."""

    name: str = "wide_deep"
    formats: tuple[Literal["savedmodel", "onnx"], ...] = ("savedmodel", "onnx")

    @model_validator(mode="after")
    def _check(self) -> ExportConfig:
        if not is_valid(self.name):
            raise ValueError("name becomes a folder: letters, digits and _, a letter first")
        return self


class Config(_Section):
    """The whole of a run: task, data, features, model, training and export."""

    task: Task = "binary"
    data: DataConfig
    features: tuple[AnyColumn, ...] = Field(min_length=1)
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()

    @model_validator(mode="after")
    def _check(self) -> Config:
        check_features(self.features)
        self.input_names()
        label = self.data.label
        if self.task != "binary" and label.positive is not None:
            raise ConfigError(f"data.label.positive belongs to task: binary, not to {self.task}.")
        self.monitor()
        self._check_training()
        if self.task != "multiclass" and label.classes is not None:
            raise ConfigError(f"data.label.classes belongs to task: multiclass, not to {self.task}.")
        for index, feature in enumerate(self.features):
            if label.column in feature.columns:
                raise ConfigError(
                    f"features[{index}]: {feature.name!r} reads the label's column {label.column!r}, "
                    "which is not there when the model serves. Remove the feature."
                )
        used = {"wide": self.wide_features(), "deep": self.deep_features()}
        for head in self.model.heads:
            if not used[head]:
                raise ConfigError(
                    f"model.heads names {head!r}, but no feature goes there. Give a feature a place in it, "
                    f"or leave {head!r} out of model.heads."
                )
        return self

    def _check_training(self) -> None:
        train = self.train
        for head, chosen in (("wide", train.wide_optimizer), ("deep", train.deep_optimizer)):
            if chosen.name in ("sparse_ftrl", "ftrl") and isinstance(chosen.learning_rate, ScheduleConfig):
                raise ConfigError(
                    f"train.{head}_optimizer.learning_rate: {chosen.name} needs a fixed rate: its weights are sums "
                    "times the current rate, so that a falling rate would shrink the weights themselves. Its own "
                    f"1/sqrt(n) slows every weight down. Give a number, such as {chosen.learning_rate.start:g}."
                )
        if train.class_weights is not None and self.task == "regression":
            raise ConfigError("train.class_weights needs classes: a regression has none. Use data.weight.")

    def monitor(self) -> str:
        """The metric on the validation rows that tells which step is the best.

        Raises:
            ConfigError: the task has no such metric.
        """
        known = MONITORS[self.task]
        chosen = self.train.early_stopping.monitor if self.train.early_stopping else "auto"
        if chosen == "auto":
            return known[0]
        if chosen not in known:
            raise ConfigError(
                f"train.early_stopping.monitor: task {self.task} has no metric {chosen!r}.{nearest(chosen, known)}"
            )
        return chosen

    def wide_features(self) -> list[str]:
        """The names of the features with a place in the wide head."""
        return [feature.name for feature in self.features if feature.wide]

    def deep_features(self) -> list[str]:
        """The names of the features with a place in the deep head."""
        return [
            feature.name
            for feature in self.features
            if (feature.deep if isinstance(feature, Numeric) else feature.embedding or feature.one_hot)
        ]

    def input_names(self) -> dict[str, str]:
        """Data column -> graph input name, for every column that a feature reads, in order of first use.

        Raises:
            ConfigError: two columns come to one name, or differ only in case.
        """
        names: dict[str, str] = {}
        for feature in self.features:
            for column in feature.columns:
                if column not in names:
                    names[column] = self.data.names.get(column) or input_name(column)
        for column in self.data.names:
            if column not in names:
                raise ConfigError(f"data.names maps {column!r}, which no feature reads.{nearest(column, names)}")
        refuse_case_twins(names, "Data columns")
        by_name: dict[str, str] = {}
        for column, name in names.items():
            twin = by_name.setdefault(name.lower(), column)
            if twin != column:
                raise ConfigError(
                    f"Columns {twin!r} and {column!r} both become the input {name!r}. "
                    f"Tell them apart in data.names, as in {{{column!r}: {name}_2}}."
                )
            if is_reserved(name):
                raise ConfigError(
                    f"Column {column!r} becomes the input {name!r}, which is the name of one of the model's own "
                    f"matrices. Give it another in data.names, as in {{{column!r}: {name}_2}}."
                )
        return names

    @classmethod
    def of(cls, values: dict[str, Any], where: str = "configuration") -> Config:
        """Checks a nested dict.

        Raises:
            ConfigError: names the path of the key, what was received and what would be right.
        """
        _refuse_other_keys(values, where)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(explain(error, cls, where, values)) from None
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    @classmethod
    def load(cls, source: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> Config:
        """Reads a preset (`census`) or a YAML file, then applies overrides such as `train.epochs=3`.

        Paths inside a file are relative to that file's folder; in overrides, to the working directory.

        Raises:
            ConfigError: no such preset or file, not YAML, or not a valid configuration.
        """
        text, folder, where = _read(source)
        try:
            values = config_yaml.load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{where} is not YAML: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{where} must hold keys such as data and features. Received: {values!r}")
        if folder is not None:
            resolve_paths(values, folder)
        for change in overrides:
            override(values, change)
        if overrides:
            resolve_paths(values, Path.cwd())
        return cls.of(values, where)

    def dump(self) -> str:
        """The complete configuration as YAML; `load` of it gives an equal one, if its paths are `absolute`."""
        return config_yaml.dump(self.model_dump(mode="json"))

    def absolute(self) -> Config:
        """A copy whose file paths don't depend on the working directory any more."""
        values = self.model_dump(mode="json")
        resolve_paths(values, Path.cwd())
        return Config.of(values)

    def replace(self, **changes: Any) -> Config:
        """A copy with other values, by path with `__` for dots: `replace(train__epochs=3, features__age__fill=0)`."""
        values = self.model_dump(mode="json")
        for path, value in changes.items():
            assign(values, path.split("__"), value)
        return Config.of(values)


def presets() -> list[str]:
    """The names of the configurations that ship with the package."""
    folder = importlib.resources.files("tfwd") / "configs"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _read(source: str | Path) -> tuple[str, Path | None, str]:
    if isinstance(source, str) and source in presets():
        entry = importlib.resources.files("tfwd") / "configs" / f"{source}.yaml"
        return entry.read_text(encoding="utf-8"), None, f"preset {source!r}"
    path = Path(source)
    if not path.is_file():
        raise ConfigError(f"{source} is neither a preset nor a file.{nearest(str(source), presets())}")
    try:
        return path.read_text(encoding="utf-8"), path.resolve().parent, str(path)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text, as YAML is.") from None


def _refuse_other_keys(node: Any, where: str) -> None:
    """Refuses keys that are no text, which `on: ...` and `1: ...` are in YAML, outside of class_weights."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if isinstance(node, dict) and not isinstance(key, str):
            raise ConfigError(f"{where}: keys are texts. Received the key {key!r} beside {value!r}.")
        if key != "class_weights":
            _refuse_other_keys(value, where)
