"""Tally: exact events, spikes and synaptic operations of one step of a population."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from spikec.backends.simulator.events.emit import (
    I16,
    I32,
    I64,
    Code,
    Variable,
    size_of,
    symbol,
    vector,
)
from spikec.backends.simulator.events.lanes import lane_sum, larger

RUN = 2**15 - 1
"""Most pixels per run: events are counted in 16 bits."""

TRIPLE = 12
"""Bytes of a run."""


@dataclass(frozen=True)
class Tally:
    """Sums table × (n ≠ 0), and table × |n|, over all neurons.

    Pixels whose events count for the same belong to one class, so that events are first counted
    per class and channel, then multiplied.

    Operands: ``bits`` and, if there are payloads, ``payloads``, of all channels; ``runs``, int32
    triples (first pixel, pixels, class) that cover every pixel once, at most RUN pixels each;
    ``table``, int32 [class][column][channel]; ``counts``, int32 [class][channel], and with
    payloads ``sums``, int64 [class][channel], hold intermediate results; ``events``, int64
    [column], receives the first sum of each column, ``spikes``, with payloads, the second.
    Without payloads the second is the first, and there is no such operand.

    Scalars: ``vectors`` of channels, number of ``runs``, ``classes`` and ``columns``, bytes from
    a pixel to the next.

    Attributes:
        lanes: Channels per vector.
        payload: Bits of the payloads, 8, 16 or 32; 0 if every event is worth 1.
    """

    lanes: int
    payload: int

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands."""
        graded = ("payloads", "sums", "spikes") if self.payload else ()
        return ("bits", "runs", "table", "counts", "events", *graded)

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers."""
        payloads = ("payloads_pixel",) if self.payload else ()
        return ("vectors", "runs", "classes", "columns", "bits_pixel", *payloads)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        counting = Counting(code, self)
        totals = {"counts": ("events", I32)}
        if self.payload:
            totals["sums"] = ("spikes", I64)
        for scratch, (_, element) in totals.items():
            counting.clear(scratch, vector(element, self.lanes))
        counting.count()
        for scratch, (result, element) in totals.items():
            counting.weigh(scratch, vector(element, self.lanes), result)
        code.finish()


class Counting:
    """The code of the parts of a tally.

    Args:
        code: The kernel.
        spec: What it is to do.
    """

    def __init__(self, code: Code, spec: Tally) -> None:
        self.code = code
        self.spec = spec
        self.wide = vector(I64 if spec.payload == 32 else I32, spec.lanes)

    def clear(self, scratch: str, kind: ir.VectorType) -> None:
        """Set the intermediate results to zero."""
        code = self.code
        with (
            code.loop(code.number("classes")) as kept,
            code.loop(code.number("vectors")) as v,
        ):
            code.store(code.constant(kind, 0), self._cell(scratch, kept, v, kind))

    def count(self) -> None:
        """Count per class and channel."""
        code = self.code
        first = code.address("runs")
        with (
            code.loop(code.number("vectors")) as v,
            code.loop(code.number("runs")) as index,
        ):
            run = code.at(first, code.builder.mul(index, I64(TRIPLE)))
            parts = (code.load(I32, code.at(run, 4 * part)) for part in range(3))
            begin, pixels, kept = (code.builder.sext(part, I64) for part in parts)
            self._count_run(v, begin, pixels, kept)

    def _count_run(self, v: ir.Value, begin: ir.Value, pixels: ir.Value, kept: ir.Value) -> None:
        code, lanes = self.code, self.spec.lanes
        events = code.variable(code.constant(vector(I16, lanes), 0))
        spikes = code.variable(code.constant(self.wide, 0))
        with code.loop(pixels) as offset:
            pixel = code.builder.add(begin, offset)
            fired = code.load_bits(self._pixel("bits", pixel, v, lanes // 8), lanes)
            one = code.builder.sext(fired, vector(I16, lanes))
            events.set(code.builder.sub(events.get(), one))
            if self.spec.payload:
                self._add_spikes(spikes, pixel, v)
        self._keep("counts", events, (kept, v), vector(I32, lanes))
        if self.spec.payload:
            self._keep("sums", spikes, (kept, v), vector(I64, lanes))

    def _add_spikes(self, spikes: Variable, pixel: ir.Value, v: ir.Value) -> None:
        code, size = self.code, self.spec.payload // 8
        address = self._pixel("payloads", pixel, v, self.spec.lanes * size)
        n = code.load(vector(ir.IntType(self.spec.payload), self.spec.lanes), address)
        n = code.builder.sext(n, self.wide)
        spikes.set(code.builder.add(spikes.get(), larger(code, n, code.builder.neg(n))))

    def _keep(
        self, scratch: str, found: Variable, place: tuple[ir.Value, ir.Value], kind: ir.VectorType
    ) -> None:
        address = self._cell(scratch, *place, kind)
        value = found.get()
        value = value if value.type == kind else self.code.builder.sext(value, kind)
        self.code.store(self.code.builder.add(self.code.load(kind, address), value), address)

    def weigh(self, scratch: str, kind: ir.VectorType, result: str) -> None:
        """Multiply what was counted with the table."""
        code, builder = self.code, self.code.builder
        columns, long = code.number("columns"), vector(I64, self.spec.lanes)
        with code.loop(columns) as column:
            total = code.variable(code.constant(long, 0))
            with (
                code.loop(code.number("classes")) as kept,
                code.loop(code.number("vectors")) as v,
            ):
                row = builder.add(builder.mul(kept, columns), column)
                weight = self._cell("table", row, v, vector(I32, self.spec.lanes))
                factors = (
                    code.load(kind, self._cell(scratch, kept, v, kind)),
                    code.load(vector(I32, self.spec.lanes), weight),
                )
                found, worth = (f if f.type == long else builder.sext(f, long) for f in factors)
                total.set(builder.add(total.get(), builder.mul(found, worth)))
            address = code.at(code.address(result), builder.mul(column, I64(8)))
            code.store(lane_sum(code, total.get()), address)

    def _cell(self, name: str, row: ir.Value, v: ir.Value, kind: ir.VectorType) -> ir.Value:
        """An address in an array [row][channel]."""
        builder = self.code.builder
        cell = builder.add(builder.mul(row, self.code.number("vectors")), v)
        return self.code.at(self.code.address(name), builder.mul(cell, I64(size_of(kind))))

    def _pixel(self, name: str, pixel: ir.Value, v: ir.Value, size: int) -> ir.Value:
        """An address in what the population sends, vectors of some bytes."""
        builder = self.code.builder
        offset = builder.mul(pixel, self.code.number(f"{name}_pixel"))
        base = self.code.at(self.code.address(name), offset)
        return self.code.at(base, builder.mul(v, I64(size)))
