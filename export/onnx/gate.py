"""Checks what a converter does not guarantee by finishing without an error: the standard, inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import onnx

from export.onnx.interface import DOMAINS
from tfwd.errors import ExportError
from tfwd.recommend.top_k import ListMaker
from tfwd.schema import FINGERPRINT_SUFFIX, Schema
from tfwd.server.lists import ITEMS, LOGITS, PLACES, SCORES, TITLES


def refuse_nonstandard(file: Path) -> onnx.ModelProto:
    """Checks a file against the standard, and returns its graph.

    Raises:
        ExportError: it uses domains that are not standard.
    """
    onnx.checker.check_model(str(file))
    proto = onnx.load(str(file), load_external_data=False)
    strange = sorted({entry.domain for entry in (*proto.opset_import, *proto.graph.node)} - set(DOMAINS))
    if strange:
        raise ExportError(
            f"The converted graph uses the domains {strange}. Only the standard ones are portable: {DOMAINS}"
        )
    return proto


def check_whole(schema: Schema, file: Path, fingerprint_inputs: bool) -> None:
    """Checks the file of a whole model.

    Raises:
        ExportError: it is not standard, or has other inputs or outputs than the schema.
    """
    proto = refuse_nonstandard(file)
    inputs = [entry.name for entry in proto.graph.input]
    expected = [entry.name for entry in schema.inputs]
    if not fingerprint_inputs and inputs != expected:
        raise ExportError(f"The converted graph has the inputs {inputs}. Expected: {expected}")
    unknown = [
        name for name in inputs if name not in expected and name.removesuffix(FINGERPRINT_SUFFIX) not in expected
    ]
    outputs = tuple(entry.name for entry in proto.graph.output)
    if unknown or outputs != schema.answer_names:
        raise ExportError(
            f"The converted graph maps {inputs} to {outputs}. Expected: {expected} to {schema.answer_names}"
        )


def check_lists_graph(lists: ListMaker, file: Path) -> None:
    """Checks the file of lists.

    Raises:
        ExportError: it is not standard, or has other inputs or outputs than lists of the user's inputs.
    """
    proto = refuse_nonstandard(file)
    inputs, outputs = ([entry.name for entry in entries] for entries in (proto.graph.input, proto.graph.output))
    expected = [entry.name for entry in lists.scorer.user_inputs]
    given = {name.removesuffix(FINGERPRINT_SUFFIX) if name not in expected else name for name in inputs}
    titles = set() if lists.catalogue.titles is None else {TITLES}
    if given != {*expected, PLACES} or set(outputs) != {LOGITS, SCORES, ITEMS, *titles}:
        raise ExportError(
            f"The converted graph of lists maps {inputs} to {outputs}. Expected: {[*expected, PLACES]} to "
            f"{[LOGITS, SCORES, ITEMS, *titles]}"
        )
