"""Field: how the payloads of a population, or of a linear map on the way, lie in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array, Int8
from spikec.compiler.populations import Shape

WORD = 64
"""Channels beyond this many come in whole words of it."""


@dataclass(frozen=True)
class Field:
    """Payloads of one node: pixels of padded channels, for every image and step.

    Bits are (images, steps, pixels, padded/8) bytes, the lowest bit first; payloads, if there are
    any but 0 and 1, (images, steps, pixels, padded) integers.

    Attributes:
        shape: (C, *spatial), without batch axis.
        low: Smallest payload.
        high: Largest payload.
        steps: T, or 1 if all steps are equal.
    """

    shape: Shape
    low: int
    high: int
    steps: int

    @property
    def channels(self) -> int:
        """C."""
        return self.shape[0] if self.shape else 1

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns; a line is one row, more than two spatial axes are one row, too."""
        spatial = self.shape[1:]
        if len(spatial) == 2:
            return (spatial[0], spatial[1])
        return (1, math.prod(spatial))

    @property
    def pixels(self) -> int:
        """Rows times columns."""
        return math.prod(self.grid)

    @property
    def padded(self) -> int:
        """Channels with padding."""
        return padded(self.channels)

    @property
    def payload(self) -> int:
        """Bits of a payload: 8, 16 or 32; 0 if the event says it all."""
        if self.low >= 0 and self.high <= 1:
            return 0
        return next(b for b in (8, 16, 32) if max(-self.low - 1, self.high) < 2 ** (b - 1))

    @property
    def payload_type(self) -> np.dtype[np.generic]:
        """The type of a payload, int8 where the event says it all."""
        return np.dtype(f"int{self.payload or 8}")

    @property
    def bits_pixel(self) -> int:
        """Bytes from the bits of a pixel to those of the next."""
        return self.padded // 8

    @property
    def bits_step(self) -> int:
        """Bytes of the bits of one step."""
        return self.pixels * self.bits_pixel

    @property
    def payloads_pixel(self) -> int:
        """Bytes from the payloads of a pixel to those of the next; 0 without payloads."""
        return self.padded * self.payload // 8

    @property
    def payloads_step(self) -> int:
        """Bytes of the payloads of one step."""
        return self.pixels * self.payloads_pixel

    def pack(self, values: Array, bits: Array, payloads: Array | None) -> None:
        """Write values (images, steps, C, *spatial) into a field's arrays.

        Args:
            values: Integers within low and high.
            bits: uint8, (images, steps, pixels, padded/8).
            payloads: (images, steps, pixels, padded); None if the field has none.
        """
        images, steps = values.shape[:2]
        spread = np.zeros((images, steps, self.pixels, self.padded), self.payload_type)
        flat = values.reshape(images, steps, self.channels, self.pixels)
        spread[..., : self.channels] = flat.swapaxes(2, 3)
        bits[...] = np.packbits(spread != 0, axis=-1, bitorder="little")
        if payloads is not None:
            payloads[...] = spread

    def unpack(self, bits: Array, payloads: Array | None) -> Array:
        """The values of a field's arrays, (images, steps, C, *spatial), in the payload's type."""
        spread: Int8 | Array
        if payloads is None:
            spread = np.unpackbits(bits, axis=-1, bitorder="little").view(np.int8)
        else:
            spread = payloads
        kept = spread[..., : self.channels].swapaxes(2, 3)
        return kept.reshape(*bits.shape[:2], *self.shape)


def padded(channels: int) -> int:
    """The least of 8, 16, 32, 64 and the multiples of 64 that holds so many channels."""
    for width in (8, 16, 32):
        if channels <= width:
            return width
    return -(-channels // WORD) * WORD
