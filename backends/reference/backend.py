"""ReferenceBackend: population by population, step by step; slow and obvious."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.backends.base import (
    BackendRun,
    ConnectionCounts,
    PopulationCounts,
    Progress,
    checked_inputs,
    totals_of,
    trains_of,
)
from spikec.backends.reference.connections import carried, paths
from spikec.backends.reference.populations import AdaFireState, MaxPoolState, ReadoutState
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Connection
from spikec.compiler.populations import AdaFire, Coding, Input, MaxPool, Population, Readout
from spikec.compiler.program import Program
from spikec.compiler.simulation import Fired, Totals

Train = list[Int64]
"""One array (images, *shape) per step."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What a population did: payloads, potentials after each step, saturations (images, T)."""

    population: Population
    spikes: Train
    membranes: Train
    saturations: Int64


class ReferenceBackend:
    """The golden model; every other backend emits the same integers."""

    name = "reference"

    def run(
        self,
        program: Program,
        inputs: Array,
        *,
        record: frozenset[str] = frozenset(),
        progress: Progress | None = None,
    ) -> BackendRun:
        """All T steps for a batch; see Backend.run."""
        images = checked_inputs(program, inputs, record).astype(np.int64)
        traces = traced(program, images)
        if progress is not None:
            progress(len(images))
        emitted = [trace for trace in traces.values() if trace.spikes]
        return BackendRun(
            readout=np.stack(traces[program.readout.name].membranes, axis=1),
            populations={name: _population_counts(trace) for name, trace in traces.items()},
            connections=tuple(
                _connection_counts(c, traces[c.source].spikes) for c in program.connections
            ),
            spikes={
                trace.population.name: np.stack(trace.spikes, axis=1)
                for trace in emitted
                if trace.population.name in record
            },
            membranes={
                trace.population.name: np.stack(trace.membranes, axis=1).astype(np.int32)
                for trace in emitted
                if trace.population.name in record and isinstance(trace.population, AdaFire)
            },
        )

    def readouts(self, program: Program, inputs: Array) -> Int64:
        """Read-out potentials of a whole run; see Simulate.readouts."""
        return np.moveaxis(self.run(program, inputs).readout, 1, 0)

    def currents(
        self, sink: Population, connections: Sequence[Connection], spikes: Mapping[str, Array]
    ) -> Array:
        """Input current of one population; see Simulate.currents."""
        steps = max(len(spikes[c.source]) for c in connections)
        trains = {name: _steps(payloads, steps) for name, payloads in spikes.items()}
        payloads = [{name: train[t] for name, train in trains.items()} for t in range(steps)]
        return np.stack([summed(connections, now) for now in payloads]).astype(np.int32)

    def fire(
        self, population: AdaFire | MaxPool, current: Array, timesteps: int, vmax: int
    ) -> Fired:
        """Spikes of one population under a current; see Simulate.fire."""
        currents, images = _steps(current, timesteps), current.shape[1]
        if isinstance(population, MaxPool):
            pool = MaxPoolState(population, images)
            train = np.stack([pool.step(step) for step in currents])
            return Fired(_narrow(train), None, np.zeros((images, timesteps), np.int64))
        state = AdaFireState(population, images, vmax)
        trace = Trace(population, [], [], np.zeros((images, timesteps), np.int64))
        adafire(state, currents, trace)
        membrane = state.v.astype(np.int32)
        return Fired(_narrow(np.stack(trace.spikes)), membrane, trace.saturations)

    def totals(self, program: Program, inputs: Array) -> Totals:
        """A whole run of a program; see Simulate.totals."""
        return totals_of(program, self.run(program, inputs))

    def recorded(
        self, program: Program, inputs: Array, names: Sequence[str]
    ) -> tuple[Totals, dict[str, Array]]:
        """A whole run, and payloads of some populations; see Simulate.recorded."""
        run = self.run(program, inputs, record=frozenset(names))
        return totals_of(program, run), trains_of(run)


def summed(connections: Sequence[Connection], payloads: Mapping[str, Int64]) -> Int64:
    """I[t]: the sum over the incoming connections."""
    return np.asarray(sum(carried(c, payloads[c.source]) for c in connections))


def traced(program: Program, images: Int64) -> dict[str, Trace]:
    """What every population did, by name, in program order."""
    traces: dict[str, Trace] = {}
    steps = range(program.timesteps)
    for population in program.populations:
        into = program.into(population.name)
        currents = [
            summed(into, {c.source: traces[c.source].spikes[t] for c in into})
            for t in steps
            if into
        ]
        saturations = np.zeros((len(images), len(steps)), np.int64)
        trace = Trace(population, [], [], saturations)
        match population:
            case Input():
                frames = population.coding is Coding.FRAMES
                trace.spikes.extend(images[:, t] if frames else images for t in steps)
            case AdaFire():
                adafire(AdaFireState(population, len(images), program.vmax), currents, trace)
            case MaxPool():
                pool = MaxPoolState(population, len(images))
                trace.spikes.extend(pool.step(current) for current in currents)
            case Readout():
                readout = ReadoutState(population, len(images))
                trace.membranes.extend(readout.step(current) for current in currents)
        traces[population.name] = trace
    return traces


def adafire(state: AdaFireState, currents: Train, trace: Trace) -> None:
    """Integrate and fire at each step; if windowed: all steps of the one, then of the other."""
    windowed = state.population.windowed
    for step, current in enumerate(currents):
        trace.saturations[:, step] = state.integrate(current)
        if not windowed:
            trace.spikes.append(state.fire())
            trace.membranes.append(state.v)
    for _ in currents if windowed else ():
        trace.spikes.append(state.fire())
        trace.membranes.append(state.v)


def _steps(array: Array, steps: int) -> Train:
    """A leading axis of length 1 stands for equal steps."""
    return [array[t if len(array) > 1 else 0].astype(np.int64) for t in range(steps)]


def _narrow(train: Int64) -> Array:
    """In the smallest signed type that holds the values."""
    return train.astype(np.min_scalar_type(-int(np.abs(train).max(initial=0)) - 1))


def _population_counts(trace: Trace) -> PopulationCounts:
    none = np.zeros_like(trace.saturations)
    return PopulationCounts(
        neurons=math.prod(trace.population.shape),
        events=_per_step([_total(n != 0) for n in trace.spikes]) if trace.spikes else none,
        spikes=_per_step([_total(abs(n)) for n in trace.spikes]) if trace.spikes else none,
        saturations=trace.saturations,
    )


def _connection_counts(connection: Connection, train: Train) -> ConnectionCounts:
    """Synaptic operations: the events themselves, sent through weights of one."""
    events = [(n != 0).astype(np.int64) for n in train]
    spikes = [abs(n) for n in train]

    def sent(payloads: Train, *, nonzero: bool) -> Int64:
        return _per_step([paths(connection, n, nonzero=nonzero) for n in payloads])

    all_events, all_spikes = sent(events, nonzero=False), sent(spikes, nonzero=False)
    return ConnectionCounts(
        events=all_events,
        spikes=all_spikes,
        zero_events=all_events - sent(events, nonzero=True),
        zero_spikes=all_spikes - sent(spikes, nonzero=True),
    )


def _total(values: Array) -> Int64:
    """The sum per image."""
    return np.asarray(values.sum(axis=tuple(range(1, values.ndim)), dtype=np.int64))


def _per_step(counts: Sequence[Int64]) -> Int64:
    """(images, T) from one (images,) per step."""
    return np.stack(counts, axis=1)
