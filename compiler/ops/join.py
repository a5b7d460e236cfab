"""Rows of the operators that add: Add, Sub and Sum, of activations or with constants."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.connections import Gather
from spikec.compiler.errors import ShapeError, UnsupportedOpError
from spikec.compiler.ir import Node
from spikec.compiler.ops.base import Affine, Branch, Op, Role
from spikec.compiler.populations import Shape


def activation_slots(node: Node, shapes: tuple[Shape, ...]) -> tuple[int, ...]:
    """The operand slots that are no constants, in the order of ``shapes``."""
    slots = range(len(shapes) + len(node.params))
    return tuple(slot for slot in slots if slot not in node.params)


def constant(node: Node, slot: int, shape: Shape) -> Float64:
    """A constant operand for an activation of ``shape``: its batch axis, if any, taken off.

    Raises:
        ShapeError: The constant has its own batch of several samples.
        UnsupportedOpError: It would change the shape of the activation.
    """
    values = np.asarray(node.params[slot], np.float64)
    if values.ndim == len(shape) + 1:
        if values.shape[0] != 1:
            raise ShapeError(
                f"its constant {values.shape} has a batch of {values.shape[0]}",
                node.where,
                "export the network with batch size 1 or a dynamic one",
            )
        values = values[0]
    if values.ndim > len(shape) or any(
        length not in (1, own) for length, own in zip(values.shape[::-1], shape[::-1], strict=False)
    ):
        raise UnsupportedOpError(
            f"its constant {node.params[slot].shape} does not broadcast to (batch, {shape})",
            node.where,
            "expand the activation explicitly, or give the constant its shape",
        )
    return values


def lower_sum(node: Node, slot: int, shapes: tuple[Shape, ...]) -> tuple[Branch, ...]:
    """The operand itself, expanded where it broadcasts; negative for the second one of a Sub."""
    shape = shapes[activation_slots(node, shapes).index(slot)]
    result = np.broadcast_shapes(*shapes)
    gain = -1.0 if node.op == "Sub" and slot == 1 else 1.0
    if shape == result:
        return (Branch(gain),)
    positions = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    return (Branch(gain, (Gather(np.broadcast_to(positions, result)),)),)


def affine_sum(node: Node, shape: Shape) -> Affine:
    """The activation and a constant: x + c, x − c or c − x."""
    (slot,) = node.params
    offset = constant(node, slot, shape)
    if node.op == "Sub" and slot == 1:
        return Affine(np.asarray(1.0), -offset)
    return Affine(np.asarray(-1.0 if node.op == "Sub" else 1.0), offset)


def check_sum(node: Node, shapes: tuple[Shape, ...]) -> None:
    """Activations of as many axes, or one activation and a constant that fits it."""
    if len(shapes) == 1 and node.params:
        constant(node, next(iter(node.params)), shapes[0])
    if len({len(shape) for shape in shapes}) > 1:
        raise UnsupportedOpError(
            f"adds shapes {' and '.join(str(shape) for shape in shapes)} (without batch axis), "
            "whose batch axes do not meet",
            node.where,
            "reshape one of them",
        )


ADD = Op("Add", Role.LINEAR, {}, lower=lower_sum, affine=affine_sum, check=check_sum, since=7)
SUB = Op("Sub", Role.LINEAR, {}, lower=lower_sum, affine=affine_sum, check=check_sum, since=7)
SUM = Op("Sum", Role.LINEAR, {}, lower=lower_sum, check=check_sum, since=8)
