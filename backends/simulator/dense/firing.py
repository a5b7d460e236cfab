"""AdaFire neurons: all steps of many neurons in blocks that stay in the second-level cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikec.compiler.arrays import Array, Int32, Int64
from spikec.compiler.populations import AdaFire, Fire

BLOCK = 1 << 16
"""Neurons advanced together: 256 KiB of potentials, as much again for each temporary."""

EXACT = 2**16
"""Largest threshold for which a float32 quotient is exact; see ``Block.quotient``."""


class Neurons:
    """Membrane potentials of an adafire population, advanced by any number of steps at a time.

    Currents, spikes and membranes are (steps, images, neurons); a windowed population first
    integrates all its steps, then releases all its spikes.
    """

    def __init__(self, population: AdaFire, images: int, vmax: int) -> None:
        self.population = population
        self.vmax = vmax
        self.threshold = _flat(population, population.threshold)
        self.bias = _flat(population, population.bias)
        initial = _flat(population, population.initial)
        self.membrane: Int32 = np.tile(initial, (images, 1))
        retract = population.fire is Fire.RETRACT
        # float32 holds a total exactly: φ·T ≤ 255·65535 < 2^24.
        self.total = np.zeros(self.membrane.shape, np.float32) if retract else None
        self.blocks = [(part, Block(self, *part)) for part in self._parts()]

    def advance(
        self, current: Array, spikes: Array | None, saturations: Int64, membranes: Array | None
    ) -> None:
        """Advance by len(saturations) steps.

        Args:
            current: int32, (steps or 1, images, neurons), bias not included.
            spikes: Receives the payloads, (steps, images, neurons); None while integrating.
            saturations: Saturating updates are added to it, (steps, images).
            membranes: Receives the potentials after each step if wanted.
        """
        for (images, neurons), block in self.blocks:
            block.expect(current[:, images, neurons], len(saturations))
            for step in range(len(saturations)):
                saturations[step, images] += block.integrate(step)
                if spikes is not None:
                    block.fire(spikes[step, images, neurons])
                if membranes is not None:
                    membranes[step, images, neurons] = block.membrane

    def release(self, spikes: Array, membranes: Array | None) -> None:
        """The spikes of a windowed population after its last input step.

        Firing step by step takes clip(q − n[1] − … − n[t−1], −φ or 0, φ) of q = ⌊v/θ⌋, since
        each spike lowers the quotient by exactly one: the quotient is spent φ at a time.
        """
        phi = self.population.phi
        for images, neurons in self._parts():
            membrane, threshold = self.membrane[images, neurons], self.threshold[neurons]
            left = np.floor_divide(membrane, threshold)
            lowest = 0 if self.population.fire is Fire.PLAIN else -phi
            for step in range(len(spikes)):
                fired = np.clip(left, lowest, phi)
                left -= fired
                spikes[step, images, neurons] = fired
                membrane -= fired * threshold
                if membranes is not None:
                    membranes[step, images, neurons] = membrane

    def _parts(self) -> Iterator[tuple[slice, slice]]:
        images, neurons = self.membrane.shape
        rows = max(1, BLOCK // neurons)
        for image in range(0, images, rows):
            for neuron in range(0, neurons, BLOCK):
                yield slice(image, image + rows), slice(neuron, neuron + BLOCK)


class Block:
    """Some neurons of some images, with their temporaries."""

    def __init__(self, neurons: Neurons, images: slice, cells: slice) -> None:
        self.population = neurons.population
        self.vmax = neurons.vmax
        self.membrane = neurons.membrane[images, cells]
        self.total = None if neurons.total is None else neurons.total[images, cells]
        self.threshold = neurons.threshold[cells]
        self.bias = neurons.bias[cells]
        exact = int(self.threshold.max()) < EXACT and neurons.vmax < 2**24
        self.real = np.dtype(np.float32 if exact else np.float64)
        self.divisor = self.threshold.astype(self.real)
        self.ratio = np.empty(self.membrane.shape, self.real)
        self.spent = np.empty(self.membrane.shape, np.int32)

    def expect(self, current: Array, steps: int) -> None:
        """Take the current of the next steps, (steps or 1, images, neurons)."""
        self.current = current
        self.biased = bool(self.bias.any())
        push = _magnitude(current) + _magnitude(self.bias)
        start = max(_magnitude(self.membrane), int(self.threshold.max()))
        # A step moves |v| by at most ``push``; firing leaves |v| ≤ max(|v|, θ − 1).
        self.bounded = start + steps * push <= self.vmax
        self.wide = self.vmax + push >= 2**31

    def integrate(self, step: int) -> Int64:
        """Integrate: v ← clip(v + I + b, ±vmax); the number of saturating updates per image."""
        membrane = self.membrane
        current = self.current[step if len(self.current) > 1 else 0]
        if self.wide:
            return self._integrate_wide(current)
        np.add(membrane, current, out=membrane)
        if self.biased:
            np.add(membrane, self.bias, out=membrane)
        if self.bounded or _magnitude(membrane) <= self.vmax:
            return np.zeros(len(membrane), np.int64)
        return self._saturate(membrane)

    def _integrate_wide(self, current: Array) -> Int64:
        return self._saturate(self.membrane.astype(np.int64) + current + self.bias)

    def _saturate(self, potential: Array) -> Int64:
        clipped = np.clip(potential, -self.vmax, self.vmax)
        saturated = np.count_nonzero(clipped != potential, axis=1)
        self.membrane[...] = clipped
        return np.asarray(saturated, np.int64)

    def fire(self, spikes: Array) -> None:
        """Store n by the population's rule, and v ← v − n·θ."""
        if self.population.phi == 1 and self.population.fire is Fire.PLAIN:
            np.greater_equal(self.membrane, self.threshold, out=spikes.view(np.bool_))
        else:
            np.copyto(spikes, self.quotient(), casting="unsafe")
        np.copyto(self.spent, spikes)
        np.multiply(self.spent, self.threshold, out=self.spent)
        np.subtract(self.membrane, self.spent, out=self.membrane)

    def quotient(self) -> Array:
        """⌊v/θ⌋ clipped to the payloads that the rule allows, in floating point.

        float64 is exact for int32: a quotient that is no integer is at least 1/θ > 2^−31 from
        the next one, rounding moves it by less than 2^31·2^−53. float32 is exact where θ < 2^16
        and |v| < 2^24: below 256, which is all that survives the clip, rounding moves it by at
        most 2^−17 < 1/θ; rounding is monotonic, so what lies beyond the clip stays there.
        """
        phi = self.population.phi
        np.copyto(self.ratio, self.membrane, casting="same_kind")
        np.divide(self.ratio, self.divisor, out=self.ratio)
        np.minimum(self.ratio, phi, out=self.ratio)
        if self.population.fire is Fire.PLAIN:  # the cast to integers rounds down from 0 on
            return np.maximum(self.ratio, 0, out=self.ratio)
        np.floor(self.ratio, out=self.ratio)
        np.maximum(self.ratio, -phi, out=self.ratio)
        if self.total is not None:
            np.maximum(self.ratio, -self.total, out=self.ratio)
            np.add(self.total, self.ratio, out=self.total, casting="unsafe")
        return self.ratio


def _flat(population: AdaFire, parameter: Int32) -> Int32:
    """A parameter per neuron, int32, (neurons,)."""
    return np.broadcast_to(parameter, population.shape).flatten()


def _magnitude(array: Array) -> int:
    return max(int(array.max()), -int(array.min()))
