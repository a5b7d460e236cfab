"""MaxPool: the growth of the largest running count of each window, one step at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from llvmlite import ir

from spikec.backends.simulator.events.current import Current, Driven
from spikec.backends.simulator.events.emit import I32, Code, Variable, symbol, vector
from spikec.backends.simulator.events.lanes import larger
from spikec.backends.simulator.events.output import Output
from spikec.backends.simulator.events.sweep import Place, Sweep

AXES = ("rows", "columns")
LOWEST = -(2**31)


@dataclass(frozen=True)
class MaxPool(Driven):
    """C ← C + I for every cell; then n = max C − M and M = max C for every window.

    The maximum is over the cells of the window that exist; there is at least one. Before the first
    step C and M are 0.

    Operands besides those of Driven, whose map is that of the cells: ``counters``, C, int32
    [cell][block]; ``largest``, M, int32 [output pixel][block]; ``bits`` and ``payloads``.

    Attributes:
        payload: Bits of the stored payloads, 8, 16 or 32, which hold every n; 0 if n is 0 or 1.
    """

    payload: int

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands."""
        payloads = ("payloads",) if self.payload else ()
        return (*self.accumulators, "counters", "largest", "bits", *payloads)

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers: the map of the cells, that of the windows, bytes per row or pixel.

        ``pad_rows`` and ``pad_columns`` are the cells that are missing before the map.
        """
        window = ("out", "kernel", "stride", "pad", "dilation")
        windows = (f"{part}_{axis}" for part in window for axis in AXES)
        payloads = ("payloads_pixel",) if self.payload else ()
        return (*AXES, *self.pitches, *windows, "bits_pixel", *payloads)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        sweep = Sweep(code, self.lanes, self.vectors)
        windows = Windows(code, sweep, self.payload)
        current = Current(code, self, sweep)
        rows, columns = (code.number(axis) for axis in AXES)
        with sweep.groups() as channels:
            with sweep.pixels(rows, columns, channels) as places:
                for place in places:
                    windows.count(place, current.take(place))
            out_rows, out_columns = (code.number(f"out_{axis}") for axis in AXES)
            with sweep.pixels(out_rows, out_columns, channels) as places:
                windows.send(places)
        code.finish()


class Windows:
    """The code of counters and windows.

    Args:
        code: The kernel.
        sweep: Its places.
        payload: Bits of a payload.
    """

    def __init__(self, code: Code, sweep: Sweep, payload: int) -> None:
        self.code = code
        self.sweep = sweep
        self.output = Output(code, sweep, payload)
        self.kind = vector(I32, sweep.lanes)
        self.counters, self.largest = code.address("counters"), code.address("largest")

    def count(self, place: Place, taken: ir.Value | None) -> None:
        """Add a current to the counters of a place."""
        address = self.sweep.dense(self.counters, place, 4)
        if taken is not None:
            before = self.code.load(self.kind, address)
            self.code.store(self.code.builder.add(before, taken), address)

    def send(self, places: tuple[Place, ...]) -> None:
        """Look at one window, the same for several vectors of channels."""
        lowest = self.code.constant(self.kind, LOWEST)
        maxima = [self.code.variable(lowest) for _ in places]
        with (
            self._cells("rows", places[0].row) as row,
            self._cells("columns", places[0].column) as column,
        ):
            self._look(maxima, places, (row, column))
        for maximum, place in zip(maxima, places, strict=True):
            address = self.sweep.dense(self.largest, place, 4)
            before, after = self.code.load(self.kind, address), maximum.get()
            self.code.store(after, address)
            self.output.send(place, self.code.builder.sub(after, before))

    @contextmanager
    def _cells(self, axis: str, position: ir.Value) -> Iterator[ir.Value]:
        """Each cell of a window along an axis that exists."""
        code, builder = self.code, self.code.builder
        start = builder.mul(position, code.number(f"stride_{axis}"))
        start = builder.sub(start, code.number(f"pad_{axis}"))
        with code.loop(code.number(f"kernel_{axis}")) as tap:
            cell = builder.add(start, builder.mul(tap, code.number(f"dilation_{axis}")))
            # Cells before the map are large numbers without a sign.
            with code.when(builder.icmp_unsigned("<", cell, code.number(axis))):
                yield cell

    def _look(
        self,
        maxima: list[Variable],
        places: tuple[Place, ...],
        cell: tuple[ir.Value, ir.Value],
    ) -> None:
        row, column = cell
        builder = self.code.builder
        pixel = builder.add(builder.mul(row, self.code.number("columns")), column)
        for maximum, place in zip(maxima, places, strict=True):
            address = self.sweep.dense(self.counters, replace(place, pixel=pixel), 4)
            count = self.code.load(self.kind, address)
            maximum.set(larger(self.code, maximum.get(), count))
