"""Which populations can have a threshold per channel, and which only one for all.

A scale per channel must survive on the way to the next weights; a step per channel must arrive in
one channel of the sink. Where a transposition, a reshape or the like mixes channels, the
population takes one threshold for all its neurons.
"""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.errors import UnsupportedOpError, Where
from spikec.compiler.ir import Graph, Node
from spikec.compiler.path_scales import (
    NotUniformError,
    SplitPath,
    carried,
    input_channels,
    input_values,
    output_rows,
    per_channel,
    split,
)
from spikec.compiler.paths import Gain, Path, current_paths
from spikec.compiler.populations import Shape


def layerwise_populations(graph: Graph) -> frozenset[str]:
    """Names of the populations that need one threshold for all neurons."""
    layerwise: set[str] = set()
    for node in reversed(tuple(graph)):
        if node.neuron is None or node.neuron.kind == "input":
            continue
        for path in current_paths(graph, node.name):
            if node.neuron.kind == "max_pool":
                mixed = node.name in layerwise or not _counters_uniform(path)
            else:
                mixed = not _inputs_uniform(path)
                if node.neuron.kind == "adafire" and not _rows_aligned(path, node):
                    layerwise.add(node.name)
            if mixed:
                layerwise.add(path.source)
                if node.neuron.kind == "max_pool":
                    layerwise.add(node.name)
    return frozenset(layerwise)


def _channel_numbers(shape: Shape) -> Array:
    return np.arange(1, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))


def _counters_uniform(path: Path) -> bool:
    try:
        numbers = carried(_channel_numbers(path.shape), path.shape, path.steps, gains=False)
        per_channel(np.asarray(numbers))
    except NotUniformError:
        return False
    return True


def _inputs_uniform(path: Path) -> bool:
    part = split(path)
    _check_gains(path, part)
    try:
        input_channels(path.shape, part)
    except NotUniformError:
        return False
    return True


def _check_gains(path: Path, part: SplitPath) -> None:
    names = [step.apply.node for step in part.before if isinstance(step.apply, Gain)]
    if not names:
        return
    try:
        input_values(np.ones([1] * len(path.shape)), path.shape, part)
    except NotUniformError:
        raise UnsupportedOpError(
            "its factors differ within one channel that the next layer's weights read",
            Where(names[0]),
            "export the model with the normalisation folded into the layer behind it",
        ) from None


def _rows_aligned(path: Path, node: Node) -> bool:
    """Whether each row of weights arrives in one channel, and each channel receives one row."""
    shape = node.known_shape()
    try:
        rows = output_rows(split(path), shape)
        rows = np.asarray(per_channel(rows)).reshape(-1)
    except NotUniformError:
        return False
    if rows.size != shape[0]:
        return shape[0] == 1
    arrived = rows[rows > 0]
    return np.unique(arrived).size == arrived.size
