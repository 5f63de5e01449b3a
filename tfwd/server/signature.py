"""What can be asked of a model: signatures, and the tensors that they take and give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]
Method = Literal["predict", "classify", "regress"]

# The names of TensorFlow's types, as they are in requests for metadata.
TENSORFLOW_TYPES = {"string": "DT_STRING", "int64": "DT_INT64", "int32": "DT_INT32", "float32": "DT_FLOAT"}


@dataclass(frozen=True)
class Spec:
    """One tensor of a signature.

    Attributes:
        name: its name.
        dtype: `string`, `int64`, `int32` or `float32`.
        shape: its dimensions; None is any size, and the first of a batch.
        padding: what fills up a list that is shorter than others; None if lists of one batch must have one length.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    padding: Any = None

    @property
    def of_rows(self) -> bool:
        """Whether its first dimension is that of the batch."""
        return bool(self.shape) and self.shape[0] is None

    @property
    def type(self) -> Any:
        """The NumPy type of its arrays."""
        return object if self.dtype == "string" else np.dtype(self.dtype)


@dataclass(frozen=True)
class Signature:
    """One question that a model answers.

    Attributes:
        name: the signature's name.
        inputs: what it takes.
        outputs: what it gives.
        run: computes the outputs.
        method: which kind of request it serves.
        merges: whether rows of several requests may be answered in one call.
        defaults: the values of inputs that a request may leave out.
    """

    name: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    run: Callable[[Mapping[str, NDArray[Any]]], Tensors] = field(repr=False)
    method: Method = "predict"
    merges: bool = True
    defaults: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    def input(self, name: str) -> Spec | None:
        """The input of a name, None if there is none."""
        return next((spec for spec in self.inputs if spec.name == name), None)
