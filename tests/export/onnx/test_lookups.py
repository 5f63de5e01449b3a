"""Lookups of vocabularies in ONNX against Python's dict, in two runtimes; a file of 0.3.0, which has other ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx as onnx_format
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx
from export_models import WORDS
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from export.onnx import writer as onnx
from export.onnx.interface import OPSET
from export.onnx.lookups import label_encoder, put_vocabularies
from export.onnx.operations import CONVERTED
from export.onnx.small_transform import rounds, small_transform
from tfwd.errors import ExportError
from tfwd.inference.load import load_scorer
from tfwd.inference.onnx_split import split
from tfwd.model.wide_deep import WideDeep

OLD = Path(__file__).parent / "files" / "0.3.0.onnx"


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression", "wide", "deep"])
def test_a_file_has_what_other_runtimes_know(name: str, exports: dict[str, tuple[Path, Path]]) -> None:
    operations = {node.op_type for node in onnx_format.load(str(exports[name][1])).graph.node}
    assert "LabelEncoder" in operations
    assert not operations & {"CategoryMapper", "OneHot"}


@pytest.mark.parametrize("shape", [(0,), (5,), (0, 3), (4, 0), (4, 3)])
@pytest.mark.parametrize("reference", [False, True])
def test_a_lookup_is_a_dict(shape: tuple[int, ...], reference: bool) -> None:
    words = ["", *WORDS]
    node = label_encoder(words)
    node.input.append("x")
    node.output.append("y")
    values = [
        helper.make_tensor_value_info(n, k, [None] * len(shape))
        for n, k in (("x", TensorProto.STRING), ("y", TensorProto.INT64))
    ]
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 2)]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx_format.checker.check_model(model, full_check=True)
    random = np.random.default_rng(0)
    pool = [*words, "Plain", "unseen", "plain ", "nul", "nul\x00"]
    given = np.empty(int(np.prod(shape)), object)
    given[:] = [pool[i] for i in random.integers(len(pool), size=given.size)]
    session = ReferenceEvaluator(model) if reference else onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {"x": given.reshape(shape)})
    ids = {word: index for index, word in enumerate(words, 1)}
    assert found.dtype == np.int64
    assert found.shape == shape
    assert found.ravel().tolist() == [ids.get(word, 0) for word in given]


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_a_one_hot_is_tensorflows(axis: int, kind: str) -> None:
    """Negative ones and those beyond the end have no column, and no rows are no rows."""
    function = tf.function(lambda ids: tf.one_hot(ids, 4, axis=axis, on_value=2.0, off_value=-1.0))
    proto, _ = tf2onnx.convert.from_function(
        function,
        [tf.TensorSpec([None, 3], kind)],
        opset=OPSET,
        custom_op_handlers={op: (made, []) for op, made in CONVERTED.items()},
    )
    assert "OneHot" not in {node.op_type for node in proto.graph.node}
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for ids in (np.array([[0, 3, -1], [4, 1, -4]], kind), np.zeros((0, 3), kind)):
        (found,) = session.run(None, {session.get_inputs()[0].name: ids})
        expected = function(tf.constant(ids)).numpy()
        assert found.shape == expected.shape
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["int32", "int64", "float32", "uint8"])
@pytest.mark.parametrize("shape", [(0, 5), (3, 5), (2, 0, 4), (2, 3, 4), (5,)])
def test_the_largest_are_tensorflows(kind: str, shape: tuple[int, ...]) -> None:
    function = tf.function(lambda x: tf.math.top_k(x, 3))
    proto, _ = tf2onnx.convert.from_function(
        function,
        [tf.TensorSpec([None, *shape[1:]] if len(shape) > 1 else shape, kind)],
        opset=OPSET,
        custom_op_handlers={op: (made, []) for op, made in CONVERTED.items()},
    )
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    values = np.random.default_rng(1).integers(0, 5, shape).astype(kind)
    found = session.run(None, {session.get_inputs()[0].name: values})
    for received, expected in zip(found, function(tf.constant(values)), strict=True):
        assert received.dtype == expected.numpy().dtype
        assert received.tolist() == expected.numpy().tolist()


def test_a_file_of_version_0_3_0_answers_as_it_did() -> None:
    described = json.loads(OLD.with_suffix(".json").read_text(encoding="utf-8"))
    kinds = {"word": object, "user": np.int64, "liked": object, "age": np.float32}
    inputs = {name: np.array(values, kinds[name]) for name, values in described["inputs"].items()}
    found = load_scorer(OLD).score(inputs)
    for name, expected in described["answers"].items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)
    lookups, ids = split(onnx_format.load(str(OLD)), ["probability"])
    assert lookups is not None
    assert "CategoryMapper" in {node.op_type for node in lookups.graph.node}
    assert set(ids) == {"word", "user", "liked"}


def test_the_converter_sees_no_vocabulary(models: dict[str, WideDeep]) -> None:
    model = models["binary"]
    small, vocabularies = small_transform(model)
    assert sorted(map(len, vocabularies.values())) == [3, 6, len(WORDS)]
    for name, variable in rounds(small).items():
        assert variable.shape == (3,)
        assert rounds(model.transform)[name].shape[0] > 20
    # What is no vocabulary is as it was.
    assert {v.path: v.numpy().tolist() for v in small.variables if "cross" not in v.path} == {
        v.path: v.numpy().tolist() for v in model.transform.variables if "cross" not in v.path
    }


def test_a_lookup_of_another_model_is_refused() -> None:
    node = helper.make_node(
        "CategoryMapper",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        cats_strings=["", "a"],
        cats_int64s=[1, 2],
        default_int64=0,
    )
    with pytest.raises(ExportError, match="which is not in the model"):
        put_vocabularies(helper.make_graph([node], "g", [], []), {"b": ["c"]})


@pytest.mark.usefixtures("one_conversion")
def test_vocabularies_that_no_message_holds_are_refused(
    models: dict[str, WideDeep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "_MESSAGE_BYTES", 1000)
    with pytest.raises(ExportError, match=r"The vocabularies take .* min_count or max_size, or hash them"):
        onnx.save(models["wide"], tmp_path / "wide.onnx")
    assert not list(tmp_path.iterdir())
