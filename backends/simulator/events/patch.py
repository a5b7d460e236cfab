"""Patch: the accumulators that one source pixel reaches, held in registers.

A patch belongs to one pixel of the source. Going on to the next pixel of the row it moves by some
columns: accumulators that it still covers stay in their registers, only the others are written
back and read (the sliding window).
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir

from spikec.backends.simulator.events.emit import I16, I32, Code, Variable, size_of, vector


class Tap(NamedTuple):
    """One target of a source pixel: where it lies in the patch, and the weights that lead there."""

    row: int
    column: int
    weight: int


class Patch:
    """Registers of the accumulators of some taps.

    Args:
        code: The kernel.
        taps: Targets at different places.
        block: Vectors per tap, lanes per vector.
        wide: Accumulators of 32 instead of 16 bits.
        pitch: Bytes from a row of accumulators to the next, i64.
    """

    def __init__(
        self, code: Code, taps: tuple[Tap, ...], block: tuple[int, int], wide: bool, pitch: ir.Value
    ) -> None:
        vectors, lanes = block
        self.code = code
        self.taps = taps
        self.kind = vector(I32 if wide else I16, lanes)
        self.vectors = vectors
        self.size = size_of(self.kind)
        self.column = self.size * vectors
        self.pitch = pitch
        zero = code.constant(self.kind, 0)
        self.registers = {
            (tap.row, tap.column, v): code.variable(zero) for tap in taps for v in range(vectors)
        }

    @property
    def columns(self) -> range:
        """All columns of the patch."""
        return range(1 + max(tap.column for tap in self.taps))

    def load(self, base: ir.Value, shown: range | None = None) -> None:
        """Read the accumulators of the patch at an address: those of some columns, or all."""
        for place, register in self._shown(shown):
            register.set(self.code.load(self.kind, self._address(base, place)))

    def store(self, base: ir.Value, shown: range | None = None) -> None:
        """Write the accumulators of some columns, or all, back."""
        for place, register in self._shown(shown):
            self.code.store(register.get(), self._address(base, place))

    def slide(
        self, base: ir.Value, columns: int, shown: range | None = None, then: range | None = None
    ) -> ir.Value:
        """Move the patch by some columns; the address of its new place.

        Args:
            base: Its address.
            columns: By how many.
            shown: Columns of the patch that are written back when they are left; by default all.
            then: Columns of the moved patch that are read when they are reached; by default all.
        """
        moved = self.code.at(base, columns * self.column)
        values = {place: register.get() for place, register in self.registers.items()}
        for (row, column, v), _ in self._shown(shown):
            if (row, column - columns, v) not in values:
                self.code.store(values[row, column, v], self._address(base, (row, column, v)))
        reached = {place for place, _ in self._shown(then)}
        for (row, column, v), register in self.registers.items():
            kept = values.get((row, column + columns, v))
            if kept is not None:
                register.set(kept)
            elif (row, column, v) in reached:
                register.set(self.code.load(self.kind, self._address(moved, (row, column, v))))
        return moved

    def _shown(self, shown: range | None) -> list[tuple[tuple[int, int, int], Variable]]:
        columns = self.columns if shown is None else shown
        return [(place, r) for place, r in self.registers.items() if place[1] in columns]

    def _address(self, base: ir.Value, place: tuple[int, int, int]) -> ir.Value:
        row, column, v = place
        if row:
            shift = self.code.builder.mul(self.pitch, self.pitch.type(row))
            base = self.code.builder.add(base, shift)
        return self.code.at(base, column * self.column + v * self.size)


def slides(taps: tuple[Tap, ...], columns: int) -> bool:
    """Whether a patch that moves by so many columns keeps any accumulator."""
    places = {(tap.row, tap.column) for tap in taps}
    return any((row, column - columns) in places for row, column in places)
