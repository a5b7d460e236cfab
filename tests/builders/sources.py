"""Programs in which populations send exactly the payloads that the input dictates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikec.backends.reference.connections import carried
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Connection, Factor, Gather
from spikec.compiler.geometry import shapes_along
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, Readout, Shape
from spikec.compiler.program import Program

ONE = np.ones(1)


@dataclass(frozen=True, eq=False)
class Source:
    """A population that sends payloads up to φ through factors into the read-out."""

    shape: Shape
    phi: int
    factors: tuple[Factor, ...]
    rule: Fire = Fire.PLAIN
    exponent: int = 0

    @property
    def cells(self) -> int:
        return math.prod(self.shape)

    @property
    def low(self) -> int:
        return 0 if self.rule is Fire.PLAIN else -self.phi

    def neurons(self, name: str) -> AdaFire:
        """θ = 1: what comes in, within the rule, goes out in the same step."""
        unit = np.ones([1] * len(self.shape), np.int32)
        rest = (self.phi, self.rule, False, unit)
        return AdaFire(name, self.shape, unit, 0 * unit, 0 * unit, *rest)

    def connection(self, name: str) -> Connection:
        return Connection(name, "readout", self.factors, self.exponent)


def program(sources: Sequence[Source], timesteps: int) -> Program:
    """The input, a vector of all sources' payloads at every step; the sources; their sum."""
    target = shapes_along(sources[0].connection(""), sources[0].shape)[-1]
    total = sum(source.cells for source in sources)
    unit = np.ones([1] * len(target), np.int32)
    inputs = Input("input", (total,), 9, ONE, ONE, 0 * ONE, Coding.FRAMES)
    names = [f"source{index}" for index in range(len(sources))]
    first, connections = 0, []
    for source, name in zip(sources, names, strict=True):
        places = np.arange(first, first + source.cells).reshape(source.shape)
        connections.append(Connection("input", name, (Gather(places),)))
        first += source.cells
    return Program(
        (
            inputs,
            *(source.neurons(name) for source, name in zip(sources, names, strict=True)),
            Readout("readout", target, 0 * unit, unit),
        ),
        (*connections, *(s.connection(name) for s, name in zip(sources, names, strict=True))),
        timesteps,
    )


def frames(payloads: Sequence[Array]) -> Int64:
    """The input that makes each source send (images, T, *shape)."""
    flat = [values.reshape(*values.shape[:2], -1) for values in payloads]
    return np.concatenate(flat, axis=2).astype(np.int64)


def sums(sources: Sequence[Source], payloads: Sequence[Array]) -> Int64:
    """The current of the read-out at every step, (images, T, …), in int64."""
    total: Int64 = np.zeros(1, np.int64)
    for source, values in zip(sources, payloads, strict=True):
        images, steps = values.shape[:2]
        flat = values.reshape(images * steps, *source.shape).astype(np.int64)
        current = carried(source.connection(""), flat)
        total = total + current.reshape(images, steps, *current.shape[1:])
    return total
