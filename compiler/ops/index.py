"""Rows of the operators that only move values: each is a gather over the operand's positions."""

from __future__ import annotations

import math

import numpy as np

from spikec.compiler.arrays import Int32
from spikec.compiler.connections import Gather
from spikec.compiler.errors import ShapeError, UnsupportedOpError
from spikec.compiler.ir import Node
from spikec.compiler.ops.base import Branch, Op, Role
from spikec.compiler.ops.join import activation_slots
from spikec.compiler.populations import Shape


def _positions(shape: Shape) -> Int32:
    return np.arange(math.prod(shape), dtype=np.int32).reshape(shape)


def _gather(indices: np.ndarray) -> tuple[Branch, ...]:
    return (Branch(factors=(Gather(indices.astype(np.int32)),)),)


def lower_reshape(node: Node, _slot: int, _shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """The same values in the same order: Flatten, Reshape, Squeeze, Unsqueeze."""
    return _gather(_positions(node.known_shape()))


def lower_transpose(node: Node, _slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """Axes permuted."""
    return _gather(_positions(shapes[0]).transpose([axis - 1 for axis in _perm(node, shapes[0])]))


def _perm(node: Node, shape: Shape) -> Shape:
    given = node.attrs.get("perm", tuple(range(len(shape), -1, -1)))
    assert isinstance(given, tuple), node.name
    return tuple(int(axis) for axis in given[1:])


def lower_slice(node: Node, _slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """A part of each sliced axis, with its step."""
    starts, ends, axes, steps = (node.params[slot].tolist() for slot in (1, 2, 3, 4))
    cuts = [slice(None)] * len(shapes[0])
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # A step back to the very start ends before 0, which a Python slice calls None.
        backwards_to_start = step < 0 and end < -shapes[0][axis - 1]
        cuts[axis - 1] = slice(start, None if backwards_to_start else end, step)
    return _gather(_positions(shapes[0])[tuple(cuts)])


def lower_gather(node: Node, _slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """Chosen parts of one axis, in any order; negative numbers count from its end."""
    return _gather(np.take(_positions(shapes[0]), node.params[1], axis=_axis(node) - 1))


def lower_pad(node: Node, _slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """Silent cells around; a negative pad cuts."""
    pads = node.params[1].tolist()
    axes = len(pads) // 2
    before, after = pads[1:axes], pads[axes + 1 :]
    cuts = tuple(
        slice(max(-b, 0), size - max(-a, 0))
        for b, a, size in zip(before, after, shapes[0], strict=True)
    )
    widths = [(max(b, 0), max(a, 0)) for b, a in zip(before, after, strict=True)]
    return _gather(np.pad(_positions(shapes[0])[cuts], widths, constant_values=-1))


def lower_concat(node: Node, slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """The operand's block of the result; silence in the others."""
    axis, place = _axis(node) - 1, activation_slots(node, shapes).index(slot)
    lengths = [shape[axis] for shape in shapes]
    first = sum(lengths[:place])
    result = list(shapes[place])
    result[axis] = sum(lengths)
    indices = np.full(result, -1, np.int32)
    block = [slice(None)] * len(result)
    block[axis] = slice(first, first + lengths[place])
    indices[tuple(block)] = _positions(shapes[place])
    return _gather(indices)


def _axis(node: Node) -> int:
    axis = node.attrs.get("axis", 1)
    assert isinstance(axis, int), node.name
    return axis


def check_reshape(node: Node, shapes: tuple[Shape, ...]) -> None:
    """As many values before as after, within a sample."""
    result = node.known_shape()
    if math.prod(result) != math.prod(shapes[0]):
        raise ShapeError(
            f"turns a sample of shape {shapes[0]} into {result}: the batch axis would change",
            node.where,
            "export the network with a batch axis that stays the first one",
        )


def check_transpose(node: Node, shapes: tuple[Shape, ...]) -> None:
    """The batch axis stays the first."""
    perm = node.attrs.get("perm", tuple(range(len(shapes[0]), -1, -1)))
    if not isinstance(perm, tuple) or perm[0] != 0:
        raise UnsupportedOpError(
            f"moves the batch axis (perm {perm})", node.where, "keep the batch axis first"
        )


def check_slice(node: Node, _shapes: tuple[Shape, ...]) -> None:
    """Constant limits, none on the batch axis."""
    _check_constants(node, {1, 2, 3, 4})
    if 0 in node.params[3].tolist():
        raise UnsupportedOpError("slices the batch axis", node.where)


def check_pad(node: Node, _shapes: tuple[Shape, ...]) -> None:
    """Constant zeros around a sample."""
    _check_constants(node, {1, 2} if 2 in node.params else {1})
    mode = node.attrs.get("mode", "constant")
    value = float(node.params[2]) if 2 in node.params else 0.0
    if mode != "constant" or value != 0:
        raise UnsupportedOpError(
            f"pads with {f'the constant {value:g}' if mode == 'constant' else mode}",
            node.where,
            "pad with zeros",
        )
    pads = node.params[1]
    if pads[0] or pads[len(pads) // 2]:
        raise UnsupportedOpError("pads the batch axis", node.where)


def check_gather(node: Node, shapes: tuple[Shape, ...]) -> None:
    """A constant list of places on one axis of a sample, all of them within it."""
    _check_constants(node, {1})
    axis = node.attrs.get("axis", 0)
    assert isinstance(axis, int), node.name
    if axis < 1:
        raise UnsupportedOpError(f"gathers along axis {axis}", node.where, "keep the batch axis")
    length, places = shapes[0][axis - 1], node.params[1]
    if places.ndim != 1:
        raise UnsupportedOpError(f"its indices have {places.ndim} axes, not one", node.where)
    if places.size and not -length <= places.min() <= places.max() < length:
        raise ShapeError(
            f"reads places {places.min()} to {places.max()} of {length} on axis {axis}", node.where
        )


def check_concat(node: Node, _shapes: tuple[Shape, ...]) -> None:
    """Activations only, joined along an axis of a sample."""
    _check_constants(node, set())
    if _axis(node) < 1:
        raise UnsupportedOpError("joins along the batch axis", node.where)


def _check_constants(node: Node, slots: set[int]) -> None:
    if set(node.params) != slots:
        raise UnsupportedOpError(
            "must have one activation and otherwise constant operands"
            if slots
            else "must join activations",
            node.where,
            "a shape or limit that depends on the input has no spiking form",
        )


FLATTEN = Op(
    "Flatten", Role.INDEX_MAP, {"axis": 1}, lower=lower_reshape, check=check_reshape, since=11
)
RESHAPE = Op("Reshape", Role.INDEX_MAP, {}, lower=lower_reshape, check=check_reshape, since=14)
SQUEEZE = Op("Squeeze", Role.INDEX_MAP, {}, lower=lower_reshape, check=check_reshape, since=13)
UNSQUEEZE = Op("Unsqueeze", Role.INDEX_MAP, {}, lower=lower_reshape, check=check_reshape, since=13)
TRANSPOSE = Op(
    "Transpose", Role.INDEX_MAP, {"perm": None}, lower=lower_transpose, check=check_transpose
)
SLICE = Op("Slice", Role.INDEX_MAP, {}, lower=lower_slice, check=check_slice, since=13)
GATHER = Op("Gather", Role.INDEX_MAP, {"axis": 0}, lower=lower_gather, check=check_gather, since=13)
PAD = Op("Pad", Role.INDEX_MAP, {"mode": "constant"}, lower=lower_pad, check=check_pad, since=18)
CONCAT = Op("Concat", Role.INDEX_MAP, {"axis": None}, lower=lower_concat, check=check_concat)
