"""Plan: a program as layers of kernels, with all that does not depend on its inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spikec.backends.simulator.events import nodes
from spikec.backends.simulator.events.arena import Buffer, aligned, arena_for
from spikec.backends.simulator.events.driver import PHASES, Driver
from spikec.backends.simulator.events.fan_outs import FanOuts, fan_outs
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.kernels import KernelLibrary, KernelSpec
from spikec.backends.simulator.events.layers import Layer, Sink
from spikec.backends.simulator.events.links import Link, Relay, chained
from spikec.backends.simulator.events.machine import Machine
from spikec.compiler.bounds import payload_ranges
from spikec.compiler.populations import AdaFire, Coding, Input, MaxPool, Population, Readout
from spikec.compiler.program import Program

Result = tuple[tuple[int, ...], np.dtype[np.generic]]
"""Shape per image, and type."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What to run.

    Attributes:
        program: The program.
        fields: Payloads of each node that sends any, by name, in order.
        layers: All nodes but the input, in order.
        tallies: What payloads count for, by name of population.
        lifetimes: Indices of the first and last layer that need a node's payloads.
        results: Arrays that a workspace holds for the caller.
        addresses: Machine code by the kernel's symbol.
        drive: Address of the driver.
        sizes: Bytes per image and per thread.
    """

    program: Program
    fields: Mapping[str, Field]
    layers: tuple[Layer, ...]
    tallies: Mapping[str, FanOuts]
    lifetimes: Mapping[str, tuple[int, int]]
    results: Mapping[str, Result]
    addresses: Mapping[str, int]
    drive: int
    sizes: Mapping[str, int]

    @property
    def payload_types(self) -> dict[str, np.dtype[np.generic]]:
        """The type of each node's payloads, by name."""
        return {name: field.payload_type for name, field in self.fields.items()}

    @property
    def source(self) -> str:
        """Name of the input."""
        return self.program.input.name


def make_plan(
    program: Program, library: KernelLibrary, record: frozenset[str], *, narrow: bool = True
) -> Plan:
    """The plan of a program.

    Args:
        program: What to run.
        library: Makes the kernels.
        record: Populations whose potentials are kept at every step.
        narrow: Whether sums of 16 bits may be used.

    Raises:
        MachineCodeError: A kernel cannot be made.
    """
    building = Building(program, library.machine, record, narrow)
    layers = tuple(building.layers())
    kernels = {call.kernel for layer in layers for p in PHASES for call in layer.phases[p]}
    driver = Driver()
    specs: list[KernelSpec] = [*kernels, driver]
    addresses = {spec.name: address for spec, address in library.load(specs).items()}
    lifetimes = _lifetimes(building.fields, layers)
    results = building.results()
    sizes = _sizes(building.fields, layers, lifetimes, results)
    return Plan(
        program, building.fields, layers, building.tallies, lifetimes, results,
        addresses, addresses[driver.name], sizes,
    )  # fmt: skip


