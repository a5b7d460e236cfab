"""What a path adds to the current of a population, in real numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Float64, Int64
from spikec.compiler.path_scales import SplitPath, input_values, output_rows, row_gains, split
from spikec.compiler.paths import Path
from spikec.compiler.populations import Shape


@dataclass(frozen=True, eq=False)
class Drive:
    """What one path adds to a population, in real numbers.

    Attributes:
        source: Name of the population that the path starts at.
        path: The path, split at its synapses.
        weights: Activation per unit of payload, same shape as the synapses' weights.
        outputs: Row of each weight, same shape.
        rows: Channel of the sink that each row adds to, −1: none, (rows,).
    """

    source: str
    path: SplitPath
    weights: Float64
    outputs: Int64
    rows: Int64

    def channel_of_weights(self) -> Int64:
        """Channel of the sink that each weight adds to, −1: none, same shape as the weights."""
        return self.rows[self.outputs]

    def peaks(self, channels: int) -> Float64:
        """Largest |weight| per channel of the sink; 0 where no row arrives, (channels,)."""
        found = np.zeros(channels + 1)
        np.maximum.at(found, self.channel_of_weights().ravel(), np.abs(self.weights).ravel())
        return found[:channels]


def drive(path: Path, scale: Float64, sink: Shape, channels: int) -> Drive:
    """What a path adds to its sink.

    Args:
        path: Ends at the sink.
        scale: Of the source, broadcastable to its shape.
        sink: Shape of the population that the path ends at.
        channels: Channels of the sink that have a step of their own, or 1.
    """
    part = split(path)
    synapses = part.synapses
    shared = input_values(np.broadcast_to(scale, path.shape), path.shape, part)
    gains = row_gains(part) * path.gain
    weights = synapses.weights * shared[synapses.inputs] * gains[synapses.outputs]
    rows = channels_of_rows(output_rows(part, sink), part.result[0], channels)
    return Drive(path.source, part, weights, np.broadcast_to(synapses.outputs, weights.shape), rows)


def channels_of_rows(arrived: Int64, rows: int, channels: int) -> Int64:
    """For each row of weights the sink channel that it adds to; 0 for all if there is but one."""
    result = np.full(rows + 1, -1, dtype=np.int64)
    if channels == 1:
        result[np.unique(arrived)] = 0
    else:
        flat = arrived.reshape(arrived.shape[0], -1)
        where = np.broadcast_to(np.arange(flat.shape[0])[:, None], flat.shape)
        result[flat.ravel()] = where.ravel()
    return result[1:]
