"""The interface of whatever answers rows, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfwd.data.chunk import Chunk
from tfwd.data.reading import Reading
from tfwd.data.source import Source
from tfwd.schema import Schema

Answer = dict[str, NDArray[np.float32]]
Raw = Mapping[str, Any]


def scored_names(schema: Schema) -> tuple[str, ...]:
    """Returns the answers that a scorer gives: all but the names of the classes, which the schema knows."""
    return tuple(name for name in schema.answer_names if name != "classes")


def no_answer(schema: Schema) -> Answer:
    """Returns the answer to zero rows."""
    none = np.zeros((0, len(schema.classes)) if schema.task == "multiclass" else 0, np.float32)
    return dict.fromkeys(scored_names(schema), none)


class AnswersRows(Protocol):
    """What prediction and evaluation need of a `tfwd.Scorer`."""

    @property
    def schema(self) -> Schema:
        """The raw inputs and the answer."""

    @property
    def reading(self) -> Reading | None:
        """How a file or a frame becomes raw batches."""

    @property
    def score(self) -> Callable[[Raw], Answer]:
        """Returns the answers to a raw batch."""

    @property
    def score_chunk(self) -> Callable[[Chunk], Answer]:
        """Returns the answers to a chunk of rows."""

    def source(self, data: Any, *, labelled: bool, key: tuple[str, ...] | None = ()) -> Source:
        """Opens rows the way the model's training read them."""
