"""Spill: the sums of 16 bits move to those of 32 bits, so that the next ones have room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.emit import I16, I32, Code, symbol, vector


@dataclass(frozen=True)
class Spill:
    """Adds the narrow accumulators of a block to the wide ones, and clears them.

    Attributes:
        lanes: Channels per vector.
        vectors: Vectors per block of channels.
        shift: Left shift of the narrow sums.
    """

    lanes: int
    vectors: int
    shift: int

    scalars: ClassVar[tuple[str, ...]] = ("rows", "columns", "narrow_row", "wide_row")
    operands: ClassVar[tuple[str, ...]] = ("narrow", "wide")

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        builder = code.builder
        vectors = builder.mul(code.number("columns"), code.number("columns").type(self.vectors))
        with code.loop(code.number("rows")) as row:
            starts = {
                name: code.at(code.address(name), builder.mul(row, code.number(f"{name}_row")))
                for name in self.operands
            }
            with code.loop(vectors) as index:
                self._move(code, starts, index)
        code.finish()

    def _move(self, code: Code, starts: dict[str, ir.Value], index: ir.Value) -> None:
        builder = code.builder
        small, large = vector(I16, self.lanes), vector(I32, self.lanes)
        source = code.at(starts["narrow"], builder.mul(index, index.type(2 * self.lanes)))
        goal = code.at(starts["wide"], builder.mul(index, index.type(4 * self.lanes)))
        moved = builder.sext(code.load(small, source), large)
        if self.shift:
            moved = builder.shl(moved, code.constant(large, self.shift))
        code.store(builder.add(code.load(large, goal), moved), goal)
        code.store(code.constant(small, 0), source)
