"""The operators of the op table in torch, so that gradients can pass them.

Index maps run as the gathers that the op table lowers them to; windows are padded first, so that
every auto_pad, ceil_mode and asymmetric padding has one form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from spikec.compiler.connections import Gather
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.ir import Node
from spikec.compiler.ops import affine_of, op_of
from spikec.compiler.ops.base import Role
from spikec.compiler.ops.linear import groups
from spikec.compiler.ops.windows import window
from spikec.compiler.populations import Shape

if TYPE_CHECKING:
    from torch import Tensor

Operands = Mapping[int, "Tensor"]
"""By slot: activations (N, …), and weights and biases as they now are; those of a MatMul as of a
Gemm, outputs first."""

Operation = Callable[[Operands], "Tensor"]

_RESHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_JOINS = ("Add", "Sub", "Sum")


def operation(node: Node, shapes: tuple[Shape, ...]) -> Operation:
    """What a node computes.

    Args:
        node: Any but the input.
        shapes: Of its operands that are no constants, in slot order, without batch axis.

    Raises:
        UnsupportedOpError: It has no form in torch here; names the node.
    """
    if affine_of(node, shapes) is not None:
        return _affine(node, shapes)
    if node.op in _RESHAPES:
        return _reshape(node)
    if op_of(node).role is Role.INDEX_MAP:
        return _gather(node, shapes)
    if node.op in _JOINS:
        return _join(node)
    if node.op in _BUILDERS:
        return _BUILDERS[node.op](node, shapes)
    raise UnsupportedOpError(
        "weight_calibration 'gradient' cannot pass this operator",
        node.where,
        "choose weight_calibration 'fit'",
    )


def _affine(node: Node, shapes: tuple[Shape, ...]) -> Operation:
    import torch

    affine = affine_of(node, shapes)
    assert affine is not None
    gain = torch.tensor(affine.gain, dtype=torch.float32)
    offset = torch.tensor(affine.offset, dtype=torch.float32)
    return lambda operands: _only(operands, node) * gain + offset


def _only(operands: Operands, node: Node) -> Tensor:
    (slot,) = set(operands) - set(node.params)
    return operands[slot]


def _reshape(node: Node) -> Operation:
    shape = node.known_shape()
    return lambda operands: operands[0].reshape(-1, *shape)


def _gather(node: Node, shapes: tuple[Shape, ...]) -> Operation:
    import torch

    lower = op_of(node).lower
    assert lower is not None
    slots = [slot for slot in range(len(shapes) + len(node.params)) if slot not in node.params]
    indices = {}
    for slot in slots:
        ((factor,),) = (branch.factors for branch in lower(node, slot, shapes))
        assert isinstance(factor, Gather)
        last = int(np.prod(shapes[slots.index(slot)]))
        flat = factor.indices.astype(np.int64).ravel()
        indices[slot] = torch.from_numpy(np.where(flat < 0, last, flat))

    def apply(operands: Operands) -> Tensor:
        parts = [
            torch.nn.functional.pad(operands[slot].flatten(1), (0, 1)).index_select(1, index)
            for slot, index in indices.items()
        ]
        return torch.stack(parts).sum(0).reshape(-1, *node.known_shape())

    return apply


def _join(node: Node) -> Operation:
    def apply(operands: Operands) -> Tensor:
        first, *others = (operands[slot] for slot in sorted(operands))
        for other in others:
            first = first - other if node.op == "Sub" else first + other
        return first

    return apply


def _pads(before_and_after: Shape) -> list[int]:
    """The pads of ONNX (all before, then all after) as torch wants them: last axis first."""
    axes = len(before_and_after) // 2
    pairs = zip(before_and_after[:axes], before_and_after[axes:], strict=True)
    return [pad for pair in reversed(list(pairs)) for pad in pair]


def _conv(node: Node, shapes: tuple[Shape, ...]) -> Operation:
    from torch.nn import functional

    spatial = shapes[0][1:]
    windows, run = window(node, spatial), (functional.conv1d, functional.conv2d)[len(spatial) - 1]
    axes, inside = len(spatial), windows.pads[: len(spatial)]
    symmetric = inside == windows.pads[axes:]

    def apply(operands: Operands) -> Tensor:
        x = operands[0] if symmetric else functional.pad(operands[0], _pads(windows.pads))
        padding = inside if symmetric else (0,) * axes
        how = (windows.strides, padding, windows.dilations, groups(node))
        return run(x, operands[1], operands.get(2), *how)

    return apply


def _conv_transpose(node: Node, shapes: tuple[Shape, ...]) -> Operation:
    from torch.nn import functional

    spatial, result = shapes[0][1:], node.known_shape()[1:]
    windows = window(node, spatial)
    run = (functional.conv_transpose1d, functional.conv_transpose2d)[len(spatial) - 1]

    def apply(operands: Operands) -> Tensor:
        how = (windows.strides, 0, 0, groups(node), windows.dilations)
        full = run(operands[0], operands[1], None, *how)
        before = windows.pads[: len(spatial)]
        sizes = zip(result, full.shape[2:], before, strict=True)
        after = tuple(size - (whole - pad) for size, whole, pad in sizes)
        cut = functional.pad(full, _pads((*(-pad for pad in before), *after)))
        bias = operands.get(2)
        return cut if bias is None else cut + bias.reshape(-1, *[1] * len(spatial))

    return apply


def _gemm(_node: Node, _shapes: tuple[Shape, ...]) -> Operation:
    from torch.nn import functional

    return lambda operands: functional.linear(operands[0], operands[1], operands.get(2))


def _average_pool(node: Node, shapes: tuple[Shape, ...]) -> Operation:
    import torch
    from torch.nn import functional

    (channels, *spatial), axes = shapes[0], len(shapes[0]) - 1
    windows = window(node, tuple(spatial))
    run = (functional.conv1d, functional.conv2d)[axes - 1]
    ones = torch.ones(channels, 1, *windows.kernel)
    steps = (windows.strides, 0, windows.dilations)
    own = tuple(
        pad - extra for pad, extra in zip(windows.pads[axes:], windows.overhang, strict=True)
    )
    inside = float(bool(node.attrs.get("count_include_pad", 0)))
    cells = functional.pad(
        torch.ones(1, 1, *spatial), _pads((*windows.pads[:axes], *own)), value=inside
    )
    cells = functional.pad(cells, _pads((*(0,) * axes, *windows.overhang)))
    divisors = run(cells, ones[:1], None, *steps).clamp(min=1)

    def apply(operands: Operands) -> Tensor:
        padded = functional.pad(operands[0], _pads(windows.pads))
        return run(padded, ones, None, *steps, channels) / divisors

    return apply


def _max_pool(node: Node, shapes: tuple[Shape, ...]) -> Operation:
    from torch.nn import functional

    axes = len(shapes[0]) - 1
    windows = window(node, shapes[0][1:])
    run = (functional.max_pool1d, functional.max_pool2d)[axes - 1]

    def apply(operands: Operands) -> Tensor:
        padded = functional.pad(operands[0], _pads(windows.pads), value=float("-inf"))
        return run(padded, windows.kernel, windows.strides, 0, windows.dilations)

    return apply


def _global_average(node: Node, shapes: tuple[Shape, ...]) -> Operation:
    axes = tuple(range(2, len(shapes[0]) + 1))
    keep = bool(node.attrs.get("keepdims", 1))
    return lambda operands: operands[0].mean(dim=axes, keepdim=keep)


def _activation(node: Node, _shapes: tuple[Shape, ...]) -> Operation:
    ceiling = float(node.params[2]) if 2 in node.params else None
    return lambda operands: operands[0].clamp(0, ceiling)


def _unchanged(_node: Node, _shapes: tuple[Shape, ...]) -> Operation:
    return lambda operands: operands[0]


_BUILDERS: Mapping[str, Callable[[Node, tuple[Shape, ...]], Operation]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _gemm,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average,
    "ReduceMean": _global_average,
    "MaxPool": _max_pool,
    "Relu": _activation,
    "Clip": _activation,
    "Identity": _unchanged,
    "Dropout": _unchanged,
}
