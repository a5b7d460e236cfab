"""Simulate: the verbs by which calibrating passes ask for integer spikes.

The compiler knows no backend; whoever calls it plugs one in. Arrays have the axes
(steps, images, *population shape); a leading axis of length 1 stands for T equal steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Connection
from spikec.compiler.populations import AdaFire, MaxPool, Population
from spikec.compiler.program import Program


@dataclass(frozen=True, eq=False)
class Fired:
    """What a population emitted.

    Attributes:
        spikes: Payloads n[t], (T, images, *shape), the smallest signed type that holds them.
        membrane: v after the last step, int32, (images, *shape); None for a max_pool.
        saturations: Saturating updates, int64, (images, T).
    """

    spikes: Array
    membrane: Array | None
    saturations: Int64


class Simulate(Protocol):
    """Integer spikes of single populations, exactly as a whole run would give them; whole runs."""

    def currents(
        self, sink: Population, connections: Sequence[Connection], spikes: Mapping[str, Array]
    ) -> Array:
        """Input current I of ``sink`` without its bias.

        Args:
            sink: The population that receives.
            connections: All connections into it.
            spikes: Payloads of each source by name, (T or 1, images, *shape).

        Returns:
            int32, (T, images, *sink shape), or a leading 1 if all sources are constant in time.
        """
        ...

    def fire(
        self, population: AdaFire | MaxPool, current: Array, timesteps: int, vmax: int
    ) -> Fired:
        """Spikes of ``population`` under ``current``, (T or 1, images, *shape or counters)."""
        ...

    def readouts(self, program: Program, inputs: Array) -> Int64:
        """Potentials of the read-out after every step of a whole run.

        Args:
            program: Any.
            inputs: Quantised inputs, (images, *input shape).

        Returns:
            int64, (T, images, *read-out shape).
        """
        ...
