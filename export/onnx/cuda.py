"""Which operations of a graph ONNX Runtime cannot run on an NVIDIA GPU, so that it runs them on the CPU.

Read in ONNX Runtime's list of kernels (docs/OperatorKernels.md, CUDAExecutionProvider, at commit 8f063305 of its
repository), for opset 18 and the types that the second half of a model computes with. No kernel takes strings.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import onnx

from tfwd.inference.onnx_split import bodies

_F, _H, _D, _I, _L, _B = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.BOOL,
)
_FLOATS = {_F, _H, _D}
_NUMBERS = _FLOATS | {_I, _L}
_ALL = _NUMBERS | {_B}
_BY_TYPES: list[tuple[set[int], str]] = [
    ({_B}, "And If Not Or Xor"),
    (
        _FLOATS,
        "BatchNormalization Ceil Cos Elu Erf Exp Floor Gemm HardSigmoid LayerNormalization LeakyRelu Log LogSoftmax "
        "MatMul PRelu Reciprocal Relu Round Selu Sigmoid Sin Softmax Softplus Softsign Sqrt Sum Tanh ThresholdedRelu",
    ),
    (
        _NUMBERS,
        "Abs Add CumSum Div Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Neg Pow ReduceMax ReduceMin "
        "ReduceSum Sign Sub Tile TopK Where",
    ),
    (
        _ALL,
        "Cast Concat Equal Expand Flatten Gather Identity Reshape Shape Slice Split Squeeze Transpose Unsqueeze",
    ),
    (_FLOATS | {_L}, "Clip"),
    ({_L}, "ConstantOfShape"),
    (_FLOATS | {_B}, "Pad"),
    ({_F, _D, _I, _L}, "Range"),
    (_FLOATS | {_I}, "ReduceMean"),
]
_KERNELS = {name: types for types, names in _BY_TYPES for name in names.split()}
# The input whose type decides, where it is not the first.
_DECISIVE = {"Where": 1}
# A node without inputs, which becomes an initializer.
_CONSTANT = "Constant"


def without_kernel(model: onnx.ModelProto) -> list[str]:
    """Returns the operations, with the type of their input, that have no kernel for a GPU; sorted, each once."""
    types = _types(onnx.shape_inference.infer_shapes(model).graph)
    found = set()
    for node in _nodes(model.graph):
        if node.op_type == _CONSTANT and not node.domain:
            continue
        place = _DECISIVE.get(node.op_type, 0)
        kind = types.get(node.input[place], onnx.TensorProto.UNDEFINED) if node.input else onnx.TensorProto.UNDEFINED
        if node.domain or kind not in _KERNELS.get(node.op_type, ()):
            found.add(f"{node.op_type} of {onnx.TensorProto.DataType.Name(kind).lower()}")
    return sorted(found)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for body in bodies(node):
            yield from _nodes(body)


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    """Returns the type of every value of a graph and of the bodies of its loops and branches."""
    values = itertools.chain(graph.input, graph.value_info, graph.output)
    found = {entry.name: entry.type.tensor_type.elem_type for entry in values}
    found |= {entry.name: entry.data_type for entry in graph.initializer}
    for node in graph.node:
        for body in bodies(node):
            found |= _types(body)
    return found
