"""The sections of a configuration: data, model, training and export."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tfwd.config_base import (
    LARGEST,
    MOST,
    Count,
    PathText,
    Section,
    fault,
    refuse_twice,
    truth_values_as_text,
)
from tfwd.config_optimizers import OptimizerConfig
from tfwd.config_preparation import HistoryConfig, JoinConfig, SplitConfig
from tfwd.config_tree import shown
from tfwd.naming import MISSING_LABELS, is_valid, text_of

Head = Literal["wide", "deep"]


# One file, folder or glob, or a list of them.
Files = PathText | Annotated[tuple[PathText, ...], Field(min_length=1)]


Moment = Annotated[int, Field(ge=-MOST, le=MOST)] | Annotated[float, Field(ge=-MOST, le=MOST)] | str


class CsvConfig(Section):
    """The dialect of CSV files. Every field is read as text and cast once, by the schema."""

    delimiter: str = Field(default=",", min_length=1, max_length=4)
    quote: str = Field(default='"', max_length=1)
    escape: str = Field(default='"', max_length=1)
    header: bool = True
    columns: tuple[str, ...] | None = None
    null: tuple[str, ...] = ("",)
    skip: int = Field(default=0, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _check(self) -> CsvConfig:
        if not self.header and self.columns is None:
            raise ValueError("a file without a header needs its columns' names in data.csv.columns")
        refuse_twice("columns", self.columns or ())
        self._check_signs()
        return self

    def _check_signs(self) -> None:
        signs = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape}
        for name, sign in signs.items():
            if any(part in sign for part in "\r\n\0"):
                raise fault(name, f"{sign!r} ends a line, and cannot stand in one.")
            if name != "delimiter" and len(sign.encode("utf-8", "replace")) > 1:
                raise fault(name, f"{sign!r} is no sign of ASCII, which a quote and its escape are.")
        if not self.null:
            raise fault("null", "expected at least one text that stands for a missing value, as ''.")
        for name in ("quote", "escape"):
            if signs[name] and signs[name] in self.delimiter:
                raise fault(name, f"{signs[name]!r} is the delimiter too, or a part of it.")
        for text in self.null:
            for name in ("delimiter", "quote", "escape"):
                if signs[name] and signs[name] in text:
                    raise fault(
                        "null", f"{text!r} holds the {name} {signs[name]!r}, so that it cannot stand in a field."
                    )


class LabelConfig(Section):
    """The label: its column and, for classes, their names.

    Args:
        column: the data column.
        positive: binary only: the value that is the positive class. Without it the label must be 0/1 or boolean.
        classes: multi-class only: the classes in order; learnt from the training rows (sorted) when not given.
    """

    positional: ClassVar[tuple[str, ...]] = ("column",)

    column: str
    positive: str | int | bool | float | None = None
    classes: tuple[str | int, ...] | None = Field(default=None, min_length=2)

    _values = field_validator("classes", mode="before")(truth_values_as_text)

    @model_validator(mode="after")
    def _check(self) -> LabelConfig:
        texts: dict[str, object] = {}
        for value in self.classes or ():
            if text_of(value) in MISSING_LABELS:
                raise fault("classes", f"{value!r} is how a missing label reads, and no class.")
            if text_of(value) in texts:
                raise fault("classes", f"{shown(texts[text_of(value)])} and {shown(value)} are one label.")
            texts[text_of(value)] = value
        return self

    if TYPE_CHECKING:

        def __init__(self, column: str | None = None, /, **options: Any) -> None: ...


class DataConfig(Section):
    """Where the rows come from and what their columns mean.

    Args:
        train: a CSV (also .gz), Parquet or TFRecord file, folder or glob, `census:train` for the bundled data, or a
            dataset of TensorFlow Datasets as `tfds:NAME[/CONFIG][:SPLIT]`.
        path: a local copy of what `tfds:` names, in place of a download.
        validation: a source like `train`; without it, `validation_fraction` of the training rows.
        validation_fraction: the share of training rows kept for validation, chosen by a hash of the row, so that the
            choice is the same in every run and equal rows stay together.
        test: a source like `train`, read once, at the end.
        format: by default what the file's ending says.
        label: the label's column, or a section with `column`, `positive` or `classes`.
        weight: a column with a weight per example, at least 0.
        key: columns that `predict` passes through.
        join: tables whose columns are added to the rows: those that are not there yet.
        columns: columns computed of others of the row, by name, as SQL; one of a name that is there takes its place.
        filter: an SQL condition on the columns of a row; other rows are left out, as in `rating != 3`.
        history: list columns of the items that a user's earlier events were about.
        split: how the rows of `train` are parted, in place of `validation`, `validation_fraction` and `test`.
        time: the column of an event's time, for `since` and `until`: a number, a day or a moment. By default that of
            `split`, or of the first history.
        since: rows of `train` before this time are left out, as `2000-12-01`; histories are made of them all the same.
            A day or moment stands for seconds since 1970 where the time is a whole number.
        until: likewise the rows of this time and later.
        names: graph input names for data columns whose own names a graph cannot carry.
    """

    train: Files | None = None
    path: PathText | None = None
    validation: Files | None = None
    validation_fraction: float = Field(default=0.1, ge=0.0, lt=1.0)
    test: Files | None = None
    format: Literal["auto", "csv", "parquet", "tfrecord"] = "auto"
    csv: CsvConfig = CsvConfig()
    label: LabelConfig
    weight: str | None = None
    key: tuple[str, ...] = ()
    join: tuple[JoinConfig, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)
    filter: str | None = None
    history: tuple[HistoryConfig, ...] = ()
    split: SplitConfig | None = None
    time: str | None = Field(default=None, min_length=1)
    since: Moment | None = None
    until: Moment | None = None
    names: dict[str, str] = Field(default_factory=dict)

    @property
    def prepared(self) -> bool:
        """Whether the rows are made before they are read: downloaded, joined, computed or parted."""
        sources = (self.train, self.validation, self.test)
        downloaded = any(isinstance(source, str) and source.startswith("tfds:") for source in sources)
        return downloaded or bool(self.join or self.columns or self.history or self.split) or self.ranged

    @property
    def ranged(self) -> bool:
        """Whether the rows to train on are those of a range of time."""
        return self.since is not None or self.until is not None

    @property
    def event_time(self) -> str | None:
        """The column of an event's time, if the configuration names one."""
        times = [self.time, self.split.time if self.split else None, *(history.time for history in self.history)]
        return next((time for time in times if time is not None), None)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        if isinstance(values, dict):
            if isinstance(values.get("label"), str):
                values = {**values, "label": {"column": values["label"]}}
            for key in ("join", "history"):
                if isinstance(values.get(key), dict):
                    values = {**values, key: [values[key]]}
        return values

    @model_validator(mode="after")
    def _check_preparation(self) -> DataConfig:
        for key in ("split", "history"):
            other = next((other for other in ("validation", "test") if getattr(self, other) is not None), None)
            if getattr(self, key) and other is not None:
                raise ValueError(
                    f"{key} is made of one log, data.train: leave data.{other} out, and part the log with data.split"
                )
        if self.ranged and self.event_time is None:
            raise ValueError("since and until choose rows by their time: name its column in data.time")
        for history in self.history:
            if history.name in self.columns:
                raise fault("history", f"columns and history make two columns of the name {shown(history.name)}.")
        refuse_twice("history", [history.name for history in self.history])
        refuse_twice("key", self.key)
        joins = [(join.data, join.on) for join in self.join]
        twin = next((data for (data, on), count in Counter(joins).items() if count > 1), None)
        if twin is not None:
            raise fault("join", f"{shown(twin)} is joined twice by one column.")
        for name in ("train", "validation", "test"):
            files = getattr(self, name)
            if isinstance(files, tuple):
                refuse_twice(name, files)
                listed = next((file for file in files if file.startswith("tfds:")), None)
                if listed is not None:
                    raise fault(name, f"expected a list of files. Received: {shown(listed)}, which stands alone.")
        return self

    @model_validator(mode="after")
    def _check_names(self) -> DataConfig:
        for column, name in self.names.items():
            if not is_valid(name):
                raise ValueError(
                    f"names: {column!r} is mapped to {name!r}; an input name is made of letters, digits and _, "
                    "a letter first, and is no word of Python"
                )
        return self


