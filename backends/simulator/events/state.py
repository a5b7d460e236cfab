"""The plain populations and movements of state: Copy, Clear, Readout and Relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.current import Current, Driven
from spikec.backends.simulator.events.emit import I8, I32, I64, Code, symbol, vector
from spikec.backends.simulator.events.output import Output
from spikec.backends.simulator.events.sweep import Place, Sweep

LINE = 64
"""Bytes cleared at a time."""


@dataclass(frozen=True)
class Copy:
    """Copies int32 numbers [1 or pixel][block] to [pixel][block].

    ``source_pixel`` and ``target_pixel`` are the bytes from a pixel to the next; 0 as
    ``source_pixel`` repeats the first one. Either side may belong to a larger array.

    Attributes:
        lanes: Channels per vector.
        vectors: Vectors per block of channels.
    """

    lanes: int
    vectors: int

    operands: ClassVar[tuple[str, ...]] = ("source", "target")
    scalars: ClassVar[tuple[str, ...]] = ("pixels", "source_pixel", "target_pixel")

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        sweep, kind = Sweep(code, self.lanes, self.vectors), vector(I32, self.lanes)
        sides = [(code.address(side), code.number(f"{side}_pixel")) for side in self.operands]
        with (
            sweep.groups() as channels,
            sweep.pixels(I64(1), code.number("pixels"), channels) as places,
        ):
            for place in places:
                source, target = (sweep.strided(*side, place, 32) for side in sides)
                code.store(code.load(kind, source), target)
        code.finish()


@dataclass(frozen=True)
class Clear:
    """Sets ``bytes`` bytes of the target to zero."""

    operands: ClassVar[tuple[str, ...]] = ("target",)
    scalars: ClassVar[tuple[str, ...]] = ("bytes",)

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        builder, target, size = code.builder, code.address("target"), code.number("bytes")
        lines = builder.lshr(size, I64(LINE.bit_length() - 1))
        with code.loop(lines) as line:
            zeros = code.constant(vector(I8, LINE), 0)
            code.store(zeros, code.at(target, builder.mul(line, I64(LINE))))
        whole = builder.mul(lines, I64(LINE))
        with code.loop(builder.sub(size, whole)) as byte:
            code.store(I8(0), code.at(code.at(target, whole), byte))
        code.finish()


@dataclass(frozen=True)
class Readout(Driven):
    """Integrates without firing or clipping: v ← v + I + b in int64.

    Operands besides those of Driven: ``membrane``, int64 [pixel][block]; ``bias``, int32
    [1 or pixel][block], with ``bias_pixel`` bytes per pixel or 0; ``potentials``, int64, receives
    v after the step, ``potentials_pixel`` bytes per pixel.
    """

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands."""
        return (*self.accumulators, "membrane", "bias", "potentials")

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers: rows and columns of the map, and bytes per row or pixel."""
        return ("rows", "columns", *self.pitches, "bias_pixel", "potentials_pixel")

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        sweep = Sweep(code, self.lanes, self.vectors)
        current = Current(code, self, sweep)
        rows, columns = code.number("rows"), code.number("columns")
        with sweep.groups() as channels, sweep.pixels(rows, columns, channels) as places:
            for place in places:
                self._integrate(code, sweep, place, current.take(place))
        code.finish()

    def _integrate(self, code: Code, sweep: Sweep, place: Place, taken: ir.Value | None) -> None:
        builder, kind = code.builder, vector(I64, self.lanes)
        membrane = sweep.dense(code.address("membrane"), place, 8)
        v = code.load(kind, membrane)
        bias = sweep.strided(code.address("bias"), code.number("bias_pixel"), place, 32)
        for term in (taken, code.load(vector(I32, self.lanes), bias)):
            if term is not None:
                v = builder.add(v, builder.sext(term, kind))
        code.store(v, membrane)
        pitch = code.number("potentials_pixel")
        code.store(v, sweep.strided(code.address("potentials"), pitch, place, 64))


@dataclass(frozen=True)
class Relay(Driven):
    """Sends the current on as payloads: a linear map between two others.

    Operands besides those of Driven: ``bits`` and ``payloads``, with ``bits_pixel`` and
    ``payloads_pixel`` bytes per pixel.

    Attributes:
        payload: Bits of a payload, 8, 16 or 32; every current fits. 0 if each is 0 or 1.
    """

    payload: int

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands."""
        return (*self.accumulators, "bits", "payloads")

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers: rows and columns of the map, and bytes per row or pixel."""
        return ("rows", "columns", *self.pitches, "bits_pixel", "payloads_pixel")

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        sweep = Sweep(code, self.lanes, self.vectors)
        current, output = Current(code, self, sweep), Output(code, sweep, self.payload)
        rows, columns = code.number("rows"), code.number("columns")
        with sweep.groups() as channels, sweep.pixels(rows, columns, channels) as places:
            for place in places:
                taken = current.take(place)
                if taken is not None:
                    output.send(place, taken)
        code.finish()
