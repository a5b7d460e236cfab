"""Walks: over the pixels of a map, and over the events of a pixel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir

from spikec.backends.simulator.events.emit import I1, I32, I64, Code, Variable


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
    def pixels(self, but: int = 0) -> Iterator[None]:
        """Each pixel of the present row but some; the goal is moved by the kernel."""
        count = self.code.at(self.code.number("columns"), -but)
        with self.code.loop(count), self.pixel():
            yield

    @contextmanager
    def pixel(self) -> Iterator[None]:
        """One pixel."""
        code = self.code
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
    """The events of a pixel, or of a few that follow it, as a part of a list.

    Args:
        code: The kernel; has the operand entries.
        place: Address of the i32 position where it begins; the next ones follow.
        index: Bits of an entry.
        pixels: How many.
    """

    def __init__(self, code: Code, place: ir.Value, index: int, pixels: int = 1) -> None:
        builder = code.builder
        self.code = code
        self.index = index
        size = I64(index // 8)
        ends = (code.load(I32, code.at(place, p)) for p in (0, 4 * pixels))
        start, end = (builder.zext(position, I64) for position in ends)
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
