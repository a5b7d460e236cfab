"""Where each weight of the network lies on the grid that quantize-weights will give it.

A program's weight is round(W·θ·g/(s·2^e)), with θ the threshold of the population that it reads,
g the constant gains on the way, s the step of the channel that it adds to, and 2^e the exponent of
its connection. s follows from the largest weight of the channel, over all connections into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Float64, Int64
from spikec.compiler.drives import channels_of_rows
from spikec.compiler.fixed_point import largest
from spikec.compiler.frontier import population_nodes
from spikec.compiler.integers import with_integers
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.path_scales import (
    NotUniformError,
    SplitPath,
    carried,
    input_channels,
    input_values,
    output_rows,
    per_channel,
    row_gains,
    split,
)
from spikec.compiler.paths import Path, current_paths


@dataclass(frozen=True, eq=False)
class Summand:
    """The weights of one path into a population.

    Attributes:
        node: Name of the node that holds the weights; empty for a path without any, whose weights
            are 1.
        source: Population that the path starts at.
        size: Shape of the weights, outputs first for a dense matrix.
        readers: For each weight, the channel of the source that it reads, −1: none, ``size``.
        gains: For each weight, the constant factors on the path, ``size``.
        channels: For each weight, the channel of the sink that it adds to, −1: none, ``size``.
        factor: 2^e, relative to the other paths of the population.
    """

    node: str
    source: str
    size: tuple[int, ...]
    readers: Int64
    gains: Float64
    channels: Int64
    factor: float


@dataclass(frozen=True, eq=False)
class WeightGrid:
    """The paths into one population, whose channels share their steps.

    Attributes:
        channels: Number of steps: channels of the population, or 1.
        limit: Largest magnitude of an integer weight.
        summands: One per path.
    """

    channels: int
    limit: int
    summands: tuple[Summand, ...]


def weight_grids(graph: Graph, options: CompileOptions) -> tuple[WeightGrid, ...]:
    """One per population that is driven by weights.

    Args:
        graph: With neurons placed and thresholds set.
        options: Widths.
    """
    graph = with_integers(graph, lambda node: np.zeros([1] * len(node.known_shape())), options)
    return tuple(
        _grid(graph, node, options)
        for node in population_nodes(graph)
        if node.neuron is not None and node.neuron.kind in ("adafire", "readout")
    )


def counter_readers(graph: Graph) -> dict[str, tuple[str, Int64]]:
    """For each max_pool: the population that it counts, and which channel of it each counts.

    A pool over a concatenation is told of by its first operand alone.
    """
    found = {}
    for node in graph:
        if node.neuron is not None and node.neuron.kind == "max_pool":
            path = current_paths(graph, node.name)[0]
            numbers = np.arange(1, path.shape[0] + 1).reshape(-1, *[1] * (len(path.shape) - 1))
            try:
                arrived = per_channel(
                    carried(
                        np.broadcast_to(numbers, path.shape), path.shape, path.steps, gains=False
                    )
                )
            except NotUniformError:  # one threshold for all
                arrived = np.ones(node.known_shape()[0])
            readers = np.asarray(arrived, np.int64).reshape(-1) - 1
            found[node.name] = (path.source, np.maximum(readers, 0))
    return found


def _grid(graph: Graph, node: Node, options: CompileOptions) -> WeightGrid:
    assert node.neuron is not None
    assert node.quantized is not None
    exponents = [connection.exponent for connection in node.quantized.connections]
    per_channel = node.neuron.per_channel and node.neuron.kind == "adafire"
    channels = node.known_shape()[0] if per_channel else 1
    summands = tuple(
        _summand(path, node, channels, 2.0 ** (exponent - min(exponents)))
        for path, exponent in zip(current_paths(graph, node.name), exponents, strict=True)
    )
    return WeightGrid(channels, largest(options.weight_bits), summands)


def _summand(path: Path, node: Node, channels: int, factor: float) -> Summand:
    part = split(path)
    synapses = part.synapses
    size = synapses.weights.shape
    readers, input_gains = _inputs(path, part)
    gains = input_gains[synapses.inputs] * (row_gains(part) * path.gain)[synapses.outputs]
    arrived = output_rows(part, node.known_shape())
    rows = channels_of_rows(arrived, part.result[0], channels)
    return Summand(
        synapses.node,
        path.source,
        size,
        np.broadcast_to(readers[synapses.inputs], size),
        np.broadcast_to(gains, size),
        np.broadcast_to(rows[synapses.outputs], size),
        factor,
    )


def _inputs(path: Path, part: SplitPath) -> tuple[Int64, Float64]:
    """Per input of the synapses: the source's channel, −1 for none, and the gains before it."""
    gains = input_values(np.ones([1] * len(path.shape)), path.shape, part)
    try:
        readers = input_channels(path.shape, part)
    except NotUniformError:  # the source has one threshold, which stands in its first channel
        readers = np.ones(len(gains), np.int64)
    return readers - 1, np.asarray(gains, np.float64)
