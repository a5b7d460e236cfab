"""Sweep: the order in which a kernel visits the pixels and channels of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir

from spikec.backends.simulator.events.emit import I64, Code

UNROLLED = (4, 2, 3, 1)
"""Vectors of a pixel that a kernel handles without a loop; pairs stay together."""


@dataclass(frozen=True)
class Place:
    """The first channel of a vector at one pixel; numbers i64.

    Attributes:
        row: Of the pixel.
        column: Of the pixel.
        pixel: Rows before it times columns, plus column.
        channel: In the block.
        odd: Whether the vector is the second of a pair.
    """

    row: ir.Value
    column: ir.Value
    pixel: ir.Value
    channel: ir.Value
    odd: bool = False


class Sweep:
    """Groups of vectors, outermost; for each group all pixels, row by row.

    What belongs to the channels of a group can thereby be loaded once, before its pixels.

    Args:
        code: The kernel.
        lanes: Channels per vector.
        vectors: Vectors per block of channels.
    """

    def __init__(self, code: Code, lanes: int, vectors: int) -> None:
        self.code = code
        self.lanes = lanes
        self.block = lanes * vectors
        self.together = next(n for n in UNROLLED if vectors % n == 0)

    @contextmanager
    def groups(self) -> Iterator[tuple[ir.Value, ...]]:
        """Each group: the first channel of each of its vectors."""
        builder, step = self.code.builder, self.together * self.lanes
        with self.code.loop(self.block // step) as group:
            first = builder.mul(group, I64(step))
            yield tuple(self.code.at(first, self.lanes * k) for k in range(self.together))

    @contextmanager
    def pixels(
        self, rows: ir.Value, columns: ir.Value, channels: tuple[ir.Value, ...]
    ) -> Iterator[tuple[Place, ...]]:
        """Each pixel: the places of the vectors that begin at these channels."""
        builder = self.code.builder
        with self.code.loop(rows) as row, self.code.loop(columns) as column:
            pixel = builder.add(builder.mul(row, columns), column)
            yield tuple(
                Place(row, column, pixel, channel, bool(index % 2))
                for index, channel in enumerate(channels)
            )

    def dense(self, base: ir.Value, place: Place, size: int) -> ir.Value:
        """An address in an array [pixel][channel of the block] of elements of some bytes."""
        builder = self.code.builder
        cell = builder.add(builder.mul(place.pixel, I64(self.block)), place.channel)
        return self.code.at(base, builder.mul(cell, I64(size)))

    def tile(self, base: ir.Value, pitch: ir.Value, place: Place, size: int) -> ir.Value:
        """An address in an array [row][column][channel of the block] whose rows are apart."""
        builder = self.code.builder
        cell = builder.add(builder.mul(place.column, I64(self.block)), place.channel)
        row = self.code.at(base, builder.mul(place.row, pitch))
        return self.code.at(row, builder.mul(cell, I64(size)))

    def strided(self, base: ir.Value, pitch: ir.Value, place: Place, bits: int) -> ir.Value:
        """An address in an array of pixels apart by ``pitch`` bytes, of elements of some bits."""
        builder = self.code.builder
        pixel = self.code.at(base, builder.mul(place.pixel, pitch))
        size, bits_per_byte = I64(bits), I64(8)
        return self.code.at(pixel, builder.udiv(builder.mul(place.channel, size), bits_per_byte))
