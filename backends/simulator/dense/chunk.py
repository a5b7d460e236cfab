"""One chunk of images through a whole program, population by population."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

import numpy as np

from spikec.backends.base import BackendRun
from spikec.backends.counts import store_counts
from spikec.backends.simulator.dense.currents import Currents
from spikec.backends.simulator.dense.firing import Neurons
from spikec.backends.simulator.dense.payloads import payload_type
from spikec.backends.simulator.dense.plan import Plan
from spikec.backends.simulator.dense.pooling import Counters
from spikec.backends.simulator.threads import StoppedError
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.populations import AdaFire, Coding, Input, MaxPool, Population, Readout


@dataclass(frozen=True, eq=False)
class Chunk:
    """Images that one thread takes through the program; results go to their place in a run.

    Attributes:
        plan: The prepared program.
        result: Arrays of the whole run.
        images: The place of these images in it.
    """

    plan: Plan
    result: BackendRun
    images: slice

    def run(self, inputs: Array, stop: Event) -> int:
        """Fill the result from inputs (images, …); the number of images.

        Raises:
            StoppedError: ``stop`` was set.
        """
        spikes: dict[str, Array] = {}
        for population in self.plan.program.populations:
            if stop.is_set():
                raise StoppedError
            match population:
                case Input():
                    spikes[population.name] = self._emitted(population, inputs)
                case Readout():
                    self._read(population, self._currents(population, spikes))
                case _:
                    currents = self._currents(population, spikes)
                    spikes[population.name] = self._fired(population, currents)
            if population.name in spikes:
                self._count(population.name, spikes[population.name])
            for name in self.plan.finished[population.name]:
                spikes.pop(name, None)
        return len(inputs)

    def _emitted(self, source: Input, inputs: Array) -> Array:
        limit = 2 ** (source.bits - 1) - 1
        payloads = inputs.astype(payload_type(-limit, limit))
        if source.coding is Coding.DIRECT:
            return payloads[None]
        return np.ascontiguousarray(payloads.swapaxes(0, 1))

    def _currents(self, sink: Population, spikes: dict[str, Array]) -> Currents:
        target = sink.counters if isinstance(sink, MaxPool) else sink.shape
        pairs = [
            (kernels, spikes[connection.source])
            for kernels, connection in zip(
                self.plan.connections, self.plan.program.connections, strict=True
            )
            if connection.sink == sink.name
        ]
        prepared, payloads = [first for first, _ in pairs], [second for _, second in pairs]
        return Currents(target, prepared, payloads, self.plan.scratch)

    def _fired(self, population: AdaFire | MaxPool, currents: Currents) -> Array:
        name, timesteps = population.name, self.plan.program.timesteps
        low, high = self.plan.ranges[name]
        spikes = np.empty((timesteps, currents.images, *population.shape), payload_type(low, high))
        membranes = self._membranes(name)
        blocks = self._blocks(currents)
        match population:
            case AdaFire():
                saturations = self.result.populations[name].saturations[self.images].T
                neurons = Neurons(population, currents.images, self.plan.program.vmax)
                run_neurons(neurons, currents, blocks, Traces(spikes, membranes, saturations))
            case MaxPool():
                counters = Counters(population, currents.images)
                for steps in blocks:
                    counters.advance(currents.block(steps), spikes[steps])
        return spikes

    def _read(self, readout: Readout, currents: Currents) -> None:
        timesteps = self.plan.program.timesteps
        potential = np.zeros((currents.images, *readout.shape), np.int64)
        goal = self.result.readout[self.images].swapaxes(0, 1)
        for steps in self._blocks(currents):
            current = currents.block(steps).astype(np.int64) + readout.bias
            for step in range(*steps.indices(timesteps)):
                potential += current[step - steps.start if len(current) > 1 else 0]
                goal[step] = potential

    def _blocks(self, currents: Currents) -> list[slice]:
        timesteps = self.plan.program.timesteps
        if currents.steps == 1:
            return [slice(0, timesteps)]
        size = self.plan.steps_per_block(currents.images, currents.target)
        return [slice(t, min(t + size, timesteps)) for t in range(0, timesteps, size)]

    def _membranes(self, name: str) -> Array | None:
        if name not in self.result.membranes:
            return None
        return self.result.membranes[name][self.images].swapaxes(0, 1)

    def _count(self, name: str, spikes: Array) -> None:
        events, unary = self.plan.tallies[name].count(spikes.reshape(*spikes.shape[:2], -1))
        place = (name, self.images)
        store_counts(self.result, self.plan.program, place, events, unary)
        if name in self.result.spikes:
            self.result.spikes[name][self.images] = spikes.swapaxes(0, 1)


@dataclass(frozen=True, eq=False)
class Traces:
    """Where an adafire population writes: (T, images, *shape), and saturations (T, images)."""

    spikes: Array
    membranes: Array | None
    saturations: Int64


def run_neurons(neurons: Neurons, currents: Currents, blocks: list[slice], traces: Traces) -> None:
    """Advance an adafire population through all steps."""
    shape = (*traces.spikes.shape[:2], -1)
    spikes = traces.spikes.reshape(shape)
    membranes = None
    if traces.membranes is not None:
        membranes = np.empty(spikes.shape, np.int32)
    windowed = neurons.population.windowed
    for steps in blocks:
        current = currents.block(steps)
        neurons.advance(
            current.reshape(*current.shape[:2], -1),
            None if windowed else spikes[steps],
            traces.saturations[steps],
            None if windowed or membranes is None else membranes[steps],
        )
    if windowed:
        neurons.release(spikes, membranes)
    if traces.membranes is not None and membranes is not None:
        traces.membranes[...] = membranes.reshape(traces.membranes.shape)
