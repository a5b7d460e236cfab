"""Rows of the operators that carry weights: Conv, ConvTranspose, Gemm and MatMul by a constant."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from spikec.compiler.arrays import Int8
from spikec.compiler.connections import Conv, ConvTranspose, Dense
from spikec.compiler.errors import ShapeError, UnsupportedOpError
from spikec.compiler.ir import Node
from spikec.compiler.ops.base import Branch, Op, Role, Synapses
from spikec.compiler.ops.windows import WINDOW_ATTRIBUTES, ints, window
from spikec.compiler.populations import Shape

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators whose slot 1 holds weights, and slot 2, if given, a bias per output channel."""


def multiplications(nodes: Iterable[Node]) -> int:
    """Of one image forwards through some nodes, about."""
    return sum(
        math.prod(node.known_shape()[1:]) * int(np.size(node.params[1]))
        for node in nodes
        if node.op in WEIGHTED
    )


def groups(node: Node) -> int:
    """The attribute ``group``."""
    value = node.attrs.get("group", 1)
    assert isinstance(value, int), node.name
    return value


def _along(axis: int, values: range | list[int] | np.ndarray, ndim: int) -> np.ndarray:
    shape = [1] * ndim
    shape[axis] = -1
    return np.asarray(values, np.int64).reshape(shape)


def lower_conv(node: Node, _slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """One convolution; output channel o reads the channels of its group ⌊o·groups/O⌋."""
    weights, windows = node.params[1], window(node, shapes[0][1:])
    outputs, fan_in = weights.shape[:2]
    group = np.arange(outputs) // (outputs // groups(node))
    first = _along(0, group * fan_in, weights.ndim)

    def quantized(integers: Int8) -> Conv:
        return Conv(integers, windows.strides, windows.pads, windows.dilations, groups=groups(node))

    inputs = first + _along(1, range(fan_in), weights.ndim)
    rows = _along(0, range(outputs), weights.ndim)
    synapses = Synapses(weights, inputs, rows, quantized, node.name)
    return (Branch(factors=(synapses,)),)


def lower_conv_transpose(node: Node, _slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """One transposed convolution; input channel c writes the channels of its group ⌊c·groups/C⌋."""
    weights, windows = node.params[1], window(node, shapes[0][1:])
    channels, fan_out = weights.shape[:2]
    group = np.arange(channels) // (channels // groups(node))
    first = _along(0, group * fan_out, weights.ndim)
    extra = ints(node, "output_padding", (0,) * (weights.ndim - 2))

    def quantized(integers: Int8) -> ConvTranspose:
        return ConvTranspose(
            integers,
            windows.strides,
            windows.pads,
            extra,
            windows.dilations,
            groups=groups(node),
        )

    inputs = _along(0, range(channels), weights.ndim)
    outputs = first + _along(1, range(fan_out), weights.ndim)
    return (Branch(factors=(Synapses(weights, inputs, outputs, quantized, node.name),)),)


def lower_gemm(node: Node, _slot: int, _shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """One dense factor; the weights of a Gemm are (out, in), those of a MatMul (in, out)."""
    weights = node.params[1] if node.op == "Gemm" else node.params[1].T
    outputs, inputs = weights.shape
    rows, columns = np.arange(outputs)[:, None], np.arange(inputs)[None, :]
    synapses = Synapses(weights, columns, rows, Dense, node.name)
    return (Branch(factors=(synapses,)),)


def check_conv(node: Node, shapes: tuple[Shape, ...]) -> None:
    """Constant weights, one or two spatial axes, groups that divide the channels."""
    _check_constants(node, (2,))
    weights, axes = node.params[1], len(shapes[0]) - 1
    if axes not in (1, 2):
        raise UnsupportedOpError(
            f"its operand has {axes} spatial axes; 1 and 2 are supported",
            node.where,
            "use 1-D or 2-D convolutions" if axes > 2 else "",
        )
    count, channels = groups(node), shapes[0][0]
    expected = weights.shape[1] * count if node.op == "Conv" else weights.shape[0]
    if count < 1 or channels != expected or weights.shape[0] % count:
        raise ShapeError(
            f"its weights {weights.shape} in {count} groups do not fit {channels} channels",
            node.where,
        )
    if min(window(node, shapes[0][1:]).pads) < 0:
        raise UnsupportedOpError("its pads are negative", node.where, "cut with Slice before it")


def check_gemm(node: Node, shapes: tuple[Shape, ...]) -> None:
    """One activation with one axis besides the batch, times a constant matrix."""
    _check_constants(node, (2,))
    weights = node.params[1]
    if weights.ndim != 2 or len(shapes[0]) != 1:
        raise UnsupportedOpError(
            f"multiplies an operand of shape (batch, {shapes[0]}) by weights {weights.shape}",
            node.where,
            "insert a Flatten before it",
        )
    inputs = weights.shape[1] if node.op == "Gemm" else weights.shape[0]
    if inputs != shapes[0][0]:
        raise ShapeError(
            f"its weights {weights.shape} expect {inputs} inputs, its operand has {shapes[0][0]}",
            node.where,
        )
    canonical = node.attrs.get("alpha", 1.0) == node.attrs.get("beta", 1.0) == 1.0
    if node.op == "Gemm" and not (canonical and node.attrs.get("transB", 0)):
        raise UnsupportedOpError("its scale or transposition is not inside its weights", node.where)


def _check_constants(node: Node, optional: tuple[int, ...]) -> None:
    if 0 in node.params or 1 not in node.params or set(node.params) - {1, *optional}:
        raise UnsupportedOpError(
            "its weights and bias must be constants, its first operand an activation",
            node.where,
            "a product of two activations has no spiking form here",
        )


_CONV = {**WINDOW_ATTRIBUTES, "group": 1}

CONV = Op("Conv", Role.LINEAR, _CONV, lower=lower_conv, check=check_conv, since=11)
CONV_TRANSPOSE = Op(
    "ConvTranspose",
    Role.LINEAR,
    {**_CONV, "output_padding": None},
    lower=lower_conv_transpose,
    check=check_conv,
    since=11,
)
GEMM = Op(
    "Gemm",
    Role.LINEAR,
    {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
    lower=lower_gemm,
    check=check_gemm,
    since=11,
)
MATMUL = Op("MatMul", Role.LINEAR, {}, lower=lower_gemm, check=check_gemm, since=9)
