"""Lists: the channels of the events of every pixel of one step, made from its bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.emit import I1, I16, I32, I64, Code, Variable, symbol, vector

COMPRESS = "avx512vbmi2"
"""What a processor needs for vpcompressw."""

SLACK = 32
"""Entries behind the last one that may be written too."""

TOGETHER = 6
"""Entries that are written at a time where there is no vpcompressw."""


@dataclass(frozen=True)
class Lists:
    """Writes the event lists of one step.

    There is a list for every pixel, or for every window of pixels that lie side by side: those of
    a window follow each other. Lists of stacks go down the columns, so that ``rows`` and
    ``columns`` change places, and ``before`` and ``after`` empty lists stand at either end of a
    column.

    Up to SLACK entries behind the last one are written too, with no meaning.

    The operand ``positions`` receives int32, (lists + 1,): where the entries of each list begin,
    counted from the step's first entry, and where the last ones end. ``masks``, one word for every
    word of a pixel, hides the channels that this list is not made for.

    Attributes:
        index: Bits of an entry: 16 or 32.
        masked: Whether there are masks.
        compressed: Half a word at a time by the instruction vpcompressw, whatever it holds; needs
            the processor's feature COMPRESS and 16 bits.
        span: An entry is channel·span + the pixel's number in its row or column; see ``stacks``. 0
            if it is a channel.
    """

    index: int
    masked: bool
    compressed: bool = False
    span: int = 0

    scalars: ClassVar[tuple[str, ...]] = (
        *("rows", "columns", "row_bytes", "column_bytes"),
        *("window_rows", "window_columns", "window_row_bytes", "words"),
        *("before", "after"),
    )
    operands: ClassVar[tuple[str, ...]] = ("bits", "positions", "entries", "masks")

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        positions = code.variable(code.address("positions"))
        count = code.variable(I64(0))
        with code.loop(code.number("rows")) as row:
            self._margin(code, "before", positions, count)
            with code.loop(code.number("columns")) as column:
                _begin(code, positions, count)
                start = _moved(code, code.address("bits"), row, "row_bytes")
                start = _moved(code, start, column, "column_bytes")
                self._window(code, start, column, count)
            self._margin(code, "after", positions, count)
        _begin(code, positions, count)
        code.finish()

    def _margin(self, code: Code, side: str, positions: Variable, count: Variable) -> None:
        """Empty lists at an end of a column of stacks."""
        if self.span:
            with code.loop(code.number(side)):
                _begin(code, positions, count)

    def _window(self, code: Code, start: ir.Value, pixel: ir.Value, count: Variable) -> None:
        """Append the events of a window; its pixels of a row are neighbours in memory."""
        with code.loop(code.number("window_rows")) as row:
            words = code.variable(_moved(code, start, row, "window_row_bytes"))
            with (
                code.loop(code.number("window_columns")),
                code.loop(code.number("words")) as word,
            ):
                bits = self._shown(code, code.load(I64, words.get()), word)
                first = code.builder.shl(word, I64(6))
                if self.span:
                    first = code.builder.mul(first, I64(self.span))
                    first = code.builder.add(first, pixel)
                self._expand(code, bits, first, count)
                words.set(code.at(words.get(), 8))

    def _shown(self, code: Code, bits: ir.Value, word: ir.Value) -> ir.Value:
        """What the masks leave of a word."""
        if not self.masked:
            return bits
        place = code.at(code.address("masks"), code.builder.shl(word, I64(3)))
        return code.builder.and_(bits, code.load(I64, place))

    def _expand(self, code: Code, bits: ir.Value, first: ir.Value, count: Variable) -> None:
        """Append the entries of the bits of one word; that of its first bit is known."""
        builder = code.builder
        if self.compressed:
            self._compress(code, bits, first, count)
            return
        left = code.variable(bits)
        place = code.at(code.address("entries"), builder.mul(count.get(), I64(self.index // 8)))
        goal = code.variable(place)
        with code.loop_while(lambda: builder.icmp_unsigned("!=", left.get(), I64(0))):
            self._append(code, left, first, goal)
        count.set(builder.add(count.get(), code.intrinsic("llvm.ctpop", (bits,))))

    def _append(self, code: Code, left: Variable, first: ir.Value, goal: Variable) -> None:
        """Append the entries of the next few bits, and what has no meaning if there are fewer.

        Whether there is a second time is then nearly always guessed right.
        """
        builder, present = code.builder, left.get()
        for k in range(TOGETHER):
            bit = code.intrinsic("llvm.cttz", (present, I1(0)))
            entry = builder.add(first, builder.mul(bit, I64(self.span or 1)))
            place = code.at(goal.get(), k * self.index // 8)
            code.store(builder.trunc(entry, ir.IntType(self.index)), place)
            present = builder.and_(present, builder.sub(present, I64(1)))
        left.set(present)
        goal.set(code.at(goal.get(), TOGETHER * self.index // 8))

    def _compress(self, code: Code, bits: ir.Value, first: ir.Value, count: Variable) -> None:
        """Append the entries of both halves of a word, by one instruction each."""
        builder, kind, span = code.builder, vector(I16, SLACK), self.span or 1
        numbers = ir.Constant(kind, [span * bit for bit in range(SLACK)])
        for half in range(2):
            base = builder.trunc(code.at(first, span * SLACK * half), I16)
            entries = builder.add(code.splat(base, SLACK), numbers)
            word = builder.trunc(builder.lshr(bits, I64(SLACK * half)), I32)
            flags = builder.bitcast(word, vector(I1, SLACK))
            chosen = _chosen(code, entries, flags)
            code.store(chosen, code.at(code.address("entries"), builder.shl(count.get(), I64(1))))
            found = builder.zext(code.intrinsic("llvm.ctpop", (word,)), I64)
            count.set(builder.add(count.get(), found))


def _begin(code: Code, positions: Variable, count: Variable) -> None:
    """The next list begins here."""
    code.store(code.builder.trunc(count.get(), I32), positions.get())
    positions.set(code.at(positions.get(), 4))


def _moved(code: Code, base: ir.Value, index: ir.Value, step: str) -> ir.Value:
    """An address, moved by so many steps of a number of bytes."""
    return code.at(base, code.builder.mul(index, code.number(step)))


def _chosen(code: Code, entries: ir.Value, flags: ir.Value) -> ir.Value:
    """The flagged elements first, in order."""
    name = "llvm.x86.avx512.mask.compress.v32i16"
    module, kind = code.builder.module, entries.type
    if name not in module.globals:
        ir.Function(module, ir.FunctionType(kind, [kind, kind, flags.type]), name)
    nothing = code.constant(kind, 0)
    return code.builder.call(module.globals[name], [entries, nothing, flags])
