"""Lowering: a program as it runs with at least one time step per hop.

Local step t of a population is step t + depth of the run. Shorter paths into a population get
delays, so that all bring step t at once; a windowed population fires T steps after it integrates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from spikec.backends.lava.stock import Process, stock_process
from spikec.compiler.connections import Connection
from spikec.compiler.populations import AdaFire, MaxPool, Population, Shape
from spikec.compiler.program import Program


class Processes(StrEnum):
    """Which Lava processes connections become."""

    OWN = "own"
    """Ours only."""
    STOCK = "stock"
    """Lava's own Dense, Sparse and Conv wherever they are exact."""
    AUTO = "auto"
    """As STOCK, but for convolutions that Lava's Conv would be slow at."""


@dataclass(frozen=True)
class LoweredPopulation:
    """A population in time.

    Attributes:
        population: What it computes.
        depth: Steps by which it starts after the input.
        lag: Steps from its integration of a step to its firing: T if windowed, else 0.
    """

    population: Population
    depth: int
    lag: int


@dataclass(frozen=True)
class LoweredConnection:
    """A connection in time.

    Attributes:
        connection: What it computes.
        source_shape: Of the payloads.
        sink_shape: Of the currents.
        delay: Steps from a payload to its current, ≥ 1.
        process: The Lava process that computes it.
    """

    connection: Connection
    source_shape: Shape
    sink_shape: Shape
    delay: int
    process: Process


@dataclass(frozen=True)
class Lowered:
    """A whole program in time.

    Attributes:
        program: What it is made of.
        populations: In program order.
        connections: In program order.
    """

    program: Program
    populations: tuple[LoweredPopulation, ...]
    connections: tuple[LoweredConnection, ...]

    def steps(self, samples: int, observed: Iterable[str]) -> int:
        """Steps of a run of so many samples, one after the other, till the observed are through."""
        last = {self.program.readout.name, *observed}
        latency = max(p.depth + p.lag for p in self.populations if p.population.name in last)
        return samples * self.program.timesteps + latency


def lower(program: Program, processes: Processes = Processes.OWN) -> Lowered:
    """Depths, delays and processes of a program."""
    lags = {p.name: program.timesteps if _windowed(p) else 0 for p in program.populations}
    depths: dict[str, int] = {}
    for population in program.populations:
        arrivals = (depths[c.source] + lags[c.source] + 1 for c in program.into(population.name))
        depths[population.name] = max(arrivals, default=0)
    populations = tuple(
        LoweredPopulation(p, depths[p.name], lags[p.name]) for p in program.populations
    )
    connections = []
    for connection in program.connections:
        delay = depths[connection.sink] - depths[connection.source] - lags[connection.source]
        process = _process(program, connection, delay, processes)
        shapes = (program.population(connection.source).shape, _inlet(program, connection.sink))
        connections.append(LoweredConnection(connection, *shapes, delay, process))
    return Lowered(program, populations, tuple(connections))


def _process(program: Program, connection: Connection, delay: int, processes: Processes) -> Process:
    if processes is Processes.OWN or delay > 1:
        return Process.LINK
    return stock_process(program, connection, quick=processes is Processes.AUTO)


def _windowed(population: Population) -> bool:
    return isinstance(population, AdaFire) and population.windowed


def _inlet(program: Program, sink: str) -> Shape:
    """Shape of the currents into a population."""
    population = program.population(sink)
    return population.counters if isinstance(population, MaxPool) else population.shape
