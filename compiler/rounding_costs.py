"""What rounding of single channels costs the output, measured in the float network.

A channel alone is rounded as its neurons would round its values, to the best levels that T and φ
allow, and the outputs are compared with those of nothing rounded. Or all channels of a layer are
rounded together, and what that costs is shared out by the squared error of each and by how much its
errors count, see ``influences``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.frontier import last_readers
from spikec.compiler.ir import Graph, Node
from spikec.compiler.mmse import transfer
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import Fire
from spikec.compiler.tail import read_out_node
from spikec.compiler.thresholds import best_threshold, samples_of


class RoundingCosts:
    """What rounding single channels of one layer does to the output."""

    def __init__(
        self, graph: Graph, node: Node, calibration: Calibration, options: CompileOptions
    ) -> None:
        self._output = read_out_node(graph).name
        open_ = [node.name, *_still_read(graph, node)]
        found = list(calibration.activations(graph, [*open_, self._output]))
        self._feeds = {name: np.concatenate([each[name] for each in found]) for name in open_}
        self._exact = np.concatenate([each[self._output] for each in found])
        self._region = calibration.ann.region(graph, open_, [self._output])
        self._node, self._options = node, options

    def found(self, live: Array) -> Float64:
        """Mean squared change of the output for each channel, 0 for those that are not live."""
        values, costs = self._feeds[self._node.name], np.zeros(len(live))
        for channel, rounded in self._rounded(live):
            changed = values.copy()
            changed[:, channel] = rounded
            costs[channel] = self._change(changed)
        return costs

    def shared(self, live: Array, influence: Float64) -> Float64:
        """The same about, from the change that all channels make together.

        Args:
            live: Channels that are rounded, (C,).
            influence: Squared error of the output per squared error of each, (C,), in any unit.
        """
        changed = self._feeds[self._node.name].copy()
        shares = np.zeros(len(live))
        for channel, rounded in self._rounded(live):
            off = changed[:, channel] - rounded
            shares[channel] = np.mean(off * off) * influence[channel]
            changed[:, channel] = rounded
        total: float = shares.sum()
        return shares * (self._change(changed) / total) if total else shares

    def _rounded(self, live: Array) -> Iterator[tuple[int, Float64]]:
        """Channels that are live, and their values as their neurons tell them."""
        neuron = self._node.neuron
        assert neuron is not None
        values = self._feeds[self._node.name]
        samples = samples_of(self._node.name, values, self._options)
        levels = neuron.phi * self._options.timesteps
        steps = best_threshold(samples, neuron, self._options) / self._options.timesteps
        signed = neuron.fire is Fire.SIGNED
        for channel in np.flatnonzero(live).tolist():
            own = values[:, channel].astype(np.float64)
            yield channel, transfer(own, steps[channel], levels, signed=signed)

    def _change(self, values: Array) -> float:
        told = self._region({**self._feeds, self._node.name: values})[self._output]
        return float(np.square(told - self._exact, dtype=np.float64).mean())


def _still_read(graph: Graph, node: Node) -> list[str]:
    """Populations in front of a node that others behind it read."""
    order = {each.name: at for at, each in enumerate(graph)}
    readers = last_readers(graph)
    here = order[node.name]
    return [name for name, last in readers.items() if order[name] < here < order[last]]
