"""Which channels stay silent, on unseen images as well.

That no calibration image activates a channel is not enough: in a layer that tells classes apart
some answer to none of 64 images, and to one in ten of others. So a channel also has to be unable
to: its weights, on the largest values that its sources have shown, each where it drives the
channel most, give next to nothing. Training leaves such channels, whose weights decayed.
Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float64
from spikec.compiler.bounds import Interval, interval_after
from spikec.compiler.calibration import Calibration
from spikec.compiler.frontier import sources_of
from spikec.compiler.ir import Graph, Node
from spikec.compiler.ops.base import Synapses
from spikec.compiler.paths import Gain, Path, current_paths
from spikec.compiler.populations import Shape
from spikec.compiler.regions import Region

_NOTHING = 0.05
"""Next to nothing, in peaks of the layer's typical channel. Dead channels of ResNets and MobileNets
reach 0.01 at most; channels of MobileNet-v2 that are silent on 64 images and not on others, 1.7 and
more."""


def silent_channels(
    graph: Graph, calibration: Calibration, names: Sequence[str]
) -> dict[str, Array]:
    """Which channels of some populations are silent, bool (C,).

    Args:
        graph: With neurons placed.
        calibration: All of its images are read.
        names: Nodes with a rectified population each, with a threshold per channel.
    """
    sources = [source for name in names for source in sources_of(graph, graph[name])]
    ranges = _ranges(graph, calibration, list(dict.fromkeys([*names, *sources])))
    found = {}
    for name in names:
        peaks = ranges[name].high
        silent = peaks <= 0
        if silent.any() and not silent.all():
            typical = np.median(peaks[~silent])
            silent &= reach(graph, graph[name], calibration.ann, ranges) <= _NOTHING * typical
        found[name] = silent
    return found


def reach(graph: Graph, node: Node, ann: Ann, ranges: Mapping[str, Interval]) -> Float64:
    """Bound on the current of each channel of a population, (C,), in units of the activation.

    Args:
        graph: With neurons placed.
        node: Carries the population.
        ann: Tells what flows while all sources are silent.
        ranges: Values of each source.
    """
    shape = node.known_shape()
    bias = np.broadcast_to(Region(graph, node.name, ann).bias(), shape)
    result: Float64 = bias.reshape(shape[0], -1).max(axis=1)
    for path in current_paths(graph, node.name):
        result = result + _arriving(path, ranges[path.source]).high
    return result


def _ranges(graph: Graph, calibration: Calibration, names: Sequence[str]) -> dict[str, Interval]:
    """What each channel of some nodes has shown, silence included."""
    ranges: dict[str, Interval] = {}
    for batch in calibration.statistics(graph, names) if names else ():
        for name, values in batch.items():
            axes = (0, *range(2, values.ndim))
            low, high = values.min(axis=axes), values.max(axis=axes)
            each = Interval(
                np.minimum(low, 0).astype(np.float64), np.maximum(high, 0).astype(np.float64)
            )
            ranges[name] = ranges[name].joined(each) if name in ranges else each
    return ranges


def _arriving(path: Path, values: Interval) -> Interval:
    """What a path makes of a source's values."""
    interval, shape = _scaled(values, np.full((1, 1), path.gain)), path.shape
    for step in path.steps:
        match step.apply:
            case Gain(factor=factor):
                interval = _scaled(interval, np.broadcast_to(factor, shape).reshape(shape[0], -1))
            case Synapses():
                interval = _weighted(step.apply, interval, shape, step.shape[0])
            case _:
                interval = interval_after(step.apply, interval, shape)
        shape = step.shape
    return interval


def _scaled(values: Interval, factors: Array) -> Interval:
    """Values times one of several factors, (C or 1, factors)."""
    ends = np.concatenate([side[:, None] * factors for side in (values.low, values.high)], axis=1)
    return Interval(ends.min(axis=1), ends.max(axis=1))


def _weighted(synapses: Synapses, values: Interval, shape: Shape, rows: int) -> Interval:
    """What rows of weights make of a map of some shape."""
    flat = synapses.inputs.size > 0 and synapses.inputs.max() >= shape[0]
    each = int(np.prod(shape[1:])) if flat else 1
    ends = [
        synapses.weights * np.repeat(side, each)[synapses.inputs]
        for side in (values.low, values.high)
    ]
    to = np.broadcast_to(synapses.outputs, synapses.weights.shape).ravel()
    least, most = (
        np.bincount(to, choose(*ends).ravel(), rows) for choose in (np.minimum, np.maximum)
    )
    return Interval(least, most)
