"""Plan: all that a run needs and that does not depend on its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spikec.backends.simulator.dense.linear import PreparedConnection, prepare
from spikec.backends.simulator.dense.payloads import payload_type
from spikec.backends.simulator.dense.scratch import Scratch
from spikec.backends.tally import Tally, tally
from spikec.compiler.bounds import payload_ranges
from spikec.compiler.populations import Coding, Input, Readout, Shape
from spikec.compiler.program import Program

CURRENT_BYTES = 1 << 20
"""Current that is computed before the neurons that it drives are advanced."""

NEURONS = 1 << 17
"""Neurons of the largest population that a chunk of images holds, if memory allows."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A program, prepared.

    Attributes:
        program: What to run.
        ranges: Smallest and largest payload by population.
        connections: In the program's order.
        tallies: What payloads count for, by population that emits.
        finished: Names of the populations whose payloads nobody needs after a population.
        image_bytes: Largest size of all live arrays, per image.
        scratch: Memory of each thread.
    """

    program: Program
    ranges: Mapping[str, tuple[int, int]]
    connections: tuple[PreparedConnection, ...]
    tallies: Mapping[str, Tally]
    finished: Mapping[str, tuple[str, ...]]
    image_bytes: int
    scratch: Scratch

    def chunk(self, images: int, threads: int, memory: int) -> int:
        """Images that a thread should take at a time: few enough for memory and caches."""
        largest = max(math.prod(population.shape) for population in self.program.populations)
        fitting = memory // (threads * self.image_bytes)
        return max(1, min(fitting, NEURONS // largest, -(-images // threads)))

    def steps_per_block(self, images: int, target: Shape) -> int:
        """Steps whose currents are computed together."""
        return max(1, CURRENT_BYTES // (4 * images * math.prod(target)))


def make_plan(program: Program) -> Plan:
    """The plan of a program.

    Raises:
        BoundError: A sum can reach 2^31.
    """
    shapes = {population.name: population.shape for population in program.populations}
    ranges, scratch = payload_ranges(program), Scratch()
    connections = tuple(
        prepare(c, shapes[c.source], ranges[c.source], scratch) for c in program.connections
    )
    tallies = {
        population.name: tally(
            population.shape, ranges[population.name], program.out_of(population.name)
        )
        for population in program.populations
        if not isinstance(population, Readout)
    }
    finished = _finished(program)
    return Plan(
        program, ranges, connections, tallies, finished, _image_bytes(program, finished), scratch
    )


def _finished(program: Program) -> dict[str, tuple[str, ...]]:
    last = {
        source.name: max(
            (i for i, p in enumerate(program.populations) for c in program.into(p.name)
             if c.source == source.name), default=index)
        for index, source in enumerate(program.populations)
    }  # fmt: skip
    return {
        population.name: tuple(name for name, end in last.items() if end == index)
        for index, population in enumerate(program.populations)
    }


def _image_bytes(program: Program, finished: Mapping[str, tuple[str, ...]]) -> int:
    """Payloads that live at once, the potentials and temporaries of one population, one block."""
    ranges = payload_ranges(program)
    live: dict[str, int] = {}
    peak = 0
    for population in program.populations:
        size, name = math.prod(population.shape), population.name
        steady = isinstance(population, Input) and population.coding is Coding.DIRECT
        steps = 1 if steady else program.timesteps
        item = 8 if isinstance(population, Readout) else payload_type(*ranges[name]).itemsize
        live[name] = steps * size * item
        peak = max(peak, sum(live.values()) + 32 * size)
        for done in finished[name]:
            del live[done]
    return peak
