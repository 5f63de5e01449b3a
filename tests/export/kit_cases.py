"""Models for the tests of the serving kits: small ONNX files, and folders of models of all kinds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = ("Sales", "Tech", "日本語")


def halves() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A transform, from strings, a list and numbers to ids, and a ranker, from ids to a probability.

    Named and shaped as those of `python -m export.onnx RUN --split`.
    """
    rows, length = "rows", "length"
    encoder = helper.make_node(
        "LabelEncoder",
        ["job"],
        ["job_id"],
        domain="ai.onnx.ml",
        keys_strings=list(WORDS),
        values_int64s=[2, 3, 4],
        default_int64=1,
    )
    listed = helper.make_node(
        "LabelEncoder",
        ["liked"],
        ["liked_ids"],
        domain="ai.onnx.ml",
        keys_strings=["", *WORDS],
        values_int64s=[0, 2, 3, 4],
        default_int64=1,
    )
    last = numpy_helper.from_array(np.array([-1], np.int64), "last")
    first = helper.make_graph(
        [
            encoder,
            listed,
            helper.make_node("Unsqueeze", ["job_id", "last"], ["job_column"]),
            helper.make_node("Concat", ["job_column", "liked_ids"], ["all_ids"], axis=1),
            helper.make_node("Cast", ["all_ids"], ["transform/wide_ids"], to=TensorProto.INT32),
            helper.make_node("IsNaN", ["age"], ["no_age"]),
            helper.make_node("Where", ["no_age", "zero", "age"], ["known_age"]),
            helper.make_node("Unsqueeze", ["known_age", "last"], ["transform/numeric"]),
            helper.make_node("Shape", ["job"], ["count"]),
            helper.make_node("Concat", ["count", "two"], ["shape"], axis=0),
            helper.make_node("Expand", ["names", "shape"], ["classes"]),
        ],
        "transform",
        [
            helper.make_tensor_value_info("job", TensorProto.STRING, [rows]),
            helper.make_tensor_value_info("liked", TensorProto.STRING, [rows, length]),
            helper.make_tensor_value_info("age", TensorProto.FLOAT, [rows]),
        ],
        [
            helper.make_tensor_value_info("transform/wide_ids", TensorProto.INT32, [rows, "places"]),
            helper.make_tensor_value_info("transform/numeric", TensorProto.FLOAT, [rows, 1]),
            helper.make_tensor_value_info("classes", TensorProto.STRING, [rows, 2]),
        ],
        [
            last,
            numpy_helper.from_array(np.array(0, np.float32), "zero"),
            numpy_helper.from_array(np.array([2], np.int64), "two"),
            numpy_helper.from_array(np.array([["no", "yes"]], object), "names"),
        ],
    )
    second = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "transform/wide_ids"], ["weights"]),
            helper.make_node("ReduceSum", ["weights", "axes"], ["wide"], keepdims=0),
            helper.make_node("MatMul", ["transform/numeric", "slope"], ["deep"]),
            helper.make_node("Add", ["wide", "deep"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
        ],
        "ranker",
        [
            helper.make_tensor_value_info("transform/wide_ids", TensorProto.INT32, [rows, "places"]),
            helper.make_tensor_value_info("transform/numeric", TensorProto.FLOAT, [rows, 1]),
        ],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, [rows]),
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, [rows]),
        ],
        [
            numpy_helper.from_array(np.array([0, 0.5, -1, 2, 0.25], np.float32), "table"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
            numpy_helper.from_array(np.array([0.01], np.float32), "slope"),
        ],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    models = tuple(helper.make_model(graph, opset_imports=imports, ir_version=10) for graph in (first, second))
    for model in models:
        onnx.checker.check_model(model)
    return models[0], models[1]


def write_halves(folder: Path) -> None:
    """Writes the two files and the whole into a version's folder."""
    folder.mkdir(parents=True)
    first, second = halves()
    names = [entry.name for entry in second.graph.input]
    whole = onnx.compose.merge_models(first, second, [(name, name) for name in names])
    for model, name in ((first, "model.transform"), (second, "model.ranker"), (whole, "model")):
        onnx.save(model, str(folder / f"{name}.onnx"))


def as_version(file: Path, folder: Path) -> None:
    """Copies an ONNX file, with the tables beside it, to a version's folder as `model.onnx`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, folder / "model.onnx")


def onnx_models(output: Path) -> None:
    """Writes a folder of models for `tests.hostile.triton`: of every task, with lists, and in two halves."""
    import bag_cases
    from export_models import everything, random_rows

    from export.onnx import writer

    for task in ("binary", "multiclass", "regression"):
        (output / task / "1").mkdir(parents=True)
        writer.save(everything(task), output / task / "1" / "model.onnx", rows=random_rows(200))
    (output / "bags" / "7").mkdir(parents=True)
    rows = bag_cases.arrays(bag_cases.rows(200, seed=1))
    writer.save(bag_cases.model(), output / "bags" / "7" / "model.onnx", rows=rows)
    write_halves(output / "halves" / "3")
