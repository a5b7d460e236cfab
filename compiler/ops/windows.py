"""Sliding windows: kernel, strides, pads and dilations with every default made explicit."""

from __future__ import annotations

from dataclasses import dataclass

from spikec.compiler.connections import SumPool
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.ir import Attribute, Node
from spikec.compiler.populations import Shape

WINDOW_ATTRIBUTES: dict[str, Attribute | None] = {
    "kernel_shape": None,
    "strides": None,
    "pads": None,
    "dilations": None,
    "auto_pad": "NOTSET",
}
"""ONNX attributes of windows; without a default where it depends on the number of axes."""


@dataclass(frozen=True)
class Window:
    """How windows slide over the spatial axes.

    Attributes:
        kernel: Size per spatial axis.
        strides: Per spatial axis.
        pads: Cells before each spatial axis, then after each; those after include the cells by
            which a last, partial window hangs over (ceil_mode).
        dilations: Per spatial axis.
        overhang: The cells in ``pads`` that only ceil_mode added, per spatial axis.
    """

    kernel: Shape
    strides: Shape
    pads: Shape
    dilations: Shape
    overhang: Shape

    def sums(self) -> SumPool:
        """The factor that adds up each window."""
        return SumPool(self.kernel, self.strides, self.pads, self.dilations)


def ints(node: Node, name: str, default: Shape) -> Shape:
    """A tuple attribute of a node, or its default."""
    value = node.attrs.get(name, default)
    assert isinstance(value, tuple), (node.name, name)
    return tuple(int(length) for length in value)


def window(node: Node, spatial_shape: Shape) -> Window:
    """The windows of a convolution or pool over an operand of this spatial shape.

    auto_pad SAME_UPPER and SAME_LOWER pad so that there are ⌈size/stride⌉ windows; an odd cell
    goes after or before. With ceil_mode a last partial window counts if it starts inside the
    operand or its padding before (ONNX operators AveragePool and MaxPool).

    Raises:
        UnsupportedOpError: The attributes do not fit the number of spatial axes.
    """
    axes = len(spatial_shape)
    weights = node.params.get(1)
    kernel = ints(node, "kernel_shape", () if weights is None else weights.shape[2:])
    strides, dilations = ints(node, "strides", (1,) * axes), ints(node, "dilations", (1,) * axes)
    pads = ints(node, "pads", (0,) * 2 * axes)
    if {len(kernel), len(strides), len(dilations), len(pads) / 2} != {axes}:
        raise UnsupportedOpError(
            f"its windows have {len(kernel)} axes, its operand has {axes} spatial axes", node.where
        )
    extents = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    if node.attrs.get("auto_pad", "NOTSET") != "NOTSET":
        pads = _auto_pads(str(node.attrs["auto_pad"]), spatial_shape, extents, strides)
    overhang = (0,) * axes
    if node.attrs.get("ceil_mode", 0):
        padded = tuple(s + pads[i] + pads[axes + i] for i, s in enumerate(spatial_shape))
        starts = tuple(s + pads[i] for i, s in enumerate(spatial_shape))
        each = zip(padded, starts, extents, strides, strict=True)
        overhang = tuple(_overhang(p, first, extent, stride) for p, first, extent, stride in each)
    after = tuple(p + o for p, o in zip(pads[axes:], overhang, strict=True))
    return Window(kernel, strides, pads[:axes] + after, dilations, overhang)


def _auto_pads(mode: str, sizes: Shape, extents: Shape, strides: Shape) -> Shape:
    if mode == "VALID":
        return (0,) * 2 * len(sizes)
    totals = tuple(
        max((-(-size // stride) - 1) * stride + extent - size, 0)
        for size, extent, stride in zip(sizes, extents, strides, strict=True)
    )
    less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return less + more if mode == "SAME_UPPER" else more + less


def _overhang(padded: int, last_start: int, extent: int, stride: int) -> int:
    """Cells by which the last window hangs over; ``last_start``: it must start before this."""
    windows = -(-(padded - extent) // stride) + 1
    if (windows - 1) * stride >= last_start:
        windows -= 1
    return max((windows - 1) * stride + extent - padded, 0)
