"""Rows of the operators that the host runs on the mean output, behind the read-out."""

from __future__ import annotations

from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.ir import Node
from spikec.compiler.ops.base import Op, Role
from spikec.compiler.populations import Shape
from spikec.compiler.program import TailOp


def along_axis(node: Node) -> TailOp:
    """The same operator; its axis counted without the batch axis."""
    axis = node.attrs.get("axis", 1)
    assert isinstance(axis, int), node.name
    keep = node.op == "ArgMax" and bool(node.attrs.get("keepdims", 1))
    return TailOp(node.op, axis=axis - 1, keepdims=keep)


def elementwise(node: Node) -> TailOp:
    """The same operator."""
    return TailOp(node.op)


def check_axis(node: Node, _shapes: tuple[Shape, ...]) -> None:
    """Not along the batch; the first of equal maxima."""
    axis = node.attrs.get("axis", 1)
    if not isinstance(axis, int) or axis < 1:
        raise UnsupportedOpError("runs along the batch axis", node.where)
    if node.attrs.get("select_last_index", 0):
        raise UnsupportedOpError("selects the last of equal maxima", node.where, "select the first")


SOFTMAX = Op("Softmax", Role.TAIL, {"axis": -1}, tail=along_axis, check=check_axis, since=13)
LOG_SOFTMAX = Op("LogSoftmax", Role.TAIL, {"axis": -1}, tail=along_axis, check=check_axis, since=13)
SIGMOID = Op("Sigmoid", Role.TAIL, {}, tail=elementwise)
ARG_MAX = Op(
    "ArgMax",
    Role.TAIL,
    {"axis": 0, "keepdims": 1, "select_last_index": 0},
    tail=along_axis,
    check=check_axis,
    since=13,
)
