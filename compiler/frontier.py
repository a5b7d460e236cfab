"""Frontier: what later populations still need of earlier ones while passes walk the graph.

A walk visits populations in topological order and keeps, beside each other, the ANN's activations
and the integer spikes of every population that a later one reads; the rest is dropped. Nothing is
run twice, so a walk costs one pass of the ANN and one of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.ir import Graph, Node
from spikec.compiler.paths import current_paths


def population_nodes(graph: Graph) -> tuple[Node, ...]:
    """Nodes that carry a neuron, in topological order."""
    return tuple(node for node in graph if node.neuron is not None)


def visited(graph: Graph, progress: Callable[[int, int], None]) -> Iterator[Node]:
    """The populations one by one; before each, and last, progress is told of done and of all."""
    nodes = population_nodes(graph)
    for done, node in enumerate(nodes):
        progress(done, len(nodes))
        yield node
    progress(len(nodes), len(nodes))


def sources_of(graph: Graph, node: Node) -> tuple[str, ...]:
    """Names of the populations that feed the one at a node, each once."""
    if node.neuron is None or node.neuron.kind == "input":
        return ()
    return tuple(dict.fromkeys(path.source for path in current_paths(graph, node.name)))


def last_readers(graph: Graph) -> dict[str, str]:
    """For each population that feeds another: the last one that it feeds."""
    return {
        source: node.name for node in population_nodes(graph) for source in sources_of(graph, node)
    }


def misled_behind(graph: Graph) -> dict[str, int]:
    """For each population: how many behind it, one after the other, fire on what comes half-way.

    The longest chain of readers; a window and the read-out answer only what has come at the end.
    """
    nodes = population_nodes(graph)
    chain = {node.name: 0 for node in nodes}
    for node in reversed(nodes):
        assert node.neuron is not None
        if node.neuron.windowed or node.neuron.kind == "readout":
            continue
        behind = chain[node.name] + (1 if node.neuron.kind == "adafire" else 0)
        for source in sources_of(graph, node):
            chain[source] = max(chain[source], behind)
    return chain


class Frontier:
    """Activations and spikes by node name.

    Attributes:
        activations: The ANN's, float32, (images, *shape).
        spikes: The program's, (T or 1, images, *shape).
    """

    def __init__(self, graph: Graph) -> None:
        self._last_reader = last_readers(graph)
        self.activations: dict[str, Array] = {}
        self.spikes: dict[str, Array] = {}

    def advance(self, name: str, activation: Array, spikes: Array | None) -> None:
        """Keep what a population gave, and drop what only it still needed."""
        for source, reader in self._last_reader.items():
            if reader == name:
                del self.activations[source], self.spikes[source]
        if spikes is not None and name in self._last_reader:
            self.activations[name], self.spikes[name] = activation, spikes


def bytes_held(graph: Graph, *, own: int, kept: int) -> int:
    """The most bytes that a walk holds at once per image, at least 1.

    Args:
        graph: What is walked.
        own: Bytes per neuron of the population that is visited.
        kept: Bytes per neuron of those before it that it or a later one reads.
    """
    live: dict[str, int] = {}
    last_reader = last_readers(graph)
    most = 1
    for node in population_nodes(graph):
        neurons = int(np.prod(node.known_shape()))
        most = max(most, neurons * own + sum(live.values()))
        for source in sources_of(graph, node):
            if last_reader[source] == node.name:
                live.pop(source, None)
        live[node.name] = neurons * kept
    return most
