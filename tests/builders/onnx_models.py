"""Small ONNX models, each written down as one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Operand = str | NDArray[Any] | None


def floats(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Normally distributed float32 values."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def node(op: str, operands: Sequence[str], output: str, **attrs: Any) -> onnx.NodeProto:
    """One node, called like its output."""
    return helper.make_node(op, operands, [output], name=output, **attrs)


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    constants: Mapping[str, NDArray[Any]] | None = None,
    *,
    opset: int = 17,
    batch: int | str = "N",
    outputs: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model with the input 'x' of one sample's ``shape``; by default the last node's output."""
    wanted = outputs or nodes[-1].output[:1]
    kinds = {n.output[0]: TensorProto.INT64 for n in nodes if n.op_type == "ArgMax"}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, *shape))],
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None)
            for name in wanted
        ],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def single(
    op: str,
    shape: Sequence[int | str],
    operands: Sequence[Operand] = ("x",),
    *,
    opset: int = 17,
    batch: int | str = "N",
    **attrs: Any,
) -> onnx.ModelProto:
    """A model with one node 'y'; operands are 'x', constants, or None for one left out."""
    names, constants = [], {}
    for slot, operand in enumerate(operands):
        if isinstance(operand, np.ndarray | np.generic):
            constants[f"c{slot}"] = np.asarray(operand)
            names.append(f"c{slot}")
        else:
            names.append(operand or "")
    return model([node(op, names, "y", **attrs)], shape, constants, opset=opset, batch=batch)


def small_cnn(*, seed: int = 0, opset: int = 13) -> onnx.ModelProto:
    """Conv, BatchNormalization, Relu, AveragePool, Flatten, Gemm on (2, 8, 8) samples."""
    constants = {
        "w": floats(4, 2, 3, 3, seed=seed),
        "b": floats(4, seed=seed + 1),
        "scale": floats(4, seed=seed + 2),
        "shift": floats(4, seed=seed + 3),
        "mean": floats(4, seed=seed + 4),
        "variance": floats(4, seed=seed + 5) ** 2 + 0.5,
        "v": floats(5, 64, seed=seed + 6),
        "c": floats(5, seed=seed + 7),
    }
    nodes = [
        node("Conv", ("x", "w", "b"), "conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ("conv", "scale", "shift", "mean", "variance"), "bn"),
        node("Relu", ("bn",), "relu"),
        node("AveragePool", ("relu",), "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ("pool",), "flat"),
        node("Gemm", ("flat", "v", "c"), "logits", transB=1),
    ]
    return model(nodes, (2, 8, 8), constants, opset=opset)