class ModelConfig(Section):
    """The heads and their sizes.

    Args:
        heads: `[wide, deep]`, or one of them.
        hidden_units: the widths of the deep head's layers.
        activation: a Keras activation.
        dropout: the share of units dropped after every hidden layer.
        batch_norm: batch normalization after every hidden layer, before the activation.
        l2: L2 penalty on the kernels of the deep head's dense layers (tables: see the optimizer's
            `l2_regularization_strength`).
        embedding_dropout: the share of the tower's inputs dropped.
        embedding_stddev: of the truncated normal initial embeddings; null is 1 / sqrt(width). Small ones let values
            that were seen rarely say little until they have learnt something.
        loss: of a regression, `poisson` where the label is a count: the answer is its expectation, exp(logit), and the
            loss the Poisson deviance. null is the task's own.
    """

    heads: tuple[Head, ...] = Field(default=("wide", "deep"), min_length=1)
    hidden_units: tuple[Annotated[int, Field(ge=1, le=2**31 - 1)], ...] = Field(default=(256, 128, 64), min_length=1)
    activation: str = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    embedding_dropout: float = Field(default=0.0, ge=0, lt=1)
    embedding_stddev: float | None = Field(default=None, gt=0, le=LARGEST)
    batch_norm: bool = False
    l2: float = Field(default=0.0, ge=0, le=LARGEST)
    loss: Literal["poisson"] | None = None

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        refuse_twice("heads", self.heads)
        return self


