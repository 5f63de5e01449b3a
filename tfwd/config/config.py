"""One YAML file as pydantic models: data, features, model, training, export and ranking.

`Config.load` reads a preset or a file, applies `--set a.b=c` overrides and refuses unknown keys with the nearest right
one. `Config.dump` writes the complete configuration, from which the run can be repeated.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from tfwd.config import yaml12
from tfwd.config.checks import check_features
from tfwd.config.data import DataConfig
from tfwd.config.export import ExportConfig
from tfwd.config.features.any import AnyFeature, expanded
from tfwd.config.features.base import Embedded, Feature
from tfwd.config.features.columns import Written, spread
from tfwd.config.messages import explain
from tfwd.config.model import ModelConfig
from tfwd.config.optimizers import refuse_decay_of_fixed, refuse_falling_rate
from tfwd.config.overrides import assign, override, resolve_paths
from tfwd.config.ranking import RankingConfig, check_ranking, refuse_names_of_requests
from tfwd.config.section import Section
from tfwd.config.training import MONITORS, TrainConfig
from tfwd.config.tree import check_tree, short, shown, unshared
from tfwd.errors import ConfigError
from tfwd.schema import is_reserved
from tfwd.utils.files import what_it_is
from tfwd.utils.naming import input_name, nearest, refuse_case_twins

Task = Literal["binary", "multiclass", "regression"]


class Config(Section):
    """The complete configuration of a run: task, data, features, model, training, export and, optionally, ranking."""

    task: Task = "binary"
    data: DataConfig
    features: tuple[AnyFeature, ...] = Field(min_length=1)
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    ranking: RankingConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> Config:
        check_features(self.features)
        self.input_names()
        label = self.data.label
        if self.task != "binary" and label.positive is not None:
            raise ConfigError(f"data.label.positive belongs to task: binary, not to {self.task}.")
        if self.model.loss is not None and self.task != "regression":
            raise ConfigError(f"model.loss: {self.model.loss} belongs to task: regression, not to {self.task}.")
        self.monitor()
        self._check_training()
        self._check_ranking()
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
        refuse_falling_rate(train.wide_optimizer, "train.wide_optimizer")
        refuse_falling_rate(train.deep_optimizer, "train.deep_optimizer")
        fixed = [f.name for f in self.features if isinstance(f, Embedded) and not f.embedding_trainable]
        refuse_decay_of_fixed(train.deep_optimizer, "train.deep_optimizer", fixed)
        if train.class_weights is not None and self.task == "regression":
            raise ConfigError("train.class_weights needs classes: a regression has none. Use data.weight.")

    def _check_ranking(self) -> None:
        ranking = self.ranking
        if ranking is None:
            return
        if self.task == "multiclass":
            raise ConfigError(
                "ranking needs one score per row: task binary or regression. A multi-class task has none."
            )
        read = self.input_names()
        check_ranking(ranking, self.model_features, read, self.data.label.column)
        refuse_names_of_requests(ranking, read, [history.name for history in self.data.history])

    def monitor(self) -> str:
        """Returns the metric on the validation rows that selects the best step.

        Raises:
            ConfigError: the task has no such metric.
        """
        known = MONITORS["counts" if self.counts else self.task]
        chosen = self.train.early_stopping.monitor if self.train.early_stopping else "auto"
        if chosen == "auto":
            return known[0]
        if chosen not in known:
            raise ConfigError(
                f"train.early_stopping.monitor: task {self.task} has no metric {chosen!r}.{nearest(chosen, known)}"
            )
        return chosen

    @property
    def model_features(self) -> tuple[Feature, ...]:
        """The features that the heads read: the declared ones, with each datetime replaced by its parts and numbers."""
        return expanded(self.features)

    @property
    def counts(self) -> bool:
        """Whether the label is a count, whose expectation is the answer."""
        return self.model.loss == "poisson"

    def grows_vocabularies(self) -> bool:
        """Returns whether a warm start keeps the values of the older run's vocabularies."""
        chosen = self.train.warm_start_vocabulary
        return self.data.ranged if chosen == "auto" else chosen == "grow"

    def wide_features(self) -> list[str]:
        """Returns the names of the features with a place in the wide head."""
        return [feature.name for feature in self.model_features if feature.in_wide]

    def deep_features(self) -> list[str]:
        """Returns the names of the features with a place in the deep head."""
        return [feature.name for feature in self.model_features if feature.in_deep]

    def input_names(self) -> dict[str, str]:
        """Returns data column -> graph input name, for every column that a feature reads, in order of first use.

        Raises:
            ConfigError: two columns get the same name, or differ only in case.
        """
        names: dict[str, str] = {}
        for index, feature in enumerate(self.features):
            for column in feature.columns:
                if column not in names:
                    try:
                        names[column] = self.data.names.get(column) or input_name(column)
                    except ConfigError as error:
                        raise ConfigError(f"features[{index}]: {error}") from None
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
                    f"Rename one of them in data.names, for example {{{column!r}: {name}_2}}."
                )
            if is_reserved(name):
                raise ConfigError(
                    f"Column {column!r} becomes the input {name!r}, which is the name of one of the model's own "
                    f"matrices. Rename it in data.names, for example {{{column!r}: {name}_2}}."
                )
        return names

    @classmethod
    def of(cls, values: dict[str, Any], where: str = "configuration") -> Config:
        """Checks a nested dict.

        Raises:
            ConfigError: names the path of the key, what was received and what would be right.
        """
        values, written = _spread(values, where)
        try:
            return super(Section, cls).model_validate(values)
        except ValidationError as error:
            message = explain(error, cls, where, values)
        except ConfigError as error:
            # A name in the message may be of any length.
            message = short(f"{where}: {error}", _LONGEST_MESSAGE)
        raise ConfigError(_counted(message, written, values)) from None

    @classmethod
    def load(cls, source: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> Config:
        """Reads a preset (`census`) or a YAML file, then applies overrides such as `train.epochs=3`.

        Paths inside a file are relative to that file's folder; in overrides, to the working directory.

        Raises:
            ConfigError: there is no such preset or file, or it is not YAML or not a valid configuration.
        """
        text, folder, where = _read(source)
        try:
            values = yaml12.load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{where} is not YAML: {yaml12.reason(error, text)}.") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{where} must hold keys such as data and features. Received: {shown(values)}")
        values, written = _spread(values, where)
        # Otherwise an override would change every place that shares an anchor.
        values = unshared(values)
        if written is not None:
            written = written._replace(features=list(values["features"]))
        if folder is not None:
            resolve_paths(values, folder)
        for change in overrides:
            override(values, change)
        if overrides:
            resolve_paths(values, Path.cwd())
        try:
            return cls.of(values, where)
        except ConfigError as error:
            raise ConfigError(_counted(str(error), written, values)) from None

    def dump(self) -> str:
        """Returns the complete configuration as YAML; `load` makes an equal one of it if its paths are `absolute`."""
        return yaml12.dump(self.model_dump(mode="json"))

    def absolute(self) -> Config:
        """Returns a copy whose file paths no longer depend on the working directory."""
        values = self.model_dump(mode="json")
        resolve_paths(values, Path.cwd())
        return Config.of(values)

    def replace(self, **changes: Any) -> Config:
        """Returns a copy with other values, by path with `__` for dots: `train__epochs=3`, `features__age__fill=0`."""
        values = self.model_dump(mode="json")
        for path, value in changes.items():
            assign(values, path.split("__"), value)
        return Config.of(values)


