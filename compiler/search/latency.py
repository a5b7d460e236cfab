"""Latency: steps from the first input to the last output on a chip with one step per hop."""

from __future__ import annotations

from spikec.compiler.frontier import population_nodes, sources_of
from spikec.compiler.ir import Graph


def latency(graph: Graph, timesteps: int) -> int:
    """T plus the longest path to the read-out: one step per hop, T more per windowed population.

    Source: the integer contract, section "Time".
    """
    arrival: dict[str, int] = {}
    for node in population_nodes(graph):
        assert node.neuron is not None
        sources = sources_of(graph, node)
        hop = 1 + max(arrival[source] for source in sources) if sources else 0
        arrival[node.name] = hop + (timesteps if node.neuron.windowed else 0)
    return timesteps + max(arrival.values())
