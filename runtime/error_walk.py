"""One batch through ANN and program side by side, population by population."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float32, Float64, Int64
from spikec.compiler.error_terms import (
    Drive,
    Terms,
    activated,
    firing_terms,
    input_terms,
    pool_terms,
    readout_terms,
)
from spikec.compiler.frontier import (
    Frontier,
    bytes_held,
    last_readers,
    population_nodes,
)
from spikec.compiler.ir import Graph, Node
from spikec.compiler.populations import AdaFire, Input, MaxPool, Readout
from spikec.compiler.program import Program
from spikec.compiler.regions import Region
from spikec.compiler.simulation import Simulate

_BATCH_BYTES = 512 * 2**20
_BATCH = 64
_TERM_BYTES = 144
"""Per neuron: the arrays of float64 that the parts of an error take, and their temporaries."""


@dataclass(frozen=True, eq=False)
class Visit:
    """What was found at one population.

    Attributes:
        name: Of the population.
        terms: Its error.
        exact: The ANN's outputs, float32, (images, *read-out shape).
        own: The same if this population alone adds its own error to the ANN's activation.
        whole: The same if it sends what it sends in the program, errors of its sources included.
    """

    name: str
    terms: Terms
    exact: Float32
    own: Float32
    whole: Float32


class ErrorWalk:
    """The maps of the float network and the integer program, prepared once.

    Args:
        program: The integers.
        graph: The float network with a neuron at each node that is a population.
        simulate: Tells the integer spikes.
    """

    def __init__(self, program: Program, graph: Graph, simulate: Simulate) -> None:
        self._program, self._graph, self._simulate = program, graph, simulate
        self._ann = Ann()
        self._nodes = population_nodes(graph)
        self._regions = {node.name: Region(graph, node.name, self._ann) for node in self._nodes}
        inner = (node for node in self._nodes if node.neuron and node.neuron.kind != "input")
        self._biases = {node.name: self._regions[node.name].bias() for node in inner}
        self._last_reader = last_readers(graph)

    def __len__(self) -> int:
        """Number of populations."""
        return len(self._nodes)

    def batch_size(self) -> int:
        """Images that bounded memory carries at once, 1…64."""
        timesteps = self._program.timesteps
        held = bytes_held(self._graph, own=5 * timesteps + _TERM_BYTES, kept=timesteps + 16)
        return int(np.clip(_BATCH_BYTES // held, 1, _BATCH))

    def visits(self, inputs: Float32, payloads: Array) -> Iterator[Visit]:
        """Every population in order.

        Args:
            inputs: What the model reads, (images, *input shape).
            payloads: The program's quantised input, (images, *input shape).
        """
        frontier = Frontier(self._graph)
        means: dict[str, Float32] = {}
        exact: Float32 | None = None
        for place, node in enumerate(self._nodes):
            if node.neuron is not None and node.neuron.kind == "input":
                terms, spikes = self._input(node, inputs, payloads)
            else:
                terms, spikes = self._inner(node, frontier, means)
            activation = terms.activation.astype(np.float32)
            frontier.advance(node.name, activation, spikes)
            means = {name: means[name] for name in frontier.spikes if name in means}
            means[node.name] = terms.mean.astype(np.float32)
            if exact is None:
                exact = self._outputs(place, {node.name: activation})
            yield self._visit(place, terms, exact, frontier.activations)

    def _input(self, node: Node, inputs: Float32, payloads: Array) -> tuple[Terms, Array | None]:
        population = self._program.population(node.name)
        assert isinstance(population, Input)
        (batch,) = self._ann.activations(self._graph, [node.name], [inputs])
        return input_terms(population, batch[node.name], payloads), payloads[None]

    def _inner(
        self, node: Node, frontier: Frontier, means: Mapping[str, Float32]
    ) -> tuple[Terms, Array | None]:
        population = self._program.population(node.name)
        region, steps = self._regions[node.name], self._program.timesteps
        connections = self._program.into(node.name)
        current = self._simulate.currents(population, connections, frontier.spikes)
        exact = self._activation(node, frontier.activations)
        if isinstance(population, MaxPool):
            spikes = self._simulate.fire(population, current, steps, self._program.vmax).spikes
            mean = spikes.sum(axis=0, dtype=np.int64) * (population.scale / steps)
            return pool_terms(exact, region.activation(_of(region, means)), mean), spikes
        drive = Drive(
            exact, region.drive(_of(region, means)), _summed(current, steps), self._bias(node)
        )
        if isinstance(population, Readout):
            return readout_terms(population, drive, steps), None
        assert isinstance(population, AdaFire)
        fired = self._simulate.fire(population, current, steps, self._program.vmax)
        assert node.neuron is not None
        terms = firing_terms(population, drive, fired, steps, node.neuron.ceiling)
        return terms.read(node.neuron.copy_of), fired.spikes

    def _bias(self, node: Node) -> Float64:
        return self._biases[node.name]

    def _activation(self, node: Node, values: Mapping[str, Array]) -> Array:
        """The float layer on values of its sources."""
        region, neuron = self._regions[node.name], node.neuron
        assert neuron is not None
        given = _of(region, values)
        if neuron.kind == "max_pool":
            return region.activation(given)
        drive = region.drive(given)
        # One map per layer: its activation function is known without another session.
        if neuron.kind == "readout":
            return drive
        return activated(drive, neuron.fire, neuron.ceiling)

    def _visit(self, place: int, terms: Terms, exact: Float32, live: Mapping[str, Array]) -> Visit:
        name, images = self._nodes[place].name, len(exact)
        values = {other: np.concatenate([kept, kept]) for other, kept in live.items()}
        changed = np.concatenate([terms.activation + terms.own, terms.mean])
        values[name] = changed.astype(np.float32)
        outputs = self._outputs(place, values)
        return Visit(name, terms, exact, outputs[:images], outputs[images:])

    def _outputs(self, place: int, values: dict[str, Array]) -> Float32:
        """What the float layers behind one population make of the values that they read."""
        for node in self._nodes[place + 1 :]:
            values[node.name] = self._activation(node, values)
            for source in self._regions[node.name].sources:
                if self._last_reader[source] == node.name:
                    values.pop(source, None)
        return values[self._nodes[-1].name]


def _of(region: Region, values: Mapping[str, Array]) -> dict[str, Array]:
    return {source: values[source] for source in region.sources}


def _summed(current: Array, timesteps: int) -> Int64:
    """ΣI, of a current whose leading axis of length 1 stands for T equal steps."""
    total: Int64 = current.sum(axis=0, dtype=np.int64)
    return total * timesteps if len(current) == 1 else total
