"""The sections of a configuration that turn an event log into training rows: join, history and split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfwd.config.section import PathText, Section

# The most values in a list.
MAX_LENGTH = 10_000


class JoinConfig(Section):
    """A table whose columns are added to the rows.

    Args:
        data: a source like `data.train`, with at most one row per key.
        on: the column of this name on both sides. A row whose key is missing from the table gets nulls.
    """

    data: PathText | Annotated[tuple[PathText, ...], Field(min_length=1)]
    on: str = Field(min_length=1)


class HistoryConfig(Section):
    """A list column: the items of the user's events strictly before the time of each row's event.

    It is made from the whole log, including the rows that `data.filter` leaves out and those of all splits: what was
    known at that time. The latest `length` are kept, the oldest first; items of the same time are ordered by value.

    Args:
        name: the column.
        user: the column that identifies users.
        item: the column whose values are listed.
        time: the column of the event's time: a number, a day or a moment.
        where: an SQL condition on the columns of an event; events that do not fulfil it are not listed.
        length: the most items in a list.
    """

    name: str = Field(min_length=1)
    user: str = Field(min_length=1)
    item: str = Field(min_length=1)
    time: str = Field(min_length=1)
    where: str | None = None
    length: int = Field(default=50, ge=1, le=MAX_LENGTH)


class SplitConfig(Section):
    """How the rows are split into training, validation and test rows.

    Args:
        by: `random` (a hash of the row: equal rows stay together), `user` (a hash of the user: all rows of a user stay
            together), `time` (train before validation before test; rows of the same time stay together) or `last` (the
            last events of each user).
        validation: the share of rows, or of users; with `time` also the moment of the first validation row, such as
            `2000-11-20`; with `last` the number of events per user, by default 1. 0 makes no such split.
        test: likewise. With `last` they are the events after the validation events.
        time: the column of the event's time, for `time` and `last`.
        user: the column that identifies users, for `user` and `last`.
    """

    by: Literal["random", "user", "time", "last"]
    validation: float | str = 0.1
    test: float | str = 0.1
    time: str | None = Field(default=None, min_length=1)
    user: str | None = Field(default=None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _counts(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("by") == "last":
            return {"validation": 1, "test": 1, **values}
        return values

    @model_validator(mode="after")
    def _check(self) -> SplitConfig:
        needs = {"random": (), "user": ("user",), "time": ("time",), "last": ("user", "time")}[self.by]
        for column in ("user", "time"):
            if (getattr(self, column) is not None) != (column in needs):
                fault = "needs the column in" if column in needs else "has no use for"
                raise ValueError(f"a split by {self.by} {fault} `{column}`")
        for split in ("validation", "test"):
            share = getattr(self, split)
            if self.by == "last":
                if isinstance(share, str) or share < 0 or not share < 2**31 or share != int(share):
                    raise ValueError(f"by last, {split} is a number of events per user, such as 1. Received: {share!r}")
            elif self.by != "time" and (isinstance(share, str) or not 0 <= share < 1):
                raise ValueError(f"by {self.by}, {split} is a fraction from 0 to below 1. Received: {share!r}")
            elif not isinstance(share, str) and share < 0:
                raise ValueError(f"{split} is a fraction from 0 to below 1, or a moment. Received: {share!r}")
        if self.by != "last" and self.share("validation") + self.share("test") >= 1:
            raise ValueError("validation and test are fractions of the rows: together they must leave some to train on")
        return self

    def share(self, split: Literal["validation", "test"]) -> float:
        """The share of a split, 0 if it is given by a moment."""
        value = self.validation if split == "validation" else self.test
        return value if not isinstance(value, str) and value < 1 else 0.0
