"""Arena: one piece of memory for buffers that do not all live at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array

ALIGNMENT = 64
"""Buffers begin at multiples of a cache line."""


@dataclass(frozen=True)
class Buffer:
    """A piece of memory that is needed for a while.

    Attributes:
        name: Of the buffer.
        size: Bytes.
        first: Index of the layer that writes it.
        last: Index of the last layer that reads it.
    """

    name: str
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Arena:
    """Where buffers lie.

    Attributes:
        offsets: First byte by name.
        size: Bytes of all.
    """

    offsets: dict[str, int]
    size: int


def aligned(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def line_aligned(size: int) -> Array:
    """Bytes, uint8, that begin at a cache line; their contents are arbitrary.

    Another line's worth behind them may be read: kernels read whole words.
    """
    raw = np.empty(size + 2 * ALIGNMENT, np.uint8)
    skip = -raw.ctypes.data % ALIGNMENT
    return raw[skip : skip + size]


def arena_for(buffers: Sequence[Buffer]) -> Arena:
    """Buffers that live at the same time lie apart; each goes to the first gap that holds it."""
    placed: list[tuple[int, Buffer]] = []
    for buffer in buffers:
        rivals = sorted(
            (offset, offset + aligned(other.size))
            for offset, other in placed
            if other.first <= buffer.last and buffer.first <= other.last
        )
        start = 0
        for low, high in rivals:
            if start + buffer.size <= low:
                break
            start = max(start, high)
        placed.append((start, buffer))
    size = max((offset + aligned(buffer.size) for offset, buffer in placed), default=0)
    return Arena({buffer.name: offset for offset, buffer in placed}, size)
