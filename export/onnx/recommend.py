"""The file of lists beside an ONNX file: from a user's raw features to the scores of the items of a catalogue.

`tfwd.server.lists` answers with it what the signature `recommend` of a SavedModel answers. Inputs are the raw features
of one user, `(1,)` or `(1, K)`, and `catalogue/places`, int64 `(M,)`, positions in the catalogue; without it, or if it
is empty, all `N` items are scored. Outputs are their `catalogue/logits` and `catalogue/scores`, float32 `(M,)`, and the
constants `catalogue/items` and `catalogue/titles` `(N,)`. The metadata are those of the whole model, `tfwd_part`
(`recommend`) and `tfwd_catalogue`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from export.onnx import protobuf as wire
from export.onnx.catalogue_graph import convert_lists
from export.onnx.gate import check_lists_graph
from export.parity.answers import blocks, tables
from export.parity.lists import check_lists
from export.parity.small_ranker import rounded, small_ranker
from tfwd.errors import ExportError
from tfwd.inference.metadata import PREFIX
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.top_k import ListMaker
from tfwd.server.lists import CATALOGUE


class NoListsError(ExportError):
    """Lists that ONNX cannot compute, although it can compute the model."""


class ListsFile(NamedTuple):
    """What the file of lists is made of.

    Attributes:
        proto: the graph, with stand-ins of the tables and rounds.
        large: the initializers that it lacks, by name.
        lists: the model, with the tables that the file has, and the catalogue.
        facts: further metadata, `tfwd_catalogue`, without the prefix.
    """

    proto: onnx.ModelProto
    large: dict[str, Any]
    lists: ListMaker
    facts: dict[str, Any]

    @classmethod
    def of(cls, lists: ListMaker, k: int, fingerprint_inputs: bool, half_tables: bool) -> ListsFile:
        """Converts lists.

        Args:
            lists: the model and the catalogue.
            k: the length of a list by default.
            fingerprint_inputs: whether hashed features of the user enter as their fingerprints.
            half_tables: whether the tables are stored in half precision.

        Raises:
            NoListsError: ONNX cannot compute them.
        """
        if half_tables:
            lists = ListMaker(_rounded(lists.model), lists.features, lists.ranking, lists.catalogue)
        try:
            proto, large = convert_lists(lists, fingerprint_inputs)
        except ExportError as error:
            raise NoListsError(str(error)) from None
        catalogue = lists.catalogue
        facts = {"input": catalogue.input.name, "kind": catalogue.input.kind, "items": len(catalogue), "k": k}
        return cls(proto, large, lists, {CATALOGUE.removeprefix(PREFIX): facts})

    def streamed(self) -> Iterator[wire.Streamed]:
        """Yields the parts of the items and the tabulated crosses to stream."""
        for name, values in self.large.items():
            dtype = np.dtype(values.dtype.name).newbyteorder("<")
            head = onnx.TensorProto(
                name=name, data_type=onnx.helper.np_dtype_to_tensor_dtype(dtype), dims=tuple(values.shape)
            )
            yield wire.Streamed(head, math.prod(values.shape) * dtype.itemsize, _content(values, dtype))

    def check(self, file: Path, rows: Mapping[str, Any] | None) -> None:
        """Compares a file with the lists.

        Raises:
            ExportError: they differ.
        """
        check_lists_graph(self.lists, file)
        check_lists(self.lists, file, rows)


def _content(values: Any, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Yields the numbers of a tensor when they are written."""
    yield values.numpy().astype(dtype, copy=False).tobytes()


def _rounded(model: WideDeep) -> WideDeep:
    """Returns a copy of a model with tables in half precision."""
    whole = tables(model.ranker)
    ranker = small_ranker(model, lambda name: int(whole[name].shape[0]))
    for name, variable in tables(ranker).items():
        for start, rows in blocks(whole[name].value):
            variable.value[start : start + len(rows)].assign(rounded(rows))
    return WideDeep(model.transform, ranker, model.schema, model.layout, model.reading)
