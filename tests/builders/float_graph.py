"""A canonical graph run in float64 by nothing but the rows of the op table."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikec.compiler.connections import (
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.ir import INPUT, Graph, Node
from spikec.compiler.ops import affine_of, op_of
from spikec.compiler.ops.base import Branch, Role, Synapses
from spikec.compiler.ops.windows import window
from spikec.compiler.program import TailOp

Floats = NDArray[np.float64]


def outputs_of(graph: Graph, inputs: NDArray[Any]) -> Floats:
    """The graph's output for every input, sample by sample."""
    return np.stack([_sample(graph, x.astype(np.float64)) for x in inputs])


def _sample(graph: Graph, x: Floats) -> Floats:
    values: dict[str, Floats] = {}
    for node in graph:
        operands = {slot: values[name] for slot, name in graph.operands(node.name).items()}
        values[node.name] = x if node.op == INPUT else _node(node, operands)
        assert values[node.name].shape == node.shape, (node.name, values[node.name].shape)
    return values[graph.output]


def _node(node: Node, operands: dict[int, Floats]) -> Floats:
    op, shapes = op_of(node), tuple(value.shape for value in operands.values())
    affine = affine_of(node, shapes)
    if affine is not None:
        return np.asarray(affine.gain * next(iter(operands.values())) + affine.offset)
    match op.role:
        case Role.LINEAR | Role.INDEX_MAP:
            assert op.lower is not None
            branches = [
                (branch, value)
                for slot, value in operands.items()
                for branch in op.lower(node, slot, shapes)
            ]
            total: Floats = sum((apply_branch(b, v) for b, v in branches), np.zeros(()))
            return total + _bias(node, total)
        case Role.NEURON:
            return _neuron(node, operands[0])
        case Role.TAIL:
            assert op.tail is not None
            return _tail(op.tail(node), operands[0])
        case _:
            return operands[0]


def _bias(node: Node, total: Floats) -> Floats | float:
    if node.op not in ("Conv", "ConvTranspose", "Gemm") or 2 not in node.params:
        return 0.0
    return node.params[2].astype(np.float64).reshape(-1, *[1] * (total.ndim - 1))


def _neuron(node: Node, x: Floats) -> Floats:
    neuron = op_of(node).neuron
    assert neuron is not None
    if neuron(node).kind == "adafire":
        ceiling = neuron(node).ceiling
        return np.clip(x, 0, np.inf if ceiling is None else ceiling)
    w = window(node, x.shape[1:])
    return _windows(x, w.kernel, (w.strides, w.pads, w.dilations), -np.inf).max(
        axis=tuple(range(-len(w.kernel), 0))
    )


def _tail(tail: TailOp, x: Floats) -> Floats:
    match tail.op:
        case "Sigmoid":
            return 1 / (1 + np.exp(-x))
        case "ArgMax":
            return x.argmax(tail.axis, keepdims=tail.keepdims).astype(np.float64)
        case _:
            scores = np.exp(x - x.max(tail.axis, keepdims=True))
            soft = scores / scores.sum(tail.axis, keepdims=True)
            return np.log(soft) if tail.op == "LogSoftmax" else soft


def apply_branch(branch: Branch, x: Floats) -> Floats:
    """gain · factors(x)."""
    for factor in branch.factors:
        if isinstance(factor, Synapses):
            structure = factor.quantized(np.zeros(factor.weights.shape, np.int8))
            x = apply_factor(structure, x, factor.weights)
        else:
            x = apply_factor(factor, x, np.zeros(()))
    return branch.gain * x


def apply_factor(factor: Factor, x: Floats, weights: Floats) -> Floats:
    """A factor on floats; ``weights`` stand in for its integers."""
    match factor:
        case Dense():
            return weights @ x.reshape(-1)
        case Identity():
            return x * weights.reshape(-1, *[1] * (x.ndim - 1))
        case GlobalSum():
            return x.sum(axis=tuple(range(1, x.ndim)), keepdims=True)
        case Gather(indices):
            return np.where(indices < 0, 0.0, x.reshape(-1)[indices])
        case SumPool(kernel, strides, pads, dilations):
            windows = _windows(x, kernel, (strides, pads, dilations), 0.0)
            return windows.sum(axis=tuple(range(-len(kernel), 0)))
        case Conv():
            return _conv(factor, x, weights)
        case ConvTranspose():
            return _conv_transpose(factor, x, weights)


def _windows(x: Floats, kernel: Any, how: Any, fill: float) -> Floats:
    """(C, *out, *kernel): the cells of every window."""
    strides, pads, dilations = how
    axes = len(kernel)
    widths = [(0, 0), *zip(pads[:axes], pads[axes:], strict=True)]
    padded = np.pad(x, widths, constant_values=fill)
    extents = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    axes_moved = tuple(range(1, axes + 1))
    view = np.lib.stride_tricks.sliding_window_view(padded, extents, axis=axes_moved)
    steps = (slice(None), *(slice(None, None, s) for s in strides))
    inside = tuple(slice(None, None, d) for d in dilations)
    return view[(*steps, *inside)]


def _conv(factor: Conv, x: Floats, weights: Floats) -> Floats:
    kernel = weights.shape[2:]
    windows = _windows(x, kernel, (factor.strides, factor.pads, factor.dilations), 0.0)
    parts = zip(np.split(windows, factor.groups), np.split(weights, factor.groups), strict=True)
    letters = "hw"[: len(kernel)], "kl"[: len(kernel)]
    rule = f"c{letters[0]}{letters[1]},oc{letters[1]}->o{letters[0]}"
    return np.concatenate([np.einsum(rule, cells, w) for cells, w in parts])


def _conv_transpose(factor: ConvTranspose, x: Floats, weights: Floats) -> Floats:
    axes = range(x.ndim - 1)
    full = [
        (x.shape[1 + a] - 1) * factor.strides[a]
        + (weights.shape[2 + a] - 1) * factor.dilations[a]
        + 1
        + factor.output_padding[a]
        for a in axes
    ]
    width = weights.shape[1]
    result = np.zeros((width * factor.groups, *full))
    size = x.shape[0] // factor.groups
    for c, *cell in itertools.product(*map(range, x.shape)):
        first = c // size * width
        for tap in itertools.product(*map(range, weights.shape[2:])):
            place = tuple(cell[a] * factor.strides[a] + tap[a] * factor.dilations[a] for a in axes)
            index = (slice(first, first + width), *place)
            result[index] += x[(c, *cell)] * weights[(c, slice(None), *tap)]
    kept = tuple(slice(factor.pads[a], full[a] - factor.pads[len(axes) + a]) for a in axes)
    return result[(slice(None), *kept)]
