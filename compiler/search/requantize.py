"""The integers of a graph again where neurons have changed, and of all that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.frontier import population_nodes, sources_of
from spikec.compiler.integers import integers_of
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.options import CompileOptions


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

    Those that read it do; they keep their scales, with steps that are made to suit. All behind them
    can be left as it is then: a trial costs no more the deeper the network is.

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
        made[node.name] = integers_of(
            graph, _at_its_scale(node), scales, node.quantized.bias, options, whole=True
        )
        before, after = node.quantized.population.scale, made[node.name].population.scale
        if not np.allclose(before, after, rtol=1e-9, atol=0.0):
            moved.add(node.name)
    return made


def _at_its_scale(node: Node) -> Node:
    """The node with thresholds as its integers have them."""
    assert node.neuron is not None
    assert node.quantized is not None
    if node.neuron.threshold is None:
        return node
    held = node.quantized.population.scale.reshape(-1)
    return node.updated(neuron=replace(node.neuron, threshold=held))


def again(
    graph: Graph, node: Node, scales: dict[str, Float64], options: CompileOptions
) -> Quantized:
    """The integers of one population from its neuron, its calibrated bias and its sources."""
    assert node.quantized is not None
    return integers_of(graph, node, scales, node.quantized.bias, options)
