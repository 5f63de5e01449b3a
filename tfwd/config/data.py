"""The section `data`: where the rows come from and what their columns mean."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tfwd.config.labels import MISSING_LABELS, text_of
from tfwd.config.preparation import HistoryConfig, JoinConfig, SplitConfig
from tfwd.config.section import MOST, PathText, Section, fault, refuse_twice, truth_values_as_text
from tfwd.config.tree import shown
from tfwd.utils.naming import is_valid

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
                raise fault(name, f"{sign!r} ends a line, and cannot be part of one.")
            if name != "delimiter" and len(sign.encode("utf-8", "replace")) > 1:
                raise fault(name, f"{sign!r} is not an ASCII character, as a quote and its escape must be.")
        if not self.null:
            raise fault("null", "expected at least one text that stands for a missing value, such as ''.")
        for name in ("quote", "escape"):
            if signs[name] and signs[name] in self.delimiter:
                raise fault(name, f"{signs[name]!r} is the delimiter too, or a part of it.")
        for text in self.null:
            for name in ("delimiter", "quote", "escape"):
                if signs[name] and signs[name] in text:
                    raise fault(
                        "null", f"{text!r} holds the {name} {signs[name]!r}, so that it cannot be part of a field."
                    )


class LabelConfig(Section):
    """The label: its column and, for classes, their names.

    Args:
        column: the data column.
        positive: binary only: the value that is the positive class. Without it the label must be 0/1 or boolean.
        classes: multi-class only: the classes in order; learned from the training rows (sorted) when not given.
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
                raise fault("classes", f"{value!r} stands for a missing label, so it cannot be a class.")
            if text_of(value) in texts:
                raise fault("classes", f"{shown(texts[text_of(value)])} and {shown(value)} are the same label.")
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
        format: by default the one that the file's ending names.
        label: the label's column, or a section with `column`, `positive` or `classes`.
        weight: a column with a weight per example, at least 0.
        key: columns that `predict` passes through.
        join: tables whose columns are added to the rows, except for columns that the rows already have.
        columns: columns computed from others of the row, by name, as SQL; one replaces an existing column of its name.
        filter: an SQL condition on the columns of a row, such as `rating != 3`; other rows are left out.
        history: list columns of the items that a user's earlier events were about.
        split: how the rows of `train` are split, in place of `validation`, `validation_fraction` and `test`.
        time: the column of an event's time, for `since` and `until`: a number, a day or a moment. By default the time
            column of `split`, or of the first history.
        since: a time such as `2000-12-01`; rows of `train` before it are left out, but histories still include them.
            A day or moment stands for seconds since 1970 if the time is a whole number.
        until: likewise; rows of this time and later are left out.
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
        """Whether the rows are made before they are read: downloaded, joined, computed or split."""
        sources = (self.train, self.validation, self.test)
        downloaded = any(isinstance(source, str) and source.startswith("tfds:") for source in sources)
        return downloaded or bool(self.join or self.columns or self.history or self.split) or self.ranged

    @property
    def ranged(self) -> bool:
        """Whether the training rows are restricted to a range of time."""
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
                    f"{key} is made of one log, data.train: leave data.{other} out, and split the log with data.split"
                )
        if self.ranged and self.event_time is None:
            raise ValueError("since and until choose rows by their time: name its column in data.time")
        for history in self.history:
            if history.name in self.columns:
                raise fault("history", f"columns and history both make a column named {shown(history.name)}.")
        refuse_twice("history", [history.name for history in self.history])
        refuse_twice("key", self.key)
        joins = [(join.data, join.on) for join in self.join]
        twin = next((data for (data, on), count in Counter(joins).items() if count > 1), None)
        if twin is not None:
            raise fault("join", f"{shown(twin)} is joined twice on the same column.")
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
                    "a letter first, and is not a Python keyword"
                )
        return self
