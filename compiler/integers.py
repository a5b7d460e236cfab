"""The integers of any node's population, from the float graph and the scales of its sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.connections import Connection
from spikec.compiler.fixed_point import largest
from spikec.compiler.frontier import population_nodes
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.ops import op_of
from spikec.compiler.ops.windows import window
from spikec.compiler.options import CompileOptions
from spikec.compiler.path_scales import carried, per_channel, weightless_factors
from spikec.compiler.paths import Path, current_paths
from spikec.compiler.populations import Input, MaxPool, Shape
from spikec.compiler.quantization import quantize


def integers_of(
    graph: Graph,
    node: Node,
    scales: Mapping[str, Float64],
    bias: Float64,
    options: CompileOptions,
    *,
    whole: bool = False,
) -> Quantized:
    """The population at a node, with the connections into it.

    Args:
        graph: With neurons placed and thresholds set.
        node: Carries a neuron.
        scales: Scale of every population that stands before it, broadcastable to its shape.
        bias: Its current while all sources are silent, broadcastable to its shape; of no account
            for input and max_pool.
        options: Widths and timesteps.
        whole: Make steps such that thresholds need not be rounded.
    """
    assert node.neuron is not None
    match node.neuron.kind:
        case "input":
            return _input(graph, node, options)
        case "max_pool":
            return _max_pool(node, current_paths(graph, node.name), scales)
        case _:
            paths = current_paths(graph, node.name)
            return quantize(node, paths, scales, bias, options, whole=whole)


def with_integers(
    graph: Graph, bias_of: Callable[[Node], Float64], options: CompileOptions
) -> Graph:
    """The graph with the integers of every population.

    Each in topological order, since weights carry the scales of their sources and a scale is
    θ_int·s, known once the threshold is rounded.

    Args:
        graph: With neurons placed and thresholds set.
        bias_of: Current of a population while all sources are silent, broadcastable to its shape.
        options: Widths and timesteps.
    """
    scales: dict[str, Float64] = {}
    made: dict[str, Quantized] = {}
    for node in population_nodes(graph):
        made[node.name] = integers_of(graph, node, scales, bias_of(node), options)
        scales[node.name] = made[node.name].population.scale
    return graph.mapped(lambda node: node.updated(quantized=made.get(node.name)))


def _input(graph: Graph, node: Node, options: CompileOptions) -> Quantized:
    shape = node.known_shape()
    neuron = node.neuron
    assert neuron is not None
    assert neuron.threshold is not None
    scale = _spread(neuron.threshold, shape) / largest(options.input_bits)
    gain, offset = _encoding(graph, node)
    population = Input(node.name, shape, options.input_bits, scale, gain, offset)
    return Quantized(population, (), scale, np.zeros([1] * len(shape)))


def _encoding(graph: Graph, node: Node) -> tuple[Float64, Float64]:
    """Gain and offset of the constant scales and shifts between the graph's input and a node."""
    ones = [1] * len(node.known_shape())
    if not graph.sources(node.name):
        return np.ones(ones), np.zeros(ones)
    (source,) = graph.sources(node.name)
    gain, offset = _encoding(graph, graph[source])
    affine_of = op_of(node).affine
    assert affine_of is not None
    affine = affine_of(node, graph[source].known_shape())
    return (
        np.reshape(gain * affine.gain, np.broadcast_shapes(ones, np.shape(gain * affine.gain))),
        np.reshape(
            offset * affine.gain + affine.offset,
            np.broadcast_shapes(ones, np.shape(offset * affine.gain + affine.offset)),
        ),
    )


def _max_pool(node: Node, paths: tuple[Path, ...], scales: Mapping[str, Float64]) -> Quantized:
    shape = node.known_shape()
    counters = paths[0].result
    arrived = [
        per_channel(np.asarray(carried(scales[path.source], path.shape, path.steps, gains=True)))
        for path in paths
    ]
    scale = np.sum(arrived, axis=0).reshape(-1, *[1] * (len(shape) - 1))
    geometry = window(node, counters[1:])
    population = MaxPool(
        node.name,
        shape,
        counters,
        geometry.kernel,
        geometry.strides,
        geometry.pads,
        geometry.dilations,
        np.where(scale > 0, scale, 1.0),
    )
    connections = tuple(
        Connection(path.source, node.name, weightless_factors(path.steps)) for path in paths
    )
    return Quantized(population, connections, scale, np.zeros([1] * len(shape)))


def _spread(values: Float64, shape: Shape) -> Float64:
    """(C,) or (1,) → broadcastable to the shape."""
    return values.reshape(-1, *[1] * (len(shape) - 1))
