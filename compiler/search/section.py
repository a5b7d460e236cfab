"""Section: consecutive populations of a program, run alone on recorded payloads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Connection, Factor, Gather
from spikec.compiler.ir import Quantized
from spikec.compiler.populations import Coding, Input, Population, Readout, Shape
from spikec.compiler.program import Program
from spikec.compiler.program_structure import INPUT_BITS
from spikec.compiler.simulation import Totals

_FIRST = Gather(np.zeros(1, np.int32))
"""Takes one payload: a program ends in a read-out, whatever is wanted of it."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The populations and connections of a program some of whose integers are others; unchecked.

    Attributes:
        populations: In program order.
        connections: In program order.
        timesteps: T.
        membrane_bits: Width of a membrane potential.
    """

    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]
    timesteps: int
    membrane_bits: int

    @classmethod
    def of(cls, program: Program, changed: Mapping[str, Quantized]) -> Parts:
        """The parts of a program with other integers of some populations, by name."""
        others = {name: iter(quantized.connections) for name, quantized in changed.items()}
        return cls(
            tuple(
                changed[p.name].population if p.name in changed else p for p in program.populations
            ),
            tuple(next(others[c.sink]) if c.sink in others else c for c in program.connections),
            program.timesteps,
            program.membrane_bits,
        )


@dataclass(frozen=True, eq=False)
class Section:
    """Consecutive populations.

    Attributes:
        whole: What it is cut from.
        first: Index of its first population, above 0.
        stop: Index behind its last one.
    """

    whole: Parts
    first: int
    stop: int

    @property
    def populations(self) -> tuple[Population, ...]:
        """Its populations, in program order."""
        return self.whole.populations[self.first : self.stop]

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the populations before it that it reads, in program order."""
        read = {self.whole.connections[i].source for i in self._joined}
        return tuple(p.name for p in self.whole.populations[: self.first] if p.name in read)

    @cached_property
    def read_behind(self) -> tuple[str, ...]:
        """Names of its populations that are read behind it, in program order."""
        behind = {p.name for p in self.whole.populations[self.stop :]}
        read = {c.source for c in self.whole.connections if c.sink in behind}
        return tuple(p.name for p in self.populations if p.name in read)

    @cached_property
    def _joined(self) -> list[int]:
        """Indices of the connections into it."""
        names = {p.name for p in self.populations}
        return [i for i, c in enumerate(self.whole.connections) if c.sink in names]

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        return {p.name: p.shape for p in self.whole.populations}

    def bits(self, ranges: Mapping[str, tuple[int, int]]) -> int:
        """Width of the payloads that it reads.

        Args:
            ranges: Smallest and largest payload of each population.
        """
        sides = [side for source in self.sources for side in ranges[source]]
        return min(INPUT_BITS[-1], max(1, *map(abs, sides)).bit_length() + 1)

    def alone(self, ranges: Mapping[str, tuple[int, int]]) -> Program:
        """The section as a program that reads frames; its own populations follow the input.

        Args:
            ranges: Smallest and largest payload of each population.
        """
        taken = [p.name for p in self.whole.populations]
        entry = self._entry(_free("frontier", taken), self.bits(ranges))
        maps = _maps(self.sources, self._shapes)
        connections = [
            replace(c, source=entry.name, factors=(*maps[c.source], *c.factors))
            if c.source in maps
            else c
            for c in (self.whole.connections[i] for i in self._joined)
        ]
        ends: list[Population] = []
        if not any(isinstance(p, Readout) for p in self.populations):
            end = Readout(_free("end", taken), (1,), np.zeros(1, np.int32), np.ones(1))
            connections += [Connection(name, end.name, (_FIRST,)) for name in self.read_behind]
            ends.append(end)
        populations = (entry, *self.populations, *ends)
        whole = self.whole
        return Program(populations, tuple(connections), whole.timesteps, whole.membrane_bits)

    def _entry(self, name: str, bits: int) -> Input:
        shapes = [self._shapes[source] for source in self.sources]
        shape = shapes[0] if len(shapes) == 1 else (sum(map(math.prod, shapes)),)
        ones = np.ones([1] * len(shape))
        return Input(name, shape, bits, ones, ones, np.zeros(ones.shape), Coding.FRAMES)

    def frames(self, spikes: Mapping[str, Array]) -> Array:
        """What the program reads, (images, T, *shape).

        Args:
            spikes: Payloads of its sources, (T or 1, images, *shape).
        """
        frames = [_frames(spikes[source], self.whole.timesteps) for source in self.sources]
        if len(frames) > 1:
            return np.concatenate(frames, axis=2)
        return frames[0].reshape(*frames[0].shape[:2], *self._shapes[self.sources[0]])

    def entered(self, totals: Totals, own: Totals) -> Totals:
        """Totals of the whole program, with what was counted in this section, and its outputs.

        Args:
            totals: Its counts are overwritten.
            own: Of a run of the section alone.
        """
        count = len(self.populations)
        totals.events[self.first : self.stop] = own.events[1 : 1 + count]
        joined = self._joined
        totals.synaptic_events[joined] = own.synaptic_events[: len(joined)]
        totals.synaptic_spikes[joined] = own.synaptic_spikes[: len(joined)]
        ends = self.stop == len(self.whole.populations)
        return replace(totals, outputs=own.outputs) if ends else totals


def _free(name: str, taken: list[str]) -> str:
    """A name that no population has."""
    return name + "_" * sum(other.startswith(name) for other in taken)


def _frames(spikes: Array, timesteps: int) -> Array:
    """(T or 1, images, …) → (images, T, payloads)."""
    steps = np.broadcast_to(spikes, (timesteps, *spikes.shape[1:]))
    return np.ascontiguousarray(steps.reshape(*steps.shape[:2], -1).swapaxes(0, 1))


def _maps(sources: tuple[str, ...], shapes: Mapping[str, Shape]) -> dict[str, tuple[Factor, ...]]:
    """What takes each source's payloads out of the frames; nothing if there is but one."""
    if len(sources) == 1:
        return {sources[0]: ()}
    sizes: Int64 = np.array([math.prod(shapes[source]) for source in sources])
    starts = np.cumsum(sizes) - sizes
    return {
        source: (Gather((start + np.arange(size)).reshape(shapes[source]).astype(np.int32)),)
        for source, start, size in zip(sources, starts, sizes, strict=True)
    }
