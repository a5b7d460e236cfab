"""Channelwise: sums that stay in their channel: depthwise convolution, pools, residual paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.emit import I8, Code, symbol, vector
from spikec.backends.simulator.events.pairs import added_to_pair
from spikec.backends.simulator.events.patch import Patch, Tap, slides
from spikec.backends.simulator.events.walks import Walk


@dataclass(frozen=True)
class Channelwise:
    """Adds w·n of every channel of a block, event or not, to that channel's accumulators.

    Fields as in Scatter, ``paired`` for the sums alone. With ``weighted`` there are weights,
    (weight_taps, Cpad) int8; without, every one is 1.
    """

    taps: tuple[Tap, ...]
    advance: int
    vectors: int
    lanes: int
    wide: bool
    payload: int
    shift: int
    weighted: bool
    paired: bool = False

    scalars: ClassVar[tuple[str, ...]] = (
        *("rows", "columns", "pitch", "next_row", "weights_tap"),
        *("events_row", "events_pixel"),
    )
    operands: ClassVar[tuple[str, ...]] = ("accumulators", "weights", "events")

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module; ``events`` are the payloads, or the bits without them."""
        code = Code(module, self.name, self.operands, self.scalars)
        walk = Walk(code, ("events",), ("accumulators",))
        patch = Patch(code, self.taps, (self.vectors, self.lanes), self.wide, walk.pitch)
        weights = self._weights(code, patch)
        resident = slides(self.taps, self.advance)
        with walk.rows():
            if resident:
                patch.load(walk.goal.get())
            with walk.pixels():
                if not resident:
                    patch.load(walk.goal.get())
                self._add_all(code, patch, walk.pointers["events"].get(), weights)
                if resident:
                    walk.goal.set(patch.slide(walk.goal.get(), self.advance))
                else:
                    patch.store(walk.goal.get())
                    walk.goal.set(code.at(walk.goal.get(), self.advance * patch.column))
            if resident:
                patch.store(walk.goal.get())
        code.finish()

    def _weights(self, code: Code, patch: Patch) -> dict[tuple[Tap, int], ir.Value]:
        """The weights of every tap and vector, shifted, read once."""
        one = code.constant(patch.kind, 1 << self.shift)
        if not self.weighted:
            return {(tap, v): one for tap in self.taps for v in range(self.vectors)}
        base, pitch = code.address("weights"), code.number("weights_tap")
        result = {}
        for tap in self.taps:
            row = code.at(base, code.builder.mul(pitch, pitch.type(tap.weight)))
            for v in range(self.vectors):
                packed = code.load(vector(I8, self.lanes), code.at(row, v * self.lanes))
                weight = code.builder.sext(packed, patch.kind)
                shift = code.constant(patch.kind, self.shift)
                result[tap, v] = code.builder.shl(weight, shift) if self.shift else weight
        return result

    def _add_all(
        self, code: Code, patch: Patch, events: ir.Value, weights: dict[tuple[Tap, int], ir.Value]
    ) -> None:
        sent = [self._sent(code, patch, events, v) for v in range(self.vectors)]
        for tap in self.taps:
            terms = [self._term(code, sent[v], weights[tap, v]) for v in range(self.vectors)]
            for v in range(0, self.vectors if self.paired else 0, 2):
                terms[v : v + 2] = added_to_pair(code, terms[v], terms[v + 1])
            for v, term in enumerate(terms):
                register = patch.registers[tap.row, tap.column, v]
                register.set(code.builder.add(register.get(), term))

    def _sent(self, code: Code, patch: Patch, events: ir.Value, v: int) -> ir.Value:
        """What the channels of a vector sent: flags, or payloads."""
        if not self.payload:
            return code.load_bits(code.at(events, v * self.lanes // 8), self.lanes)
        kind = vector(ir.IntType(self.payload), self.lanes)
        payloads = code.load(kind, code.at(events, v * self.lanes * self.payload // 8))
        width = int(patch.kind.element.width)
        if self.payload < width:
            return code.builder.sext(payloads, patch.kind)
        return payloads if self.payload == width else code.builder.trunc(payloads, patch.kind)

    def _term(self, code: Code, sent: ir.Value, weight: ir.Value) -> ir.Value:
        if not self.payload:
            return code.builder.select(sent, weight, code.constant(weight.type, 0))
        return code.builder.mul(sent, weight)
