"""The schema: which raw inputs a model takes and what it answers, resolved once and carried by every export."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["string", "integer", "float"]

# The type that each kind has in a graph, by the name that Keras and TensorFlow share.
DTYPES: dict[Kind, str] = {"string": "string", "integer": "int64", "float": "float32"}

# A missing integer on the road to a graph: int64 has no null, and nobody's category is this number.
MISSING_INTEGER = -(2**63)
# An ONNX input with this ending takes the 64-bit fingerprints of the input before it.
FINGERPRINT_SUFFIX = "_fingerprint"


@dataclass(frozen=True)
class Input:
    """One raw input of the model: a scalar per example `(B,)`, or several values `(B, K)`.

    Attributes:
        name: its name in the graph: Keras input, signature argument, ONNX input.
        column: the data column it comes from.
        kind: `string` (missing: ""), `integer` (int64; missing: `MISSING_INTEGER`) or `float` (float32;
            missing: NaN).
        length: 0 for a scalar. Otherwise the most values of an example, of which the latest are kept. In `(B, K)` they
            stand in their natural order, the oldest first, and the missing value is padding; K may be any number.
        delimiter: what parts the values in a column of text; None where the column holds lists.
        weighs: of several weights, the column of the values that they weigh, as they stand there.
    """

    name: str
    column: str
    kind: Kind
    length: int = 0
    delimiter: str | None = None
    weighs: str | None = None

    @property
    def shape(self) -> tuple[None, ...]:
        """Of the graph's input: `(None,)`, or `(None, None)` where there are several values."""
        return (None, None) if self.length else (None,)


@dataclass(frozen=True)
class Schema:
    """The raw inputs and the answer of a model.

    Attributes:
        inputs: the raw inputs in order.
        task: `binary`, `multiclass` or `regression`.
        label: the label's column.
        classes: binary `(negative, positive)`, multi-class all classes in order, regression empty.
        weight: the column of example weights, if any.
        version: of tfwd, when the model was made.
        counts: of a regression, whether the label is a count (at least 0) and the answer its expectation, exp(logit).
    """

    inputs: tuple[Input, ...]
    task: Literal["binary", "multiclass", "regression"]
    label: str
    classes: tuple[str, ...] = ()
    weight: str | None = None
    version: str = ""
    counts: bool = False

    @property
    def measures(self) -> str:
        """What the metrics go by: the task, or `counts`."""
        return "counts" if self.counts else self.task

    @property
    def width(self) -> int:
        """The values of a row's inputs."""
        return sum(max(entry.length, 1) for entry in self.inputs)

    @property
    def outputs(self) -> int:
        """The number of logits: one a class of a multi-class task, else 1."""
        return len(self.classes) if self.task == "multiclass" else 1

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict that `from_dict` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Schema:
        """The schema that `to_dict` wrote."""
        inputs = tuple(Input(**entry) for entry in values["inputs"])
        return cls(**{**values, "inputs": inputs, "classes": tuple(values["classes"])})
