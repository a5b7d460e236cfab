"""Simulate: the verbs by which calibrating passes ask for integer spikes.

The compiler knows no backend; whoever calls it plugs one in. Arrays have the axes
(steps, images, *population shape); a leading axis of length 1 stands for T equal steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

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


@dataclass(frozen=True, eq=False)
class Totals:
    """What a whole run gave and counted, summed over images and steps.

    Attributes:
        outputs: v of the read-out after T steps, int64, (images, *shape).
        events: Payloads other than 0 of each population in program order, int64, (populations,).
        synaptic_events: Σ over events of their fan-out, per connection, int64, (connections,).
        synaptic_spikes: Σ|n|·fan-out, per connection, int64, (connections,).
    """

    outputs: Int64
    events: Int64
    synaptic_events: Int64
    synaptic_spikes: Int64

    @property
    def images(self) -> int:
        """Images that were run."""
        return len(self.outputs)


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

    def totals(self, program: Program, inputs: Array) -> Totals:
        """A whole run of a program.

        Args:
            program: A valid program.
            inputs: Quantised inputs as its input population emits them: (images, *shape), or
                (images, T, *shape) for frames.
        """
        ...

    def recorded(
        self, program: Program, inputs: Array, names: Sequence[str]
    ) -> tuple[Totals, dict[str, Array]]:
        """A whole run of a program, and payloads of some of its populations.

        Args:
            program: A valid program.
            inputs: As for ``totals``.
            names: Populations that send.

        Returns:
            Totals; payloads by name, (T, images, *shape).
        """
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


def potentials(simulate: Simulate, program: Program, batches: Iterable[Array]) -> Int64:
    """Potentials of the read-out after every step, int64, (T, images, values of the read-out).

    Args:
        simulate: Runs the program, one batch at a time.
        program: Any.
        batches: Quantised inputs, (images, *input shape) each.
    """
    parts = [simulate.readouts(program, batch) for batch in batches]
    whole = np.concatenate(parts, axis=1)
    flat: Int64 = whole.reshape(*whole.shape[:2], -1)
    return flat
