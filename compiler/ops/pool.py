"""Rows of the pools: averages are sums of windows, a maximum is a population."""

from __future__ import annotations

import math

import numpy as np

from spikec.compiler.arrays import Int64
from spikec.compiler.connections import Gather, GlobalSum
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.ir import Neuron, Node
from spikec.compiler.ops.base import Branch, Op, Role
from spikec.compiler.ops.windows import WINDOW_ATTRIBUTES, Window, window
from spikec.compiler.populations import Shape


def lower_average_pool(node: Node, _slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """Σ window / divisor: one branch per divisor, each keeping the positions that have it."""
    (channels, *spatial) = shapes[0]
    windows = window(node, tuple(spatial))
    divisors = _divisors(windows, tuple(spatial), bool(node.attrs.get("count_include_pad", 0)))
    values = [int(value) for value in np.unique(divisors) if value]
    if len(values) == 1 and divisors.all():
        return (Branch(1 / values[0], (windows.sums(),)),)
    shape = (channels, *divisors.shape)
    positions = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    return tuple(
        Branch(1 / value, (windows.sums(), Gather(np.where(divisors == value, positions, -1))))
        for value in values
    )


def _divisors(windows: Window, spatial: Shape, include_pads: bool) -> Int64:
    """How many cells each window counts, an int64 array of the output's spatial shape."""
    total = np.ones((), np.int64)
    axes = len(spatial)
    for axis, size in enumerate(spatial):
        before, after = windows.pads[axis], windows.pads[axes + axis]
        kernel, stride, dilation = (
            windows.kernel[axis],
            windows.strides[axis],
            windows.dilations[axis],
        )
        count = (size + before + after - (kernel - 1) * dilation - 1) // stride + 1
        first = np.arange(count)[:, None] * stride - before
        cells = first + np.arange(kernel) * dilation
        low, high = (-before, size + after - windows.overhang[axis]) if include_pads else (0, size)
        total = np.multiply.outer(total, ((cells >= low) & (cells < high)).sum(axis=1))
    return total


def lower_global_average(node: Node, _slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """The sum over all spatial axes, divided by their size."""
    (channels, *spatial) = shapes[0]
    gain = 1 / math.prod(spatial)
    if node.op == "ReduceMean" and not node.attrs.get("keepdims", 1):
        return (Branch(gain, (GlobalSum(), Gather(np.arange(channels, dtype=np.int32)))),)
    return (Branch(gain, (GlobalSum(),)),)


def check_window(node: Node, shapes: tuple[Shape, ...]) -> None:
    """One or two spatial axes, and padding that is not negative."""
    if len(shapes[0]) not in (2, 3):
        raise UnsupportedOpError(
            f"its operand has {len(shapes[0]) - 1} spatial axes; 1 and 2 are supported",
            node.where,
        )
    if min(window(node, shapes[0][1:]).pads) < 0:
        raise UnsupportedOpError("its pads are negative", node.where, "cut with Slice before it")


def check_spatial(node: Node, shapes: tuple[Shape, ...]) -> None:
    """At least one spatial axis; a ReduceMean is over exactly these."""
    axes = tuple(range(2, len(shapes[0]) + 1))
    over = tuple(int(axis) for axis in node.params[1]) if 1 in node.params else axes
    if not axes or sorted(over) != list(axes):
        raise UnsupportedOpError(
            f"takes the mean over axes {over} of a (batch, {shapes[0]}) tensor; "
            f"only the mean over all spatial axes {axes} is supported",
            node.where,
            "use global average pooling",
        )


def max_pool(_node: Node) -> Neuron:
    """A population of running maxima."""
    return Neuron("max_pool")


_POOL = {**WINDOW_ATTRIBUTES, "ceil_mode": 0}

AVERAGE_POOL = Op(
    "AveragePool",
    Role.LINEAR,
    {**_POOL, "count_include_pad": 0},
    lower=lower_average_pool,
    check=check_window,
    since=19,
)
GLOBAL_AVERAGE_POOL = Op(
    "GlobalAveragePool", Role.LINEAR, {}, lower=lower_global_average, check=check_spatial
)
REDUCE_MEAN = Op(
    "ReduceMean",
    Role.LINEAR,
    {"keepdims": 1, "noop_with_empty_axes": 0},
    lower=lower_global_average,
    check=check_spatial,
    since=18,
)
MAX_POOL = Op("MaxPool", Role.NEURON, _POOL, neuron=max_pool, check=check_window, since=12)
