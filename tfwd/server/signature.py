"""What can be asked of a model: signatures, and the tensors that they take and give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfwd.schema import DTYPES, EMPTY_FINGERPRINT, MISSING, Input, Schema

Tensors = dict[str, NDArray[Any]]
Method = Literal["predict", "classify", "regress"]

# The names of TensorFlow's types, as they are in requests for metadata.
TENSORFLOW_TYPES = {"string": "DT_STRING", "int64": "DT_INT64", "int32": "DT_INT32", "float32": "DT_FLOAT"}


class Spec(NamedTuple):
    """One tensor of a signature.

    Attributes:
        name: its name.
        dtype: `string` (an object array of `str`), `int64`, `int32` or `float32`.
        shape: its dimensions; None is any size, and the first of a batch.
        missing: the missing value of an input, which also fills up a list that is shorter than others; None if it
            has none.
        weighs: the input whose values it weighs, if any.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    missing: Any = None
    weighs: str | None = None

    @property
    def of_rows(self) -> bool:
        """Whether its first dimension is that of the batch."""
        return bool(self.shape) and self.shape[0] is None

    @property
    def of_lists(self) -> bool:
        """Whether a row has a list of any length, and not a value or a vector."""
        return self.shape[1:] == (None,)

    @property
    def type(self) -> Any:
        """The NumPy type of its arrays."""
        return object if self.dtype == "string" else np.dtype(self.dtype)


def input_specs(schema: Schema, names: Iterable[str]) -> tuple[Spec, ...]:
    """Returns the inputs of a graph: raw inputs, each as its values or as their fingerprints.

    Args:
        schema: the raw inputs.
        names: those of the graph, each of which has a `schema.source`.
    """
    sources = {name: entry for name in names if (entry := schema.source(name)) is not None}
    columns = {entry.column: name for name, entry in sources.items()}

    def weighed(entry: Input) -> str | None:
        return None if entry.weighs is None else columns.get(entry.weighs)

    return tuple(
        Spec(name, DTYPES[entry.kind], entry.shape, MISSING[entry.kind], weighed(entry))
        if name == entry.name
        # What a graph reinterprets as 64 bits without a sign.
        else Spec(name, "int64", entry.shape, EMPTY_FINGERPRINT - 2**64)
        for name, entry in sources.items()
    )


def uneven_weights(specs: Iterable[Spec], widths: Mapping[str, int]) -> str | None:
    """Returns what is wrong with lists of weights that are not as long as the lists that they weigh, None if nothing.

    Args:
        specs: the inputs.
        widths: the lengths of the lists of each input; those that are not known are not compared.
    """
    for spec in specs:
        if spec.weighs is not None and spec.name in widths and spec.weighs in widths:
            weights, values = widths[spec.name], widths[spec.weighs]
            if weights != values:
                return (
                    f"The input {spec.name!r} takes a weight for each value of {spec.weighs!r}. Received: {weights} "
                    f"weights for {values} values"
                )
    return None


@dataclass(frozen=True)
class Signature:
    """One question that a model answers.

    Attributes:
        name: the signature's name.
        inputs: what it takes.
        outputs: what it gives.
        run: computes the outputs. If `merges` is false, it takes a second argument too, `stopped`, which it asks from
            time to time whether nobody waits for them any more.
        merges: whether rows of several requests may be answered in one call.
        defaults: the values of inputs that a request may leave out.
        work: how many scores and places of lists a request asks for, None where that is not known. It is asked only if
            `merges` is false.
    """

    name: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    run: Callable[..., Tensors] = field(repr=False)
    merges: bool = True
    defaults: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    work: Callable[[Tensors], int | None] = field(default=lambda _: None, repr=False)

    def input(self, name: str) -> Spec | None:
        """The input of a name, None if there is none."""
        return next((spec for spec in self.inputs if spec.name == name), None)
