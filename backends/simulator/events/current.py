"""Current: what the accumulators of a block of channels hold, taken and cleared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from llvmlite import ir

from spikec.backends.simulator.events.emit import I16, I32, Code, size_of, vector
from spikec.backends.simulator.events.pairs import first_of_pair
from spikec.backends.simulator.events.sweep import Place, Sweep


@dataclass(frozen=True)
class Driven:
    """What kernels that take a current have in common.

    The current is I = (narrow << shift) + wide + constant of the accumulators that exist, in
    wrapping int32: the sum must fit, its parts need not. ``narrow`` and ``wide`` are cleared as
    they are read. Every accumulator's operand points to its first pixel; from one row to the next
    it is the scalar ``<accumulator>_row`` bytes, from one pixel to the next the block's channels.

    Attributes:
        lanes: Channels per vector.
        vectors: Vectors per block of channels.
        narrow: There is an accumulator of 16 bits.
        shift: Its exponent.
        wide: There is an accumulator of 32 bits.
        constant: There is a current of 32 bits that stays the same at all steps.
        paired: Accumulators of 16 bits are those of pairs of vectors; see ``pairs``.
    """

    lanes: int
    vectors: int
    narrow: bool
    shift: int
    wide: bool
    constant: bool
    paired: bool = field(default=False, kw_only=True)

    @property
    def accumulators(self) -> tuple[str, ...]:
        """Operands of the current."""
        return tuple(name for name in ("narrow", "wide", "constant") if getattr(self, name))

    @property
    def pitches(self) -> tuple[str, ...]:
        """Scalars of the current."""
        return tuple(f"{name}_row" for name in self.accumulators)


class Current:
    """The code that takes the current of a place.

    Args:
        code: A kernel with the operands and scalars of a current.
        spec: What there is.
        sweep: Its places.
    """

    def __init__(self, code: Code, spec: Driven, sweep: Sweep) -> None:
        self.code = code
        self.spec = spec
        self.sweep = sweep
        self.tiles = {
            name: (code.address(name), code.number(f"{name}_row")) for name in spec.accumulators
        }

    def take(self, place: Place) -> ir.Value | None:
        """I of a place, int32; None if nothing drives the population."""
        total = None
        for part in self._parts(place):
            total = part if total is None else self.code.builder.add(total, part)
        return total

    def _parts(self, place: Place) -> Iterator[ir.Value]:
        for name, (base, pitch) in self.tiles.items():
            kind = vector(I16 if name == "narrow" else I32, self.spec.lanes)
            size = size_of(kind.element)
            address = self.sweep.tile(base, pitch, place, size)
            part = self.code.load(kind, address)
            if name == "narrow" and self.spec.paired and not place.odd:
                part = first_of_pair(self.code, part, self.code.load(kind, self._next(address)))
            if name != "constant":
                self.code.store(self.code.constant(kind, 0), address)
            yield self._widened(part) if name == "narrow" else part

    def _next(self, address: ir.Value) -> ir.Value:
        """The address of the second vector of a pair."""
        return self.code.at(address, 2 * self.spec.lanes)

    def _widened(self, part: ir.Value) -> ir.Value:
        wide = self.code.builder.sext(part, vector(I32, self.spec.lanes))
        shift = self.code.constant(wide.type, self.spec.shift)
        return self.code.builder.shl(wide, shift) if self.spec.shift else wide
