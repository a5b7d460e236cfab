"""What a population does at each step: one line per rule of the integer contract."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Int64
from spikec.compiler.populations import AdaFire, Fire, MaxPool, Readout


class AdaFireState:
    """Membrane potentials v and running totals C, int64, (images, *shape)."""

    def __init__(self, population: AdaFire, images: int, vmax: int) -> None:
        self.population = population
        self.vmax = vmax
        shape = (images, *population.shape)
        self.v = np.broadcast_to(population.initial.astype(np.int64), shape).copy()
        self.total = np.zeros(shape, np.int64)

    def integrate(self, current: Int64) -> Int64:
        """Integrate: v ← clip(v + I + b, ±vmax); the number of saturated neurons per image."""
        unlimited = self.v + current + self.population.bias.astype(np.int64)
        self.v = np.clip(unlimited, -self.vmax, self.vmax)
        saturated = self.v != unlimited
        return np.asarray(saturated.sum(axis=tuple(range(1, saturated.ndim))))

    def fire(self) -> Int64:
        """Emit n by the population's rule; v ← v − n·θ; C ← C + n."""
        theta, phi = self.population.threshold.astype(np.int64), self.population.phi
        quotient: Int64 = self.v // theta
        match self.population.fire:
            case Fire.PLAIN:
                n: Int64 = np.clip(quotient, 0, phi)
            case Fire.RETRACT:
                n = np.clip(quotient, -np.minimum(phi, self.total), phi)
            case Fire.SIGNED:
                n = np.clip(quotient, -phi, phi)
        self.v = self.v - n * theta
        self.total = self.total + n
        return n


class MaxPoolState:
    """Input counts C, int64, (images, *counters), and the largest of each window so far."""

    def __init__(self, pool: MaxPool, images: int) -> None:
        self.pool = pool
        self.counts = np.zeros((images, *pool.counters), np.int64)
        self.largest = self._largest()

    def step(self, current: Int64) -> Int64:
        """Emit the growth of the largest count of each window after C ← C + I."""
        self.counts = self.counts + current
        before, self.largest = self.largest, self._largest()
        return self.largest - before

    def _largest(self) -> Int64:
        """The maximum over the cells of each window that exist."""
        result = np.empty((len(self.counts), *self.pool.shape), np.int64)
        for position in np.ndindex(self.pool.shape[1:]):
            window = self.counts
            for axis, start in enumerate(position):
                cells = start * self.pool.strides[axis] - self.pool.pads[axis]
                cells = cells + self.pool.dilations[axis] * np.arange(self.pool.kernel[axis])
                real = cells[(cells >= 0) & (cells < self.pool.counters[1 + axis])]
                window = np.take(window, real, axis=2 + axis)
            result[(slice(None), slice(None), *position)] = window.max(
                axis=tuple(range(2, window.ndim))
            )
        return result


class ReadoutState:
    """Potentials of the read-out, int64, (images, *shape)."""

    def __init__(self, readout: Readout, images: int) -> None:
        self.readout = readout
        self.v = np.zeros((images, *readout.shape), np.int64)

    def step(self, current: Int64) -> Int64:
        """Integrate: v ← v + I + b."""
        self.v = self.v + current + self.readout.bias.astype(np.int64)
        return self.v
