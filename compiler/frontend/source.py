"""Source: one ONNX node as the file has it, with its constants evaluated and its shapes known."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikec.compiler.arrays import Array
from spikec.compiler.errors import CompileError, ShapeError, UnsupportedOpError, Where
from spikec.compiler.ir import Attribute
from spikec.compiler.populations import Shape

Operand = str | Array | None
"""An activation by name, a constant, or nothing in an optional place."""


@dataclass(frozen=True, eq=False)
class Source:
    """A node that depends on the input.

    Attributes:
        name: Unique in the model.
        op: ONNX operator type.
        opset: Version of the operators in the file.
        attrs: As given; attributes that are tensors or graphs are left out.
        operands: In ONNX order.
        shapes: Per operand, with batch axis; None for constants and where unknown.
        outputs: Names of the values that it makes; empty for one that it leaves out.
        shape: Of the first output, with batch axis; None if unknown.
        elem_type: ONNX element type of the first output; 0 if unknown.
        problem: What shape inference found wrong with the node.
        foreign: Whether its operator is of another domain than ONNX's own.
    """

    name: str
    op: str
    opset: int
    attrs: dict[str, Attribute] = field(default_factory=dict)
    operands: tuple[Operand, ...] = ()
    shapes: tuple[Shape | None, ...] = ()
    outputs: tuple[str, ...] = ()
    shape: Shape | None = None
    elem_type: int = 0
    problem: CompileError | None = None
    foreign: bool = False

    @property
    def where(self) -> Where:
        """For errors."""
        return Where(self.name, self.op)

    def operand(self, slot: int) -> Operand:
        """An operand; None also beyond the last one."""
        return self.operands[slot] if slot < len(self.operands) else None

    def constant(self, slot: int) -> Array | None:
        """A constant operand; None if it is absent.

        Raises:
            UnsupportedOpError: It depends on the input.
        """
        value = self.operand(slot)
        if isinstance(value, str):
            raise UnsupportedOpError(
                f"its operand {slot} depends on the input; it must be a constant",
                self.where,
                "products of activations, and shapes that depend on values, have no spiking form",
            )
        return value

    def activation(self, slot: int = 0) -> str:
        """An operand that depends on the input.

        Raises:
            UnsupportedOpError: It is a constant, or absent.
        """
        value = self.operand(slot)
        if not isinstance(value, str):
            raise UnsupportedOpError(f"its operand {slot} must be an activation", self.where)
        return value

    def integers(self, slot: int, attribute: str) -> tuple[int, ...] | None:
        """Integers that older opsets state as an attribute and newer ones as an operand."""
        given = self.attrs.get(attribute)
        if given is not None:
            return tuple(int(v) for v in given) if isinstance(given, tuple) else (int(given),)
        values = self.constant(slot)
        return None if values is None else tuple(int(v) for v in values.reshape(-1))

    def integer(self, attribute: str, default: int) -> int:
        """An integer attribute."""
        return int(self.attrs.get(attribute, default))  # type: ignore[arg-type]

    def number(self, attribute: str, default: float) -> float:
        """A float attribute."""
        return float(self.attrs.get(attribute, default))  # type: ignore[arg-type]

    def shape_of(self, slot: int = 0) -> Shape:
        """Shape of an activation operand, with batch axis; errors as for ``activation``."""
        self.activation(slot)
        shape = self.shapes[slot]
        assert shape is not None, self.name  # the caller has refused nodes of unknown shape
        return shape

    def result(self) -> Shape:
        """Shape of the first output, with batch axis."""
        assert self.shape is not None, self.name
        return self.shape

    def axis(self, axis: int, rank: int | None = None) -> int:
        """An axis counted from the front.

        Raises:
            ShapeError: There is no such axis.
        """
        rank = len(self.shape_of()) if rank is None else rank
        if not -rank <= axis < rank:
            raise ShapeError(f"its axis {axis} is not one of {rank} axes", self.where)
        return axis % rank
