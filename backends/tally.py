"""Events, spikes and synaptic operations of one population, exact, per image and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikec.backends.counts import count_columns
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Connection
from spikec.compiler.populations import Shape

CELLS = 1 << 12
FRAMES = 1 << 4
"""Payloads converted at a time: they and their part of the table stay in the cache."""


@dataclass(frozen=True, eq=False)
class Tally:
    """What each payload of a population counts for.

    Attributes:
        table: (neurons, 1 + 2 · outgoing connections), a float type that sums exactly: ones,
            then fan-out and the part of it on zero weights, for each connection.
        largest: Largest |payload|.
        cells: Neurons that may be summed at once without rounding.
    """

    table: Array
    largest: int
    cells: int

    def count(self, spikes: Array) -> tuple[Int64, Int64]:
        """Sums over neurons of table × (n ≠ 0) and of table × |n|.

        Args:
            spikes: (steps, images, neurons).

        Returns:
            Two arrays int64, (columns, images, steps).
        """
        steps, images, neurons = spikes.shape
        frames = spikes.reshape(steps * images, neurons)
        events = np.zeros((len(frames), self.table.shape[1]), np.int64)
        unary = events if self.largest == 1 and frames.min(initial=0) >= 0 else events.copy()
        for row in range(0, len(frames), FRAMES):
            for cell in range(0, neurons, self.cells):
                block = frames[row : row + FRAMES, cell : cell + self.cells]
                weights = self.table[cell : cell + self.cells]
                fired = (block != 0).view(np.int8).astype(self.table.dtype)
                events[row : row + FRAMES] += (fired @ weights).astype(np.int64)
                if unary is not events:
                    # |n| after the cast: float types hold every payload exactly.
                    sizes = np.abs(block.astype(self.table.dtype))
                    unary[row : row + FRAMES] += (sizes @ weights).astype(np.int64)
        shape = (steps, images, -1)
        return events.reshape(shape).transpose(2, 1, 0), unary.reshape(shape).transpose(2, 1, 0)


def tally(shape: Shape, payload: tuple[int, int], outgoing: Sequence[Connection]) -> Tally:
    """The table of a population of this shape with payloads within a range."""
    columns = count_columns(shape, outgoing)
    table = np.stack([column.ravel() for column in columns], axis=1)
    largest = max(-payload[0], payload[1], 1)
    unit = int(table.max()) * largest
    dtype, exact = (np.float32, 2**24) if unit <= 2**14 else (np.float64, 2**53)
    return Tally(table.astype(dtype), largest, max(1, min(CELLS, exact // unit)))
