"""max_pool populations: the growth of the largest running count of each window."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array, Int32
from spikec.compiler.geometry import interior, window_of
from spikec.compiler.populations import MaxPool

LOWEST = np.iinfo(np.int32).min


class Counters:
    """Running input counts of a max_pool population, advanced by any number of steps at a time."""

    def __init__(self, pool: MaxPool, images: int) -> None:
        self.pool = pool
        self.window = window_of(pool)
        sizes = zip(pool.counters[1:], self.window.before, self.window.after, strict=True)
        padded = tuple(n + before + after for n, before, after in sizes)
        # A padded cell never counts: the smallest integer never is the largest of a window.
        self.padded: Int32 = np.full((images, pool.counters[0], *padded), LOWEST, np.int32)
        self.counts = self.padded[interior(self.window.before, pool.counters)]
        self.counts[...] = 0
        self.largest: Int32 = np.zeros((images, *pool.shape), np.int32)

    def advance(self, current: Array, spikes: Array) -> None:
        """Advance by len(spikes) steps.

        Args:
            current: int32, (steps or 1, images, *counters).
            spikes: Receives the payloads, (steps, images, *shape).
        """
        for step in range(len(spikes)):
            np.add(self.counts, current[step if len(current) > 1 else 0], out=self.counts)
            largest = self._largest()
            np.subtract(largest, self.largest, out=spikes[step], casting="unsafe")
            self.largest = largest

    def _largest(self) -> Int32:
        result = np.full(self.largest.shape, LOWEST, np.int32)
        for _, cells in self.window.taps(self.pool.shape[1:]):
            np.maximum(result, self.padded[cells], out=result)
        return result
