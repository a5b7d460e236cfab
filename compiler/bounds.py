"""Proofs over a program: payload ranges, and the largest current that every channel can receive.

An interval always holds 0 (a silent source), so it bounds every partial sum as well as the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import (
    Connection,
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.errors import BoundError, Where
from spikec.compiler.geometry import shapes_along
from spikec.compiler.populations import AdaFire, Fire, Input, MaxPool, Readout, Shape
from spikec.compiler.structure import Structure

INT32_LIMIT = 2**31
"""Currents stay below this magnitude."""


@dataclass(frozen=True, eq=False)
class Interval:
    """Values that the channels of an array can take.

    Attributes:
        low: Smallest value per channel, ≤ 0, (C,); int64 in a program.
        high: Largest value per channel, ≥ 0, likewise.
    """

    low: Array
    high: Array

    @property
    def magnitude(self) -> int:
        """Largest absolute value over all channels."""
        return int(max(self.high.max(), -self.low.min()))

    def times(self, factor: int) -> Interval:
        """The interval of a sum over so many values, or of a multiple; factor ≥ 0."""
        return Interval(self.low * factor, self.high * factor)

    def plus(self, other: Interval) -> Interval:
        """The interval of a sum of two values."""
        return Interval(self.low + other.low, self.high + other.high)

    def joined(self, other: Interval) -> Interval:
        """The interval of a value that lies in either."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


def uniform(channels: int, low: int, high: int) -> Interval:
    """The same interval for every channel."""
    return Interval(np.full(channels, low, np.int64), np.full(channels, high, np.int64))


def payload_ranges(program: Structure) -> dict[str, tuple[int, int]]:
    """Smallest and largest payload of each population by name; (0, 0) for the read-out."""
    ranges: dict[str, tuple[int, int]] = {}
    for population in program.populations:
        match population:
            case Input(bits=bits):
                ranges[population.name] = (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)
            case AdaFire(phi=phi, fire=fire):
                ranges[population.name] = (0 if fire is Fire.PLAIN else -phi, phi)
            case MaxPool(name=name):
                # Within a step no count moves further than its input, hence the largest neither.
                inputs = [ranges[c.source] for c in program.connections if c.sink == name]
                ranges[name] = (sum(low for low, _ in inputs), sum(high for _, high in inputs))
            case Readout():
                ranges[population.name] = (0, 0)
    return ranges


def accumulations(
    connection: Connection, source_shape: Shape, payload: tuple[int, int]
) -> tuple[Interval, ...]:
    """Intervals of the source's payloads and of the result of each factor, before the shift."""
    shapes = shapes_along(connection, source_shape)
    intervals = [uniform(source_shape[0], min(payload[0], 0), max(payload[1], 0))]
    for factor, shape in zip(connection.factors, shapes, strict=False):
        intervals.append(interval_after(factor, intervals[-1], shape))
    return tuple(intervals)


def current_bounds(program: Structure) -> dict[str, tuple[Int64, Int64]]:
    """Smallest and largest current per channel, by name of population; without the bias.

    Raises:
        BoundError: A sum, or the count of a max_pool after T steps, can reach 2^31.
    """
    return {name: (interval.low, interval.high) for name, interval in _current_intervals(program)}


def _current_intervals(program: Structure) -> list[tuple[str, Interval]]:
    ranges = payload_ranges(program)
    shapes = {population.name: population.shape for population in program.populations}
    currents: list[tuple[str, Interval]] = []
    for population in program.populations:
        if isinstance(population, Input):
            continue
        pooled = isinstance(population, MaxPool)
        target = population.counters if isinstance(population, MaxPool) else population.shape
        total = uniform(target[0], 0, 0)
        for connection in (c for c in program.connections if c.sink == population.name):
            source = connection.source
            for interval in (steps := accumulations(connection, shapes[source], ranges[source])):
                _prove(interval, connection.name, "a sum")
            total = total.plus(steps[-1].times(2**connection.exponent))
        _prove(total, population.name, "the current")
        if pooled:
            _prove(total.times(program.timesteps), population.name, "a count after all steps")
        currents.append((population.name, total))
    return currents


def _prove(interval: Interval, node: str, subject: str) -> None:
    if interval.magnitude >= INT32_LIMIT:
        problem = f"{subject} can reach {interval.magnitude}, the limit is {INT32_LIMIT - 1}"
        hint = "fewer weight bits, a smaller φ or a smaller exponent keep it in 32 bits"
        raise BoundError(problem, Where(node), hint)


def interval_after(factor: Factor, interval: Interval, shape: Shape) -> Interval:
    """The interval of a factor's result, per output channel, from that of a map of some shape."""
    match factor:
        case Dense(weights=weights):
            return _weighted(weights.reshape(1, len(weights), shape[0], -1), interval)
        case Conv(weights=weights, groups=groups):
            kernel = math.prod(weights.shape[2:])
            return _weighted(weights.reshape(groups, -1, weights.shape[1], kernel), interval)
        case ConvTranspose():
            return _transposed(factor, interval)
        case Identity(weights=weights):
            return _weighted(weights.reshape(-1, 1, 1, 1), interval)
        case SumPool(kernel=kernel):
            return interval.times(math.prod(kernel))
        case GlobalSum():
            return interval.times(math.prod(shape[1:]))
        case Gather(indices=indices):
            low, high = (
                np.append(np.repeat(side, math.prod(shape[1:])), 0)[indices].reshape(
                    len(indices), -1
                )
                for side in (interval.low, interval.high)
            )
            return Interval(np.minimum(low.min(axis=1), 0), np.maximum(high.max(axis=1), 0))


def _weighted(weights: Array, interval: Interval) -> Interval:
    """Σ w·n for weights (groups, out per group, in per group, taps)."""
    up = np.einsum("goik->goi", np.maximum(weights, 0), dtype=np.int64)  # twice as fast as sum
    down = np.einsum("goik->goi", np.minimum(weights, 0), dtype=np.int64)
    low = interval.low.reshape(len(weights), -1, 1)
    high = interval.high.reshape(len(weights), -1, 1)
    return Interval((up @ low + down @ high).ravel(), (up @ high + down @ low).ravel())


def _transposed(factor: ConvTranspose, interval: Interval) -> Interval:
    """An output cell meets only the taps whose offset has its own remainder modulo the stride."""
    weights, groups = factor.weights, factor.groups
    steps = zip(weights.shape[2:], factor.dilations, factor.strides, strict=True)
    remainders = [np.arange(k) * d % stride for k, d, stride in steps]
    parts = []
    for chosen in product(*(np.unique(values) for values in remainders)):
        part = weights
        for axis, (values, remainder) in enumerate(zip(remainders, chosen, strict=True), start=2):
            part = part.compress(values == remainder, axis=axis)
        grouped = part.reshape(groups, -1, weights.shape[1], math.prod(part.shape[2:]))
        parts.append(_weighted(grouped.swapaxes(1, 2), interval))
    low = np.min([part.low for part in parts], axis=0)
    return Interval(low, np.max([part.high for part in parts], axis=0))