class Building:
    """A plan under construction."""

    def __init__(
        self, program: Program, machine: Machine, record: frozenset[str], narrow: bool
    ) -> None:
        self.program = program
        self.machine = machine
        self.record = record
        self.narrow = narrow
        self.ranges = payload_ranges(program)
        self.fields: dict[str, Field] = {}
        self.tallies: dict[str, FanOuts] = {}

    def layers(self) -> Iterator[Layer]:
        """The layers in order; fields and tallies are known when all are made."""
        for population in self.program.populations:
            name = population.name
            if not isinstance(population, Readout):
                self.fields[name] = self._field(population)
                self.tallies[name] = fan_outs(self.fields[name], self.program.out_of(name))
            links: list[Link] = []
            for index, connection in enumerate(self.program.into(name)):
                source = self.fields[connection.source]
                relays, link = chained(connection, source, f"{name}:{index}")
                for relay in relays:
                    self.fields[relay.name] = relay.field
                    yield self._relay(relay)
                links.append(link)
            layer = self._layer(population, links)
            if name in self.tallies:
                self._count(layer)
            yield layer

    def _count(self, layer: Layer) -> None:
        field, tally = self.fields[layer.name], self.tallies[layer.name]
        phase = "constant" if field.steps == 1 and not layer.sources else "after"
        lanes = 2 * self.machine.lanes  # counted in bytes
        layer.phases[phase].append(tally.call(layer.name, lanes))
        layer.scratch.update(tally.scratch)

    def _field(self, population: Population) -> Field:
        low, high = self.ranges[population.name]
        steady = isinstance(population, Input) and population.coding is Coding.DIRECT
        steps = 1 if steady else self.program.timesteps
        return Field(population.shape, low, high, steps)

    def _relay(self, relay: Relay) -> Layer:
        if relay.gather is not None:
            return nodes.gather(relay)
        assert relay.link is not None  # what is no gather is a link
        return nodes.relay(self._sink(relay.name, relay.field, relay.field, [relay.link]))

    def _layer(self, population: Population, links: list[Link]) -> Layer:
        match population:
            case Input(name=name):
                return Layer(name, (), 1, {phase: [] for phase in PHASES}, (), {}, {})
            case AdaFire(name=name):
                sink = self._sink(name, self.fields[name], self.fields[name], links)
                recorded = name in self.record
                return nodes.adafire(sink, population, self.program.vmax, recorded=recorded)
            case MaxPool(name=name, counters=counters):
                inner = Field(counters, 0, 1, self.program.timesteps)
                sink = self._sink(name, self.fields[name], inner, links)
                return nodes.max_pool(sink, population)
            case Readout(name=name, shape=shape):
                field = Field(shape, 0, 1, self.program.timesteps)
                return nodes.readout(self._sink(name, field, field, links), population)

    def _sink(self, name: str, field: Field, driven: Field, links: list[Link]) -> Sink:
        timesteps = self.program.timesteps
        return Sink(name, field, driven.grid, links, self.machine, timesteps, self.narrow)

    def results(self) -> dict[str, Result]:
        """Arrays for the caller."""
        timesteps = self.program.timesteps
        results: dict[str, Result] = {}
        for population in self.program.populations:
            name = population.name
            field = self.fields.get(name) or Field(population.shape, 0, 1, timesteps)
            if isinstance(population, AdaFire):
                results[f"saturations:{name}"] = ((timesteps,), np.dtype(np.int64))
                if name in self.record:
                    cells = (timesteps, field.pixels, field.padded)
                    results[f"trace:{name}"] = (cells, np.dtype(np.int32))
            if isinstance(population, Readout):
                cells = (timesteps, field.pixels, field.padded)
                results[f"potentials:{name}"] = (cells, np.dtype(np.int64))
            else:
                tally = self.tallies[name]
                sums = ((tally.field.steps, tally.columns), np.dtype(np.int64))
                results[f"events:{name}"] = sums
                if tally.field.payload:
                    results[f"spikes:{name}"] = sums
        return results


def _lifetimes(
    fields: Mapping[str, Field], layers: tuple[Layer, ...]
) -> dict[str, tuple[int, int]]:
    made = {layer.name: index for index, layer in enumerate(layers)}
    last = dict(made)
    for index, layer in enumerate(layers):
        last.update(dict.fromkeys(layer.sources, index))
    return {name: (made[name], last[name]) for name in fields}


def _sizes(
    fields: Mapping[str, Field],
    layers: tuple[Layer, ...],
    lifetimes: Mapping[str, tuple[int, int]],
    results: Mapping[str, Result],
) -> dict[str, int]:
    """Bytes that a thread needs per image, and once; lists of events are only estimated."""
    buffers = [
        Buffer(name, field.steps * (field.bits_step + field.payloads_step), *lifetimes[name])
        for name, field in fields.items()
    ]
    kept = sum(math.prod(shape) * kind.itemsize for shape, kind in results.values())
    scratch: dict[str, int] = {}
    for layer in layers:
        parts = dict(layer.scratch)
        parts |= {name.partition(":")[0]: size for name, size in layer.state.items()}
        for use in layer.lists if layer.together == 1 else ():
            parts[str(use.entries.memory)] = (
                use.field.steps * use.field.pixels * use.field.padded * use.entry // 8 * 5 // 4
            )
        for name, size in parts.items():
            scratch[name] = max(size, scratch.get(name, 0))
    own = [layer.lists for layer in layers if layer.together > 1]
    listed = max(
        (sum(use.estimate + use.positions_size for use in uses) for uses in own), default=0
    )
    image = arena_for(buffers).size + kept + listed
    return {"image": image, "thread": sum(map(aligned, scratch.values()))}
