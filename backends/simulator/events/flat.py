"""Flat scatter: the events of several pixels in one word, added straight to memory.

With few channels a pixel has an event or two, and what takes time is not adding but guessing when a
pixel's events end. A word of 64 bits holds the events of 64/C neighbouring pixels, one guess for
all of them; each event then finds its own accumulators, which are in the first-level cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.emit import (
    I1,
    I8,
    I16,
    I32,
    I64,
    Code,
    size_of,
    symbol,
    vector,
)
from spikec.backends.simulator.events.pairs import high_bytes
from spikec.backends.simulator.events.patch import Tap

WORD = 64

MOST_TAPS = 12
"""Vectors of accumulators that an event may reach; with more, registers are worth their loading."""


@dataclass(frozen=True)
class FlatScatter:
    """Adds the weights of all spikes of one step to the accumulators of one block of channels.

    The source's rows are read word by word. The operand ``mask``, a word, hides the pixels and
    channels that do not belong to this pass; the scalar ``tail`` those behind the end of a row.

    Attributes:
        taps: Targets of a pixel, relative to its place in the accumulators.
        advance: Columns by which the next pixel of this pass lies further in the accumulators.
        channels: Padded channels of the source: 8, 16 or 32.
        spacing: Columns of the source from a pixel of this pass to the next: 1, 2 or 4.
        vectors: Vectors per block of channels.
        lanes: Channels per vector.
        wide: Accumulators of 32 instead of 16 bits.
        shift: Every sum is shifted left by so much.
        weight_taps: Taps in a channel's weights, used or not.
        paired: Weights are words for pairs of vectors; see ``pairs``.
        widened: Weights have 16 bits; not with ``paired``. There are so few of them that they stay
            in the first-level cache all the same.
    """

    taps: tuple[Tap, ...]
    advance: int
    channels: int
    spacing: int
    vectors: int
    lanes: int
    wide: bool
    shift: int
    weight_taps: int
    paired: bool = False
    widened: bool = False

    scalars: ClassVar[tuple[str, ...]] = (
        *("rows", "words", "pitch", "next_row", "tail", "events_row"),
    )
    operands: ClassVar[tuple[str, ...]] = ("accumulators", "weights", "events", "mask")

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def column(self) -> int:
        """Bytes from a pixel's accumulators to the next."""
        return self.vectors * self.lanes * (4 if self.wide else 2)

    @property
    def _tap_bytes(self) -> int:
        """Bytes of a channel's weights for a tap."""
        return self.vectors * self.lanes * (2 if self.widened else 1)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        builder = code.builder
        mask, words = code.load(I64, code.address("mask")), code.number("words")
        last = builder.sub(words, I64(1))
        step = self.advance * (WORD // self.channels // self.spacing) * self.column
        with code.loop(code.number("rows")) as row:
            events, goal = (
                code.at(code.address(name), builder.mul(row, code.number(pitch)))
                for name, pitch in (("events", "events_row"), ("accumulators", "next_row"))
            )
            with code.loop(words) as index:
                word = code.load(I64, code.at(events, builder.mul(index, I64(8))))
                ended = builder.icmp_signed("==", index, last)
                shown = builder.select(ended, builder.and_(mask, code.number("tail")), mask)
                place = code.at(goal, builder.mul(index, I64(step)))
                self._add_all(code, builder.and_(word, shown), place)
        code.finish()

    def _add_all(self, code: Code, word: ir.Value, goal: ir.Value) -> None:
        """Add the events of a word."""
        builder = code.builder
        left = code.variable(word)
        pixel = (self.channels * self.spacing).bit_length() - 1
        with code.loop_while(lambda: builder.icmp_unsigned("!=", left.get(), I64(0))):
            present = left.get()
            bit = code.intrinsic("llvm.cttz", (present, I1(1)))
            channel = builder.and_(bit, I64(self.channels - 1))
            moved = builder.mul(builder.lshr(bit, I64(pixel)), I64(self.advance * self.column))
            row = builder.mul(channel, I64(self.weight_taps * self._tap_bytes))
            weights = code.at(code.address("weights"), row)
            self._add_event(code, weights, code.at(goal, moved))
            left.set(builder.and_(present, builder.sub(present, I64(1))))

    def _add_event(self, code: Code, weights: ir.Value, goal: ir.Value) -> None:
        size = self.column // self.vectors
        pitch = code.number("pitch")
        for tap in self.taps:
            row = code.builder.mul(pitch, I64(tap.row))
            start = code.at(code.builder.add(goal, row), tap.column * self.column)
            for v, term in enumerate(self._terms(code, weights, tap)):
                place = code.at(start, v * size)
                code.store(code.builder.add(code.load(term.type, place), term), place)

    def _terms(self, code: Code, weights: ir.Value, tap: Tap) -> list[ir.Value]:
        """What an event adds to each vector of a tap."""
        builder, kind = code.builder, vector(I32 if self.wide else I16, self.lanes)
        first = code.at(weights, tap.weight * self._tap_bytes)
        terms: list[ir.Value] = []
        if self.paired:
            for v in range(0, self.vectors, 2):
                words = code.load(kind, code.at(first, v * self.lanes))
                terms += [words, high_bytes(code, words)]
            return terms
        stored = vector(I16 if self.widened else I8, self.lanes)
        for v in range(self.vectors):
            weight = code.load(stored, code.at(first, v * size_of(stored)))
            if stored != kind:
                weight = builder.sext(weight, kind)
            if self.shift:
                weight = builder.shl(weight, code.constant(kind, self.shift))
            terms.append(weight)
        return terms
