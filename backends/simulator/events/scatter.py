"""Scatter: every event adds its channel's weights to the patch of accumulators that it reaches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

from llvmlite import ir

from spikec.backends.simulator.events.dots import dot_products
from spikec.backends.simulator.events.emit import I8, I32, I64, Code, Variable, symbol, vector
from spikec.backends.simulator.events.pairs import high_bytes
from spikec.backends.simulator.events.patch import Patch, Tap, slides
from spikec.backends.simulator.events.walks import Entries, Walk, Words


class Span(NamedTuple):
    """Pixels of a row that reach the same columns of their patches.

    Attributes:
        shown: Columns of the patch; the others lie outside the map.
        many: Whether it is all pixels between the edges, or one of an edge.
    """

    shown: range
    many: bool


@dataclass(frozen=True)
class Scatter:
    """Adds w·n of all events of one step to the accumulators of one block of channels.

    The source's pixels are visited row by row. In bits (``index`` 0) a pixel has one word with a
    bit per channel; otherwise it has a list of channels. The operand ``mask``, a word, hides the
    channels of a pixel that do not belong to this pass.

    A patch that has room in the registers slides along its row. What is too large is split into
    groups of taps, and every pixel's events are gone through once for each group; the processor
    learns from the first time when the others will end.

    Attributes:
        groups: Targets of a pixel, relative to its place in the accumulators; those of a group are
            in the registers together.
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
        edges: The first and the last so many pixels of a row have taps beyond the map, the outer
            ones one more column of them each; these taps are left out. Rows are not shorter than
            both together, and ``advance`` is 1.
        span: If not 0, the pixels are those of the sink, and each takes the events of so many that
            follow each other in the lists; ``weights_row`` leads from the weights of a row to
            those of the next. See ``stacks``. Lists without payloads only.
    """

    groups: tuple[tuple[Tap, ...], ...]
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
    edges: tuple[int, int] = (0, 0)
    span: int = 0

    scalars: ClassVar[tuple[str, ...]] = (
        *("rows", "columns", "pitch", "next_row", "weights_pixel", "weights_row"),
        *("events_row", "events_pixel", "payloads_row", "payloads_pixel"),
    )
    operands: ClassVar[tuple[str, ...]] = (
        *("accumulators", "weights", "events", "entries", "payloads", "mask"),
    )

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def taps(self) -> tuple[Tap, ...]:
        """Those of all groups."""
        return tuple(tap for group in self.groups for tap in group)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        walk = Walk(code, ("events", "payloads"), ("accumulators",))
        weights = code.variable(code.address("weights"))
        mask = code.load(I64, code.address("mask")) if not self.index else None
        block = self.vectors, self.lanes
        patches = [Patch(code, taps, block, self.wide, walk.pitch) for taps in self.groups]
        scattering = Scattering(self, code, walk, patches, (weights, mask))
        with walk.rows():
            scattering.row()
            if self.span:
                weights.set(code.at(weights.get(), code.number("weights_row")))
        code.finish()

    def spans(self) -> list[Span]:
        """The pixels of a row, in order, and the one behind the last."""
        width = 1 + max(tap.column for tap in self.taps)
        before, after = self.edges
        left = [Span(range(before - k, width), False) for k in range(before)]
        right = [Span(range(width - k), False) for k in range(1, after + 1)]
        end = Span(range(width - after - 1 if after else width), False)
        return [*left, Span(range(width), True), *right, end]


class Scattering:
    """The code of a scatter inside its loop over rows.

    Args:
        spec: What to do.
        code: The kernel.
        walk: Over its pixels.
        patches: One for each group of taps.
        operands: The address of the pixel's weights, and the mask of words.
    """

    def __init__(
        self,
        spec: Scatter,
        code: Code,
        walk: Walk,
        patches: list[Patch],
        operands: tuple[Variable, ir.Value | None],
    ) -> None:
        self.spec = spec
        self.code = code
        self.walk = walk
        self.patches = patches
        self.weights, self.mask = operands
        self.slides = len(patches) == 1 and slides(spec.groups[0], spec.advance)

    def row(self) -> None:
        """All pixels of a row."""
        spans, goal = self.spec.spans(), self.walk.goal
        if self.slides:
            self.patches[0].load(goal.get(), spans[0].shown)
        for span, following in pairwise(spans):
            pixels = self.walk.pixels(sum(self.spec.edges)) if span.many else self.walk.pixel()
            with pixels:
                if self.slides:
                    self._add_all(self.patches[0], span.shown)
                    shown = span.shown if span.many else following.shown
                    moved = self.patches[0].slide(goal.get(), self.spec.advance, span.shown, shown)
                    goal.set(moved)
                else:
                    self._jump(span.shown)
                weights = self.code.at(self.weights.get(), self.code.number("weights_pixel"))
                self.weights.set(weights)
        if self.slides:
            self.patches[0].store(goal.get(), spans[-1].shown)

    def _jump(self, shown: range) -> None:
        """One pixel whose patch does not stay in the registers."""
        goal = self.walk.goal.get()
        with self.code.when(self._events().any()):
            for patch in self.patches:
                patch.load(goal, shown)
                self._add_all(patch, shown)
                patch.store(goal, shown)
        self.walk.goal.set(self.code.at(goal, self.spec.advance * self.patches[0].column))

    def _events(self) -> Words | Entries:
        """Of the present pixel, from the first one on."""
        code, place = self.code, self.walk.pointers["events"].get()
        if self.mask is None:
            return Entries(code, place, self.spec.index, self.spec.span or 1)
        word = code.load(ir.IntType(self.spec.word), place)
        whole = word if self.spec.word == 64 else code.builder.zext(word, I64)
        return Words(code, code.variable(code.builder.and_(whole, self.mask)))

    def _add_all(self, patch: Patch, shown: range) -> None:
        """Add all events of the present pixel to the shown columns of a patch."""
        code, spec = self.code, self.spec
        payloads = self.walk.pointers["payloads"].get()
        with self._events().each() as channel:
            row = spec.weight_taps // (spec.span or 1) * spec.vectors * spec.lanes
            base = code.at(self.weights.get(), code.builder.mul(channel, I64(row)))
            payload = self._payload(patch, payloads, channel)
            for tap in patch.taps:
                if tap.column not in shown:
                    continue
                for v in range(0, spec.vectors, 2 if spec.paired else 1):
                    if spec.paired:
                        self._add_pair(patch, (tap, v), base)
                    else:
                        self._add(patch, (tap, v), base, payload)

    def _payload(self, patch: Patch, payloads: ir.Value, channel: ir.Value) -> ir.Value | None:
        """The event's payload in every lane, shifted, or alone for dots; None if all are 1."""
        code, spec = self.code, self.spec
        if not spec.payload:
            return None
        place = code.at(payloads, code.builder.mul(channel, I64(spec.payload // 8)))
        payload = code.load(ir.IntType(spec.payload), place)
        if spec.dots:
            return code.builder.sext(payload, I32)
        element, width = patch.kind.element, int(patch.kind.element.width)
        if spec.payload < width:
            payload = code.builder.sext(payload, element)
        elif spec.payload > width:
            payload = code.builder.trunc(payload, element)
        if spec.shift:
            payload = code.builder.shl(payload, element(spec.shift))
        return code.splat(payload, spec.lanes)

    def _add_pair(self, patch: Patch, target: tuple[Tap, int], base: ir.Value) -> None:
        tap, v = target
        words = self.code.load(patch.kind, self._place(base, target))
        for vector_index, term in ((v, words), (v + 1, high_bytes(self.code, words))):
            register = patch.registers[tap.row, tap.column, vector_index]
            register.set(self.code.builder.add(register.get(), term))

    def _add(
        self, patch: Patch, target: tuple[Tap, int], base: ir.Value, payload: ir.Value | None
    ) -> None:
        tap, v = target
        register = patch.registers[tap.row, tap.column, v]
        term = self._term(patch, self._place(base, target), payload)
        register.set(self.code.builder.add(register.get(), term))

    def _place(self, base: ir.Value, target: tuple[Tap, int]) -> ir.Value:
        """The address of the weights of a tap's vector."""
        tap, v = target
        return self.code.at(base, (tap.weight * self.spec.vectors + v) * self.spec.lanes)

    def _term(self, patch: Patch, place: ir.Value, payload: ir.Value | None) -> ir.Value:
        """What an event adds, by the weights at an address."""
        code, spec = self.code, self.spec
        if spec.dots:
            return dot_products(code, place, payload)
        weight = code.builder.sext(code.load(vector(I8, spec.lanes), place), patch.kind)
        if payload is not None:
            return code.builder.mul(weight, payload)
        shift = code.constant(patch.kind, spec.shift)
        return code.builder.shl(weight, shift) if spec.shift else weight
