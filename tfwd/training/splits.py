"""The splits of a training, opened and checked before anything is made from them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfwd.config.config import Config
from tfwd.data.rows import Rows
from tfwd.data.schema import resolve_schema
from tfwd.data.source import Source
from tfwd.errors import ConfigError, DataError
from tfwd.schema import Schema
from tfwd.version import __version__

if TYPE_CHECKING:
    import pandas as pd


# Rows decoded at a time when they are only checked.
_CHECKED = 8192


@dataclass(frozen=True)
class Splits:
    """The splits of a training.

    Attributes:
        schema: the schema of all of them.
        fit: the rows that are learned from.
        validation: the rows that choose the best step, if any.
        everything: the rows that a refit learns from.
        test: the rows that are read once, at the end, if any.
    """

    schema: Schema
    fit: Rows
    validation: Rows | None
    everything: Rows
    test: Rows | None

    def with_classes(self, classes: tuple[str, ...]) -> Splits:
        """Returns the same rows, with their labels encoded by these classes."""
        return Splits(
            dataclasses.replace(self.schema, classes=classes, version=__version__),
            self.fit.with_classes(classes),
            self.validation and self.validation.with_classes(classes),
            self.everything.with_classes(classes),
            self.test and self.test.with_classes(classes),
        )

    def by_name(self) -> dict[str, Rows | None]:
        """Returns the rows by the names of their splits."""
        return {"train": self.fit, "validation": self.validation, "test": self.test}

    def check(self) -> None:
        """Reads the rows that are not learned from, which training would read only after its first epoch.

        Raises:
            DataError: there are none, or a value or label does not fit.
        """
        for what, rows in (("validation", self.validation), ("test", self.test)):
            if rows is None:
                continue
            if rows.count() == 0:
                raise DataError(f"{rows.source.name} has no {what} rows" + (_too_few(rows) if rows.split else "."))
            for _ in rows.chunks(_CHECKED, order=None, shuffle_rows=1, skip=0):
                pass


def _too_few(rows: Rows) -> str:
    """Explains why a share of the rows comes to no rows."""
    found, different = rows.source.counts()
    share = f": data.validation_fraction is {rows.fraction:g} of too few rows"
    if different == found:
        return f"{share}."
    return (
        f"{share} that differ. Equal rows stay together, and of its {found:,} rows {different:,} "
        f"{'are' if different > 1 else 'is'} not a copy of another. Set data.validation to rows of their own."
    )


def open_splits(
    config: Config,
    train: pd.DataFrame | None = None,
    validation: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
    prepared: Path | None = None,
) -> Splits:
    """Opens and checks all data of a configuration before anything is made from it.

    Args:
        config: says where the data is.
        train, validation, test: frames in place of `data.train` and so on.
        prepared: the folder with the files that `tfwd.preparation` made from all these, to be read instead.

    Raises:
        ConfigError: there is no training data, or a refit is impossible.
        DataError: a source is missing, damaged or has other columns.
    """
    data = config.data

    def source(frame: pd.DataFrame | None, name: str) -> Source | None:
        if prepared is not None:
            file = prepared / f"{name}.parquet"
            return Source.open(file) if file.is_file() else None
        chosen = frame if frame is not None else getattr(data, name)
        if chosen is None:
            return None
        return Source.open(chosen, csv=data.csv, format=data.format, filter=data.filter)

    main = source(train, "train")
    if main is None:
        raise ConfigError("There is nothing to train on: set data.train to a file, or give a DataFrame.")
    schema = resolve_schema(config, main)
    held_out = source(validation, "validation")
    tested = source(test, "test")
    fraction = data.validation_fraction if held_out is None and data.split is None else 0.0
    own_validation = data.split is not None and held_out is not None
    if config.train.refit and not own_validation and (held_out is not None or fraction == 0.0):
        raise ConfigError(
            "train.refit needs validation rows of the training file: set data.validation_fraction or data.split, and "
            "leave data.validation out."
        )
    if fraction == 0.0 and held_out is None and config.train.early_stopping is not None:
        raise ConfigError(
            "train.early_stopping needs validation rows: set data.validation, data.validation_fraction or data.split, "
            "or train.early_stopping=null."
        )
    whole = Rows(main, schema)
    fit: Rows = whole
    validation_rows = Rows(held_out, schema) if held_out is not None else None
    if fraction:
        fit = Rows(main, schema, split="train", fraction=fraction)
        validation_rows = Rows(main, schema, split="validation", fraction=fraction)
    if own_validation and prepared is not None:
        whole = Rows(Source.open([prepared / "train.parquet", prepared / "validation.parquet"]), schema)
    return Splits(schema, fit, validation_rows, whole, Rows(tested, schema) if tested is not None else None)
