"""Scatter: every event adds its channel's weights to the patch of accumulators that it reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.dots import dot_products
from spikec.backends.simulator.events.emit import I1, I8, I32, I64, Code, Variable, symbol, vector
from spikec.backends.simulator.events.pairs import high_bytes
from spikec.backends.simulator.events.patch import Patch, Tap, slides


@dataclass(frozen=True)
class Scatter:
    """Adds w·n of all events of one step to the accumulators of one block of channels.

    The source's pixels are visited row by row. In bits (``index`` 0) a pixel has one word with a
    bit per channel; otherwise it has a list of channels. The operand ``mask``, a word, hides the
    channels of a pixel that do not belong to this pass.

    Attributes:
        taps: Targets of a pixel, relative to its place in the accumulators.
        advance: Columns by which the next pixel of a row lies further in the accumulators.
        vectors: Vectors per block of channels.
        lanes: Channels per vector.
        wide: Accumulators of 32 instead of 16 bits.
        word: Bits of a word: 8, 16, 32 or 64.
        index: Bits of a list's entries: 0 (no lists), 16 or 32.
        payload: Bits of a payload; 0 if every event is worth 1.
        shift: Every sum is shifted left by so much.
        weight_taps: Taps in a channel's weights, used or not.
        paired: Weights are words for pairs of vectors, and sums likewise; see ``pairs``. Without
            payloads and shift only.
        dots: Products are made as ``dots`` says; wide, payloads of 8 or 16 bits, no shift.
    """

    taps: tuple[Tap, ...]
    advance: int
    vectors: int
    lanes: int
    wide: bool
    word: int
    index: int
    payload: int
    shift: int
    weight_taps: int
    paired: bool = False
    dots: bool = False

    scalars: ClassVar[tuple[str, ...]] = (
        *("rows", "columns", "pitch", "next_row", "weights_pixel"),
        *("events_row", "events_pixel", "payloads_row", "payloads_pixel"),
    )
    operands: ClassVar[tuple[str, ...]] = (
        *("accumulators", "weights", "events", "entries", "payloads", "mask"),
    )

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        walk = Walk(code, ("events", "payloads"), ("accumulators",))
        weights = code.variable(code.address("weights"))
        mask = code.load(I64, code.address("mask")) if not self.index else None
        patch = Patch(code, self.taps, (self.vectors, self.lanes), self.wide, walk.pitch)
        resident = slides(self.taps, self.advance)
        with walk.rows():
            if resident:
                patch.load(walk.goal.get())
            with walk.pixels():
                events = self._events(code, walk, mask)
                if resident:
                    self._add_all(code, walk, patch, weights, events)
                    walk.goal.set(patch.slide(walk.goal.get(), self.advance))
                else:
                    with code.when(events.any()):
                        patch.load(walk.goal.get())
                        self._add_all(code, walk, patch, weights, events)
                        patch.store(walk.goal.get())
                    walk.goal.set(code.at(walk.goal.get(), self.advance * patch.column))
                weights.set(code.at(weights.get(), code.number("weights_pixel")))
            if resident:
                patch.store(walk.goal.get())
        code.finish()

    def _events(self, code: Code, walk: Walk, mask: ir.Value | None) -> Words | Entries:
        if mask is None:
            return Entries(code, walk.pointers["events"].get(), self.index)
        word = code.load(ir.IntType(self.word), walk.pointers["events"].get())
        whole = word if self.word == 64 else code.builder.zext(word, I64)
        return Words(code, code.variable(code.builder.and_(whole, mask)))

    def _add_all(
        self, code: Code, walk: Walk, patch: Patch, weights: Variable, events: Words | Entries
    ) -> None:
        payloads = walk.pointers["payloads"].get()
        with events.each() as channel:
            row = self.weight_taps * self.vectors * self.lanes
            base = code.at(weights.get(), code.builder.mul(channel, I64(row)))
            payload = self._payload(code, patch, payloads, channel)
            for tap in self.taps:
                for v in range(0, self.vectors, 2 if self.paired else 1):
                    if self.paired:
                        self._add_pair(code, patch, (tap, v), base)
                    else:
                        self._add(code, patch, (tap, v), base, payload)

    def _payload(
        self, code: Code, patch: Patch, payloads: ir.Value, channel: ir.Value
    ) -> ir.Value | None:
        """The event's payload in every lane, shifted, or alone for dots; None if all are 1."""
        if not self.payload:
            return None
        place = code.at(payloads, code.builder.mul(channel, I64(self.payload // 8)))
        payload = code.load(ir.IntType(self.payload), place)
        if self.dots:
            return code.builder.sext(payload, I32)
        element, width = patch.kind.element, int(patch.kind.element.width)
        if self.payload < width:
            payload = code.builder.sext(payload, element)
        elif self.payload > width:
            payload = code.builder.trunc(payload, element)
        if self.shift:
            payload = code.builder.shl(payload, element(self.shift))
        return code.splat(payload, self.lanes)

    def _add_pair(self, code: Code, patch: Patch, target: tuple[Tap, int], base: ir.Value) -> None:
        tap, v = target
        place = code.at(base, (tap.weight * self.vectors + v) * self.lanes)
        words = code.load(patch.kind, place)
        for vector_index, term in ((v, words), (v + 1, high_bytes(code, words))):
            register = patch.registers[tap.row, tap.column, vector_index]
            register.set(code.builder.add(register.get(), term))

    def _add(
        self,
        code: Code,
        patch: Patch,
        target: tuple[Tap, int],
        base: ir.Value,
        payload: ir.Value | None,
    ) -> None:
        tap, v = target
        place = code.at(base, (tap.weight * self.vectors + v) * self.lanes)
        register = patch.registers[tap.row, tap.column, v]
        term = self._term(code, patch, place, payload)
        register.set(code.builder.add(register.get(), term))

    def _term(
        self, code: Code, patch: Patch, place: ir.Value, payload: ir.Value | None
    ) -> ir.Value:
        """What an event adds, by the weights at an address."""
        if self.dots:
            return dot_products(code, place, payload)
        weight = code.builder.sext(code.load(vector(I8, self.lanes), place), patch.kind)
        if payload is not None:
            return code.builder.mul(weight, payload)
        shift = code.constant(patch.kind, self.shift)
        return code.builder.shl(weight, shift) if self.shift else weight


class Walk:
    """Over the pixels of the source, row by row, with pointers that go along.

    Args:
        code: The kernel; has the scalars rows, columns, pitch and next_row, and for every pointer
            those of a row and of a pixel, in bytes.
        pointers: Operands that follow the pixels.
        goal: The operand that follows the accumulators.
    """

    def __init__(self, code: Code, pointers: tuple[str, ...], goal: tuple[str]) -> None:
        self.code = code
        self.pitch = code.number("pitch")
        self._row = {name: code.variable(code.address(name)) for name in (*pointers, *goal)}
        self.pointers = {name: code.variable(I64(0)) for name in pointers}
        self.goal = code.variable(I64(0))
        self._goal = self._row[goal[0]]

    @contextmanager
    def rows(self) -> Iterator[None]:
        """Each row of the source."""
        code = self.code
        with code.loop(code.number("rows")):
            for name, pointer in self.pointers.items():
                pointer.set(self._row[name].get())
            self.goal.set(self._goal.get())
            yield
            for name in self.pointers:
                row = self._row[name]
                row.set(code.at(row.get(), code.number(f"{name}_row")))
            self._goal.set(code.at(self._goal.get(), code.number("next_row")))

    @contextmanager
    def pixels(self) -> Iterator[None]:
        """Each pixel of the present row; the goal is moved by the kernel."""
        code = self.code
        with code.loop(code.number("columns")):
            yield
            for name, pointer in self.pointers.items():
                pointer.set(code.at(pointer.get(), code.number(f"{name}_pixel")))


@dataclass(frozen=True)
class Words:
    """The events of a pixel as the bits of a word that is used up."""

    code: Code
    left: Variable

    def any(self) -> ir.Value:
        """Whether there is an event, i1."""
        return self.code.builder.icmp_unsigned("!=", self.left.get(), I64(0))

    @contextmanager
    def each(self) -> Iterator[ir.Value]:
        """The channel of each event, i64."""
        builder = self.code.builder
        with self.code.loop_while(self.any):
            word = self.left.get()
            yield self.code.intrinsic("llvm.cttz", (word, I1(1)))
            self.left.set(builder.and_(word, builder.sub(word, I64(1))))


class Entries:
    """The events of a pixel as a part of a list; two i32 positions stand where it begins."""

    def __init__(self, code: Code, place: ir.Value, index: int) -> None:
        builder = code.builder
        self.code = code
        self.index = index
        size = I64(index // 8)
        start, end = (builder.zext(code.load(I32, code.at(place, p)), I64) for p in (0, 4))
        entries = code.address("entries")
        self.next = code.variable(builder.add(entries, builder.mul(start, size)))
        self.end = builder.add(entries, builder.mul(end, size))

    def any(self) -> ir.Value:
        """Whether there is an event left, i1."""
        return self.code.builder.icmp_unsigned("<", self.next.get(), self.end)

    @contextmanager
    def each(self) -> Iterator[ir.Value]:
        """The channel of each event, i64."""
        with self.code.loop_while(self.any):
            place = self.next.get()
            channel = self.code.load(ir.IntType(self.index), place)
            yield self.code.builder.zext(channel, I64)
            self.next.set(self.code.at(place, self.index // 8))
