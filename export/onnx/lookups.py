"""The lookups of a converted graph, with the model's vocabularies in place of stand-ins.

tf2onnx converts a lookup to a `CategoryMapper`, which few runtimes have. `LabelEncoder` does the same, and all runtimes
that read `ai.onnx.ml` know it.
"""

from __future__ import annotations

import onnx

from tfwd.errors import ExportError
from tfwd.layers.vocabulary_lookup import MISSING_ID, OOV_ID

_DOMAIN = "ai.onnx.ml"
_STAND_IN_ID = MISSING_ID + 1


def put_vocabularies(graph: onnx.GraphProto, vocabularies: dict[str, list[str]]) -> None:
    """Replaces each `CategoryMapper` of a stand-in by a `LabelEncoder` of the vocabulary that it stands for.

    Args:
        graph: the graph of a transform that `export.onnx.small_transform` made; it is changed.
        vocabularies: the vocabularies, by the single word of each stand-in.

    Raises:
        ExportError: a lookup is not of a stand-in.
    """
    for node in graph.node:
        if node.op_type != "CategoryMapper":
            continue
        attributes = {entry.name: entry for entry in node.attribute}
        values = (value.decode() for value in attributes["cats_strings"].strings)
        words = dict(zip(attributes["cats_int64s"].ints, values, strict=True))
        if len(words) != 2 or words.get(_STAND_IN_ID) not in vocabularies:
            raise ExportError(
                f"The converted graph has the lookup {node.name!r} of {words}, which is not in the model."
            )
        encoder = label_encoder([words[MISSING_ID], *vocabularies[words[_STAND_IN_ID]]])
        node.op_type = encoder.op_type
        del node.attribute[:]
        node.attribute.extend(encoder.attribute)


def label_encoder(words: list[str]) -> onnx.NodeProto:
    """Returns a lookup without inputs and outputs: int64 ids from `MISSING_ID` up for the words, else `OOV_ID`."""
    node = onnx.NodeProto(op_type="LabelEncoder", domain=_DOMAIN)
    # Built by hand, since `onnx.helper` checks the type of every word.
    node.attribute.add(name="keys_strings", type=onnx.AttributeProto.STRINGS).strings.extend(
        word.encode() for word in words
    )
    ids = range(MISSING_ID, MISSING_ID + len(words))
    node.attribute.add(name="values_int64s", type=onnx.AttributeProto.INTS).ints.extend(ids)
    node.attribute.add(name="default_int64", type=onnx.AttributeProto.INT, i=OOV_ID)
    return node