class EarlyStoppingConfig(Section):
    """When to stop: `patience` evaluations without a better `monitor` on the validation rows.

    Args:
        monitor: a metric of the task; `auto` is the log loss, or the RMSE of a regression.
        patience: evaluations.
    """

    monitor: str = "auto"
    patience: Count = 3


class TrainConfig(Section):
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
            them, the validation rows too; `auto` chooses `ids` when there is more than one epoch and they fit
            `cache_bytes`.
        cache_bytes: the memory that cached ids may take.
        shuffle_rows: rows in the shuffle buffer when streaming.
        steps_per_execution: steps in one call of the compiled loop.
        deterministic: TensorFlow's op determinism: the same weights to the bit, more slowly.
        tensorboard: write TensorBoard logs.
        warm_start_from: a finished run: what it has learnt is carried over by name, optimizer state included.
        warm_start_vocabulary: of learnt vocabularies: `new` are the values of the training rows, `grow` those of the
            older run too; `auto` is `grow` where `data.since` or `data.until` chooses the rows.
    """

    epochs: Count = 10
    max_steps: Count | None = None
    batch_size: int = Field(default=512, ge=1, le=2**31 - 1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    wide_optimizer: OptimizerConfig = OptimizerConfig(name="sparse_ftrl", learning_rate=0.1)
    deep_optimizer: OptimizerConfig = OptimizerConfig(name="lazy_adam", learning_rate=0.001)
    early_stopping: EarlyStoppingConfig | None = EarlyStoppingConfig()
    refit: bool = False
    evaluate_every: Count | None = None
    checkpoint_every: Count | None = None
    class_weights: dict[str, Annotated[float, Field(ge=0, le=LARGEST)]] | None = None
    cache: Literal["auto", "ids", "none"] = "auto"
    cache_bytes: int = Field(default=2 * 1024**3, ge=0, le=MOST)
    shuffle_rows: Count = 100_000
    steps_per_execution: int = Field(default=16, ge=1, le=2**31 - 1)
    deterministic: bool = False
    tensorboard: bool = True
    warm_start_from: PathText | None = None
    warm_start_vocabulary: Literal["auto", "new", "grow"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key, usual in (("wide_optimizer", "sparse_ftrl"), ("deep_optimizer", "lazy_adam")):
                given = {"name": values[key]} if isinstance(values.get(key), str) else values.get(key)
                if isinstance(given, dict):
                    # `--set train.wide_optimizer.beta=1` means the optimizer that is there without a section.
                    values = {**values, key: {"name": usual, **given}}
            weights = values.get("class_weights")
            if isinstance(weights, dict):
                # YAML reads the labels 0 and 1 as numbers, and true as a truth value.
                texts = {label: str(label) for label in weights}
                refuse_twice("class_weights", [text_of(text) for text in texts.values()])
                values = {**values, "class_weights": {texts[label]: weight for label, weight in weights.items()}}
        return values


class ExportConfig(Section):
    """What is exported: the model's name in TF Serving, and the formats."""

    name: str = "wide_deep"
    formats: tuple[Literal["savedmodel", "onnx"], ...] = ("savedmodel", "onnx")

    @model_validator(mode="after")
    def _check(self) -> ExportConfig:
        if not is_valid(self.name):
            raise ValueError("name becomes a folder: letters, digits and _, a letter first")
        refuse_twice("formats", self.formats)
        return self


class RankingConfig(Section):
    """What is ranked for whom: the rows are of a user and an item, and a user is answered with a list of items.

    Args:
        user: the column that tells users apart: a request names one, and the metrics by user go by it.
        item: the column that tells items apart, which a feature reads.
        title: a column with what an item is called, for people to read.
        item_columns: the other columns, read by features, that say something of the item alone, such as its genres.
            All columns that are neither these nor `item` come with the request.
        k: the length of a list.
    """

    user: str = Field(min_length=1)
    item: str = Field(min_length=1)
    title: str | None = Field(default=None, min_length=1)
    item_columns: tuple[str, ...] = ()
    k: int = Field(default=10, ge=1, le=2**31 - 1)

    @model_validator(mode="after")
    def _check(self) -> RankingConfig:
        if self.user == self.item:
            raise ValueError(f"user and item are two columns. Received {self.item!r} for both")
        if self.title in (self.user, self.item):
            raise ValueError(f"title is a column of its own, and {self.title!r} is not: leave it out")
        refuse_twice("item_columns", self.item_columns)
        if self.user in self.item_columns or self.item in self.item_columns:
            wrong = self.user if self.user in self.item_columns else self.item
            raise ValueError(f"item_columns are columns of the item beside `item`: remove {wrong!r}")
        return self
