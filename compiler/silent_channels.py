"""Which channels stay silent, on unseen images as well.

That no calibration image activates a channel is not enough: in a layer that tells classes apart
some answer to none of 64 images, and to one in ten of others. So a channel also has to be unable
to: its weights, on the largest values that its sources have shown, each where it drives the
channel most, give next to nothing. Training leaves such channels, whose weights decayed.
Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.connections import GlobalSum, SumPool
from spikec.compiler.frontier import sources_of
from spikec.compiler.ir import Graph, Node
from spikec.compiler.path_scales import (
    NotUniformError,
    SplitPath,
    input_values,
    output_rows,
    row_gains,
    split,
)
from spikec.compiler.paths import Path, current_paths
from spikec.compiler.populations import Shape
from spikec.compiler.quantization import channels_of_rows
from spikec.compiler.regions import Region

_NOTHING = 0.05
"""Next to nothing, in peaks of the layer's typical channel. Dead channels of ResNets and MobileNets
reach 0.01 at most; channels of MobileNet-v2 that are silent on 64 images and not on others, 1.7 and
more."""


@dataclass(frozen=True, eq=False)
class Range:
    """What channels of a population have shown.

    Attributes:
        low: Smallest value of each, (C,).
        high: Largest value of each, (C,).
    """

    low: Float64
    high: Float64

    def joined(self, other: Range) -> Range:
        """What both have shown."""
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


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


def reach(graph: Graph, node: Node, ann: Ann, ranges: Mapping[str, Range]) -> Float64:
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
        result = result + _contribution(path, node, ranges[path.source])
    return result


def _ranges(graph: Graph, calibration: Calibration, names: Sequence[str]) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    for batch in calibration.statistics(graph, names) if names else ():
        for name, values in batch.items():
            axes = (0, *range(2, values.ndim))
            each = Range(
                values.min(axis=axes).astype(np.float64), values.max(axis=axes).astype(np.float64)
            )
            ranges[name] = ranges[name].joined(each) if name in ranges else each
    return ranges


def _contribution(path: Path, node: Node, values: Range) -> Float64:
    """The most that a path can add to each channel, (C,)."""
    shape, part = node.known_shape(), split(path)
    synapses = part.synapses
    gains = row_gains(part) * path.gain * _summands(path.shape, part)
    weights = synapses.weights * gains[synapses.outputs]
    low, high = (weights * each[synapses.inputs] for each in _inputs(path, part, values))
    most = np.maximum(np.maximum(low, high), 0)
    rows = np.zeros(part.result[0])
    np.add.at(rows, np.broadcast_to(synapses.outputs, most.shape).ravel(), most.ravel())
    channels = channels_of_rows(output_rows(part, shape), len(rows), shape[0])
    result = np.zeros(shape[0])
    np.maximum.at(result, channels[channels >= 0], rows[channels >= 0])
    return result


def _inputs(path: Path, part: SplitPath, values: Range) -> tuple[Array, Array]:
    """Smallest and largest value at each input of the weights."""

    def arrived(of_channels: Float64) -> Array:
        spread = of_channels.reshape(-1, *[1] * (len(path.shape) - 1))
        return input_values(np.broadcast_to(spread, path.shape), path.shape, part)

    try:
        return arrived(values.low), arrived(values.high)
    except NotUniformError:  # a sum over several channels: any of them may be all that it reads
        alike = np.ones_like(values.low)
        return arrived(alike * values.low.min()), arrived(alike * values.high.max())


def _summands(source: Shape, part: SplitPath) -> int:
    """How many values the sums over windows on a path add at most."""
    count = 1
    for shape, steps in ((source, part.before), (part.result, part.after)):
        for step in steps:
            match step.apply:
                case SumPool(kernel=kernel):
                    count *= int(np.prod(kernel))
                case GlobalSum():
                    count *= int(np.prod(shape[1:]))
            shape = step.shape
    return count
