"""Tally: exact events, spikes and synaptic operations of one step of a population."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from llvmlite import ir

from spikec.backends.simulator.events.emit import I8, I32, I64, Code, Variable, symbol, vector
from spikec.backends.simulator.events.lanes import lane_sum

RUN = 2**8 - 1
"""Most pixels per run: events are counted in 8 bits, and |n| ≤ 128 summed in 16."""

RUN_BYTES = 16
"""Bytes of a run."""


@dataclass(frozen=True)
class Tally:
    """Sums table × (n ≠ 0), and table × |n|, over all neurons.

    Pixels whose events count for the same belong to one class: events are first counted per class
    and channel, then multiplied. Payloads are added and multiplied run by run.

    Operands: ``bits`` and, if there are payloads, ``payloads``, of all channels; ``runs``, int32
    (first pixel, pixels, class, from a pixel to the next) that cover every pixel once, at most RUN
    pixels each;
    ``table``, int32 [class][column][channel]; ``counts``, int32 [class][channel], for the kernel
    alone; ``events``, int64 [column], receives the first sum of each column, ``spikes``, with
    payloads, the second. Without payloads the second is the first: there is no such operand.

    Pixels may be groups of neighbours, with the channels of all. Scalars: ``padded`` channels,
    number of ``runs`` and ``classes``, bytes from a pixel to the next.

    Attributes:
        lanes: Channels per vector; they are counted in bytes, so that twice as many as elsewhere
            fit, if the padded channels allow it.
        payload: Bits of the payloads, 8, 16 or 32; 0 if every event is worth 1.
        columns: Sums of each kind.
        short: Every sum is below 2^31, whatever is sent.
    """

    lanes: int
    payload: int
    columns: int
    short: bool = False

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands."""
        graded = ("payloads", "spikes") if self.payload else ()
        return ("bits", "runs", "table", "counts", "events", *graded)

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers."""
        payloads = ("payloads_pixel",) if self.payload else ()
        return ("padded", "runs", "classes", "bits_pixel", *payloads)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        counting = Counting(code, self)
        spikes = counting.columns()
        with counting.vectors() as v:
            counting.clear(v)
            with counting.runs() as (kept, run):
                events, sizes = counting.count(v, run)
                counting.keep(kept, v, events)
                if self.payload:
                    counting.weigh(spikes, kept, v, sizes)
        if self.payload:
            counting.report("spikes", spikes)
        counting.report("events", counting.events())
        code.finish()


class Run(NamedTuple):
    """Evenly spaced pixels, numbers i64."""

    first: ir.Value
    pixels: ir.Value
    step: ir.Value


class Counting:
    """The code of the parts of a tally.

    Args:
        code: The kernel.
        spec: What it is to do.
    """

    def __init__(self, code: Code, spec: Tally) -> None:
        self.code = code
        self.spec = spec
        self.kind = vector(I32, spec.lanes)
        self.long = vector(I64, spec.lanes)
        self.sum = self.kind if spec.short else self.long
        self.sizes = vector(ir.IntType(2 * spec.payload or 8), spec.lanes)
        self.per_row = code.builder.udiv(code.number("padded"), I64(spec.lanes))

    def columns(self) -> list[Variable]:
        """A sum for every column."""
        zero = self.code.constant(self.sum, 0)
        return [self.code.variable(zero) for _ in range(self.spec.columns)]

    @contextmanager
    def vectors(self) -> Iterator[ir.Value]:
        """Each vector of channels."""
        with self.code.loop(self.per_row) as v:
            yield v

    def clear(self, v: ir.Value) -> None:
        """Forget the counts of a vector."""
        with self.code.loop(self.code.number("classes")) as kept:
            address = self._cell("counts", kept, v)
            self.code.store(self.code.constant(self.kind, 0), address)

    @contextmanager
    def runs(self) -> Iterator[tuple[ir.Value, Run]]:
        """Each run, and its class."""
        code = self.code
        with code.loop(code.number("runs")) as index:
            run = code.at(code.address("runs"), code.builder.mul(index, I64(RUN_BYTES)))
            parts = (code.load(I32, code.at(run, offset)) for offset in (8, 0, 4, 12))
            kept, *rest = (code.builder.sext(part, I64) for part in parts)
            yield kept, Run(*rest)

    def count(self, v: ir.Value, run: Run) -> tuple[ir.Value, ir.Value]:
        """Events and Σ|n| of every channel of a vector in a run."""
        code, lanes = self.code, self.spec.lanes
        events = code.variable(code.constant(vector(I8, lanes), 0))
        sizes = code.variable(code.constant(self.sizes, 0))
        with code.loop(run.pixels) as index:
            pixel = code.builder.add(run.first, code.builder.mul(index, run.step))
            fired = code.load_bits(self._pixel("bits", pixel, v, lanes // 8), lanes)
            events.set(code.builder.add(events.get(), code.builder.zext(fired, events.get().type)))
            if self.spec.payload:
                sizes.set(code.builder.add(sizes.get(), self._size(pixel, v)))
        return events.get(), sizes.get()

    def _size(self, pixel: ir.Value, v: ir.Value) -> ir.Value:
        """|n| of a vector."""
        code, width = self.code, self.spec.payload
        address = self._pixel("payloads", pixel, v, self.spec.lanes * width // 8)
        n = code.load(vector(ir.IntType(width), self.spec.lanes), address)
        n = code.builder.sext(n, self.sizes)
        negative = code.builder.icmp_signed("<", n, code.constant(n.type, 0))
        return code.builder.select(negative, code.builder.neg(n), n)

    def keep(self, kept: ir.Value, v: ir.Value, events: ir.Value) -> None:
        """Add to the counts of a class."""
        address = self._cell("counts", kept, v)
        count = self.code.builder.zext(events, self.kind)
        self.code.store(self.code.builder.add(self.code.load(self.kind, address), count), address)

    def weigh(self, totals: list[Variable], kept: ir.Value, v: ir.Value, found: ir.Value) -> None:
        """Add numbers of a class, multiplied with the table, to the columns."""
        builder = self.code.builder
        found = self._as_sums(found)
        first = builder.mul(kept, I64(self.spec.columns))
        for column, total in enumerate(totals):
            row = builder.add(first, I64(column))
            worth = self.code.load(self.kind, self._cell("table", row, v))
            term = builder.mul(found, self._as_sums(worth))
            total.set(builder.add(total.get(), term))

    def _as_sums(self, numbers: ir.Value) -> ir.Value:
        """Numbers in the type of the sums."""
        width, wanted = numbers.type.element.width, self.sum.element.width
        if width > wanted:
            return self.code.builder.trunc(numbers, self.sum)
        return self.code.builder.sext(numbers, self.sum) if width < wanted else numbers

    def events(self) -> list[Variable]:
        """The counts, multiplied with the table."""
        code, totals = self.code, self.columns()
        with code.loop(code.number("classes")) as kept, self.vectors() as v:
            self.weigh(totals, kept, v, code.load(self.kind, self._cell("counts", kept, v)))
        return totals

    def report(self, result: str, totals: list[Variable]) -> None:
        """Write the columns."""
        for column, total in enumerate(totals):
            address = self.code.at(self.code.address(result), 8 * column)
            lanes = total.get()
            if self.spec.short:
                lanes = self.code.builder.sext(lanes, self.long)
            self.code.store(lane_sum(self.code, lanes), address)

    def _cell(self, name: str, row: ir.Value, v: ir.Value) -> ir.Value:
        """An address in an array int32 [row][channel]."""
        builder = self.code.builder
        cell = builder.add(builder.mul(row, self.per_row), v)
        return self.code.at(self.code.address(name), builder.mul(cell, I64(4 * self.spec.lanes)))

    def _pixel(self, name: str, pixel: ir.Value, v: ir.Value, size: int) -> ir.Value:
        """An address in what the population sends, vectors of some bytes."""
        builder = self.code.builder
        offset = builder.mul(pixel, self.code.number(f"{name}_pixel"))
        base = self.code.at(self.code.address(name), offset)
        return self.code.at(base, builder.mul(v, I64(size)))
