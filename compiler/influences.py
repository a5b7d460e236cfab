"""What errors of a layer's channels do to the output, relative to each other.

Errors that do not depend on each other add by their squares. Where each neuron of a channel is off
by one, a neuron behind it is off by Σ W² over what reaches it, and so on to the output: one pass
over the layers, from the last to the first. Rectifiers are taken to pass all. Source: ours.
"""

from __future__ import annotations

import math

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.connections import GlobalSum, SumPool
from spikec.compiler.drives import drive
from spikec.compiler.frontier import population_nodes
from spikec.compiler.ir import Graph, Node
from spikec.compiler.path_scales import input_channels
from spikec.compiler.paths import Path, current_paths


def influences(graph: Graph) -> dict[str, Float64]:
    """By name of a population: mean squared error of the outputs per squared error of a channel.

    Of every population that another reads and that is no input, (C,): equal for all of its channels
    where they have one threshold.

    Args:
        graph: With neurons placed.
    """
    found: dict[str, Float64] = {}
    for node in reversed(population_nodes(graph)):
        behind = found.get(node.name, np.ones(node.known_shape()[0]))
        for path in current_paths(graph, node.name) if _is_driven(node) else ():
            source = graph[path.source]
            if _is_driven(source):
                found[source.name] = found.get(source.name, 0) + _through(
                    path, source, node, behind
                )
    return found


def _is_driven(node: Node) -> bool:
    return node.neuron is not None and node.neuron.kind != "input"


def _has_channels(node: Node) -> bool:
    """Whether each row of weights arrives in one channel of a population."""
    return node.neuron is not None and node.neuron.per_channel and node.neuron.kind != "readout"


def _through(path: Path, source: Node, sink: Node, behind: Float64) -> Float64:
    """What errors of the source do by way of one path, (channels of the source,)."""
    channels = len(behind) if _has_channels(sink) else 1
    each = drive(path, np.ones(1), sink.known_shape(), channels)
    worth = np.append(behind if channels > 1 else behind.mean(), 0.0)
    squares = np.square(each.weights) * worth[each.channel_of_weights()] * _summed(path)
    count = source.known_shape()[0]
    if not _has_channels(source):
        return np.full(count, squares.sum() / count)
    read = input_channels(path.shape, each.path)[each.path.synapses.inputs]
    read = np.broadcast_to(read, squares.shape)
    return np.bincount(read.ravel(), squares.ravel(), count + 1)[1:].astype(np.float64)


def _summed(path: Path) -> int:
    """How many values pools add up on a path, of which each has an error of its own."""
    count, shape = 1, path.shape
    for step in path.steps:
        match step.apply:
            case SumPool(kernel=kernel):
                count *= math.prod(kernel)
            case GlobalSum():
                count *= math.prod(shape[1:])
        shape = step.shape
    return count
