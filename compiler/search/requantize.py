"""The integers of a graph again where neurons have changed, and of all that reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.frontier import population_nodes, sources_of
from spikec.compiler.integers import integers_of
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.options import CompileOptions

_ROUNDING = 1 / 64
"""Thresholds of 64 units and more are rounded by no more than half of this, before and after."""


def requantized(graph: Graph, neurons: frozenset[str], options: CompileOptions) -> Graph:
    """A graph whose integers fit its neurons.

    Args:
        graph: Every population has integers; those of some no longer fit.
        neurons: Names of the nodes whose neurons have changed.
        options: Widths and timesteps.

    Returns:
        Populations whose sources kept their scales keep their integers; biases stay as they are.
    """
    made: dict[str, Quantized] = {}
    moved: set[str] = set()
    scales: dict[str, Float64] = {}
    for node in population_nodes(graph):
        assert node.quantized is not None
        reads_moved = any(source in moved for source in sources_of(graph, node))
        if node.name in neurons or reads_moved:
            made[node.name] = again(graph, node, scales, options)
        scale = made.get(node.name, node.quantized).population.scale
        if not np.array_equal(scale, node.quantized.population.scale):
            moved.add(node.name)
        scales[node.name] = scale
    return graph.mapped(lambda node: node.updated(quantized=made.get(node.name, node.quantized)))


def followed(
    graph: Graph,
    behind: Sequence[Node],
    name: str,
    quantized: Quantized,
    options: CompileOptions,
) -> dict[str, Quantized]:
    """The integers of a population, by name, and of those that follow it.

    Those that read it do. Behind them scales differ by the rounding of thresholds alone, and all
    integers are left as they are: a trial costs no more the deeper the network is.

    Args:
        graph: Every population has integers.
        behind: All nodes with a neuron behind that of the population, in topological order.
        name: Of the population.
        quantized: Its new integers.
        options: Widths and timesteps.
    """
    made, moved = {name: quantized}, {name}
    scales: dict[str, Float64] = {}
    for node in behind:
        assert node.quantized is not None
        sources = {connection.source for connection in node.quantized.connections}
        if sources.isdisjoint(moved):
            continue
        for source in sources:
            own = graph[source].quantized
            assert own is not None
            scales[source] = made.get(source, own).population.scale
        made[node.name] = again(graph, node, scales, options)
        before, after = node.quantized.population.scale, made[node.name].population.scale
        if not np.allclose(before, after, rtol=_ROUNDING, atol=0.0):
            moved.add(node.name)
    return made


def again(
    graph: Graph, node: Node, scales: dict[str, Float64], options: CompileOptions
) -> Quantized:
    """The integers of one population from its neuron, its calibrated bias and its sources."""
    assert node.quantized is not None
    return integers_of(graph, node, scales, node.quantized.bias, options)