def _spread(values: dict[str, Any], where: str) -> tuple[dict[str, Any], Written | None]:
    """Checks the size of a nested dict and writes its `columns` out, by which it may become too large."""
    check_tree(values, where)
    try:
        written = spread(values.get("features"))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if written is not None:
        values = {**values, "features": written.features}
        check_tree(values, where)
    return values, written


def _counted(message: str, written: Written | None, values: dict[str, Any]) -> str:
    features = values.get("features")
    return message if written is None or not isinstance(features, list) else written.message(message, features)


_MOST_BYTES = 32 << 20
_LONGEST_MESSAGE = 2000


def presets() -> list[str]:
    """Returns the names of the configurations that ship with the package."""
    folder = importlib.resources.files("tfwd.config") / "presets"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _read(source: str | Path) -> tuple[str, Path | None, str]:
    if isinstance(source, str) and source in presets():
        entry = importlib.resources.files("tfwd.config") / "presets" / f"{source}.yaml"
        return entry.read_text(encoding="utf-8"), None, f"preset {source!r}"
    path = Path(source)
    kind = what_it_is(path)
    if kind != "a file":
        if kind is not None:
            raise ConfigError(f"{source} is {kind}: expected a file of YAML.")
        raise ConfigError(
            f"{shown(str(source))[1:-1]} is neither a preset nor a file.{nearest(str(source), presets())}"
        )
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ConfigError(
            f"{path} is longer than {_MOST_BYTES >> 20} MiB: expected a configuration. Put a long vocabulary into a "
            "file of its own, and name that in vocabulary_file."
        )
    try:
        # A byte order mark is not part of the text.
        return content.decode("utf-8-sig"), path.resolve().parent, str(path)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text, as YAML must be: byte {error.start + 1} is invalid.") from None
