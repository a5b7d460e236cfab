"""Spill: the sums of 16 bits move to those of 32 bits, so that the next ones have room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.emit import I16, I32, Code, symbol, vector
from spikec.backends.simulator.events.pairs import first_of_pair


@dataclass(frozen=True)
class Spill:
    """Adds the narrow accumulators of a block to the wide ones, and clears them.

    Attributes:
        lanes: Channels per vector.
        vectors: Vectors per block of channels.
        shift: Left shift of the narrow sums.
        paired: The narrow sums are those of pairs of vectors; see ``pairs``.
    """

    lanes: int
    vectors: int
    shift: int
    paired: bool = False

    scalars: ClassVar[tuple[str, ...]] = ("rows", "columns", "narrow_row", "wide_row")
    operands: ClassVar[tuple[str, ...]] = ("narrow", "wide")

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        builder, together = code.builder, 2 if self.paired else 1
        pixel = code.number("columns").type(self.vectors // together)
        groups = builder.mul(code.number("columns"), pixel)
        with code.loop(code.number("rows")) as row:
            starts = {
                name: code.at(code.address(name), builder.mul(row, code.number(f"{name}_row")))
                for name in self.operands
            }
            with code.loop(groups) as group:
                first = builder.mul(group, group.type(together * self.lanes))
                self._move(code, starts, first, together)
        code.finish()

    def _move(
        self, code: Code, starts: dict[str, ir.Value], first: ir.Value, together: int
    ) -> None:
        """Move one vector, or a pair, that begins with a channel of a row."""
        builder = code.builder
        small, large = vector(I16, self.lanes), vector(I32, self.lanes)
        source = code.at(starts["narrow"], builder.mul(first, first.type(2)))
        goal = code.at(starts["wide"], builder.mul(first, first.type(4)))
        sums = [code.load(small, code.at(source, 2 * self.lanes * k)) for k in range(together)]
        if self.paired:
            sums[0] = first_of_pair(code, *sums)
        for k, narrow in enumerate(sums):
            moved = builder.sext(narrow, large)
            if self.shift:
                moved = builder.shl(moved, code.constant(large, self.shift))
            place = code.at(goal, 4 * self.lanes * k)
            code.store(builder.add(code.load(large, place), moved), place)
            code.store(code.constant(small, 0), code.at(source, 2 * self.lanes * k))
