"""The integers of a graph again where neurons have changed, and of all that reads them."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.frontier import population_nodes, sources_of
from spikec.compiler.integers import integers_of
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.options import CompileOptions


def requantized(
    graph: Graph,
    neurons: frozenset[str],
    options: CompileOptions,
    fixed: dict[str, Quantized] | None = None,
) -> Graph:
    """A graph whose integers fit its neurons.

    Args:
        graph: Every population has integers; those of some no longer fit.
        neurons: Names of the nodes whose neurons have changed.
        options: Widths and timesteps.
        fixed: Integers of some nodes that are known already.

    Returns:
        Populations whose sources kept their scales keep their integers; biases stay as they are.
    """
    made: dict[str, Quantized] = dict(fixed or {})
    moved: set[str] = set()
    scales: dict[str, Float64] = {}
    for node in population_nodes(graph):
        assert node.quantized is not None
        if node.name not in made:
            reads_moved = any(source in moved for source in sources_of(graph, node))
            if node.name in neurons or reads_moved:
                made[node.name] = again(graph, node, scales, options)
        scale = made.get(node.name, node.quantized).population.scale
        if not np.array_equal(scale, node.quantized.population.scale):
            moved.add(node.name)
        scales[node.name] = scale
    return graph.mapped(lambda node: node.updated(quantized=made.get(node.name, node.quantized)))


def again(
    graph: Graph, node: Node, scales: dict[str, Float64], options: CompileOptions
) -> Quantized:
    """The integers of one population from its neuron, its calibrated bias and its sources."""
    assert node.quantized is not None
    return integers_of(graph, node, scales, node.quantized.bias, options)
