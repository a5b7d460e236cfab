"""Backend: the protocol that every backend keeps, and what a run returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

import numpy as np

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.errors import InputError, OptionError, Where
from spikec.compiler.populations import Coding
from spikec.compiler.program import Program
from spikec.compiler.simulation import Totals

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, eq=False)
class PopulationCounts:
    """Counted per image and step, int64, (images, T).

    Attributes:
        neurons: Neurons of the population; each is updated at every step.
        events: Payloads other than 0.
        spikes: Σ|n|.
        saturations: Updates that hit ±vmax.
    """

    neurons: int
    events: Int64
    spikes: Int64
    saturations: Int64


@dataclass(frozen=True, eq=False)
class ConnectionCounts:
    """Synaptic operations per image and step, int64, (images, T).

    Fan-out counts paths through the connection's factors with real borders; operations on a
    weight of zero are in ``events`` and ``spikes`` and, again, in the two ``zero_`` fields.

    Attributes:
        events: Σ over events of the event's fan-out: multiply-accumulates of weight × payload.
        spikes: Σ|n|·fan-out: accumulates, the unary convention.
        zero_events: The part of ``events`` on zero weights.
        zero_spikes: The part of ``spikes`` on zero weights.
    """

    events: Int64
    spikes: Int64
    zero_events: Int64
    zero_spikes: Int64


@dataclass(frozen=True, eq=False)
class BackendRun:
    """What a backend returns.

    Attributes:
        readout: v of the read-out after each step, int64, (images, T, *shape).
        populations: Counts by population name; the read-out has no events.
        connections: Counts in the program's order of connections.
        spikes: Payloads by population name, (images, T, *shape), for the recorded ones.
        membranes: v after each step, int32, (images, T, *shape), for recorded adafire populations;
            of a windowed population after each of its T firing steps.
    """

    readout: Int64
    populations: Mapping[str, PopulationCounts]
    connections: tuple[ConnectionCounts, ...]
    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]


def totals_of(program: Program, run: BackendRun) -> Totals:
    """A run summed over images and steps; see Simulate.totals."""
    return Totals(
        outputs=run.readout[:, -1],
        events=_sums([run.populations[p.name].events for p in program.populations]),
        synaptic_events=_sums([counts.events for counts in run.connections]),
        synaptic_spikes=_sums([counts.spikes for counts in run.connections]),
    )


def trains_of(run: BackendRun) -> dict[str, Array]:
    """The recorded payloads, (T, images, *shape); see Simulate.recorded."""
    return {name: payloads.swapaxes(0, 1) for name, payloads in run.spikes.items()}


def _sums(counts: Sequence[Int64]) -> Int64:
    return np.array([each.sum() for each in counts], np.int64)


Progress = Callable[[int], None]
"""Called with the number of images finished since the last call."""


class Backend(Protocol):
    """Runs programs; equal programs and inputs give equal integers on every backend."""

    name: str

    def run(
        self,
        program: Program,
        inputs: Array,
        *,
        record: frozenset[str] = frozenset(),
        progress: Progress | None = None,
    ) -> BackendRun:
        """Run all T steps for a batch.

        Args:
            program: A valid program.
            inputs: Quantised inputs q, any signed integer type: (images, *input shape) for direct
                coding, (images, T, *input shape) for frames.
            record: Names of populations whose spikes and membranes are returned.
            progress: Told of finished images.
        """
        ...


def checked_inputs(program: Program, inputs: Array, record: frozenset[str]) -> Array:
    """The inputs of a run as an array.

    Raises:
        InputError: They have the wrong shape or type, or leave the range of the input
            population; or a name in ``record`` is unknown.
    """
    source, array = program.input, np.asarray(inputs)
    where = Where(source.name)
    frames = source.coding is Coding.FRAMES
    shape = (program.timesteps, *source.shape) if frames else source.shape
    if array.dtype.kind not in "iu":
        raise InputError(f"inputs are {array.dtype}, not integers", where, "quantise them first")
    if array.shape[1:] != shape or array.ndim != len(shape) + 1:
        raise InputError(f"inputs of shape {array.shape} should be (images, *{shape})", where)
    limit = 2 ** (source.bits - 1) - 1
    if array.size and (int(array.min()) < -limit or int(array.max()) > limit):
        problem = f"inputs run from {array.min()} to {array.max()}, the limit is ±{limit}"
        raise InputError(problem, where)
    for name in sorted(record - {population.name for population in program.populations}):
        raise InputError("no population of the program has this name", Where(name))
    return array


def choice_named(kind: type[Choice], name: str, option: str) -> Choice:
    """The choice of that name.

    Args:
        kind: All choices.
        name: As the user gave it.
        option: What it was given for.

    Raises:
        OptionError: There is none; says which there are.
    """
    try:
        return kind(name)
    except ValueError:
        hint = f"choose from {', '.join(kind)}"
        raise OptionError(f"{option} is {name!r}", hint=hint) from None
