"""Silent channels take over part of the work of those whose rounding costs the output most.

Networks keep channels that no image activates; their neurons are on the chip all the same. Each
may carry a copy of another channel of its layer, which is then told in twice as many levels: see
``copies``. What a channel's rounding costs is measured in the float network: it alone is rounded as
its neurons would round it, and the outputs are compared. With k carriers the squared error of
rounding is k² times smaller; silent channels go one by one to where that lowers it most. Source:
ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.calibration import Calibration
from spikec.compiler.copies import can_copy, with_copies
from spikec.compiler.frontier import last_readers, population_nodes
from spikec.compiler.ir import Graph, Node
from spikec.compiler.mmse import transfer
from spikec.compiler.ops.linear import multiplications
from spikec.compiler.options import CompileOptions
from spikec.compiler.tail import read_out_node
from spikec.compiler.thresholds import best_threshold, samples_of

_IMAGES, _FEWEST = 32, 4
"""Images on which the cost of rounding is measured; fewer where a large network's first layer alone
would exceed the bound."""
_MULTIPLICATIONS = 2**39
"""Bound on what measuring may cost in all; layers are measured in order until it is spent, for the
first ones cost most."""
_LEAST = 0.01
"""Part of a layer's cost that a copy has to save, for it also sends spikes."""


@dataclass(frozen=True, eq=False)
class Reused:
    """What was found.

    Attributes:
        graph: With the copies.
        copies: By name of the node: the channel whose value each channel carries, (C,).
    """

    graph: Graph
    copies: Mapping[str, Int64]

    def provenance(self) -> dict[str, str]:
        """For the program file: the channel whose value each channel carries, by population."""
        told = {name: copy_of.tolist() for name, copy_of in self.copies.items()}
        return {"copies": json.dumps(told)} if told else {}


def copies_told(provenance: Mapping[str, str]) -> dict[str, Int64]:
    """The copies of a program, as its provenance tells them; see ``Reused``."""
    told = json.loads(provenance.get("copies", "{}"))
    return {name: np.array(copy_of, np.int64) for name, copy_of in told.items()}


def reuse_silent(
    graph: Graph,
    calibration: Calibration,
    options: CompileOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reused:
    """The graph whose silent channels carry copies of others, layer by layer.

    Args:
        graph: With neurons placed.
        calibration: Its images tell which channels are silent.
        options: T, φ and firing rules.
        progress: Told of layers done and in all.
    """
    copies: dict[str, Int64] = {}
    silent = _silent(graph, calibration)
    left = _MULTIPLICATIONS
    for done, (name, dead) in enumerate(silent.items()):
        progress(done, len(silent))
        each = _cost(graph, graph[name])
        count = _IMAGES if done else int(np.clip(left // each, _FEWEST, _IMAGES))
        left -= each * count
        if left < 0 and done:
            break
        costs = _Costs(graph, graph[name], calibration.first(count), options).found(~dead)
        chosen = assigned(costs, np.flatnonzero(dead))
        if (chosen != np.arange(len(chosen))).any():
            copies[name] = chosen
    progress(len(silent), len(silent))
    return Reused(with_copies(graph, copies), copies)


def assigned(costs: Float64, free: Int64) -> Int64:
    """The channel whose value each channel carries.

    Args:
        costs: What rounding of each channel costs while one channel carries it, (C,).
        free: Channels that carry nothing.
    """
    copy_of, carriers = np.arange(len(costs)), np.ones(len(costs))
    for slot in free.tolist():
        gains = costs * (1 / carriers**2 - 1 / (carriers + 1) ** 2)
        best = int(np.argmax(gains))
        if gains[best] <= _LEAST * costs.sum():
            break
        copy_of[slot] = best
        carriers[best] += 1
    return copy_of


def _silent(graph: Graph, calibration: Calibration) -> dict[str, Array]:
    """Which channels no calibration image activates, bool (C,), of the layers that have any."""
    names = [node.name for node in population_nodes(graph) if can_copy(graph, node)]
    peaks: dict[str, Array] = {}
    for batch in calibration.statistics(graph, names) if names else ():
        for name, values in batch.items():
            peak = values.max(axis=(0, *range(2, values.ndim)))
            peaks[name] = np.maximum(peaks.get(name, 0.0), peak)
    dead = {name: peaks[name] <= 0 for name in names}
    return {name: found for name, found in dead.items() if found.any() and not found.all()}


def _cost(graph: Graph, node: Node) -> int:
    """Multiplications of measuring a layer on an image: all that lies behind it, per channel."""
    nodes = list(graph)
    behind = nodes[nodes.index(node) + 1 :]
    return node.known_shape()[0] * max(1, multiplications(behind))


class _Costs:
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
        neuron = self._node.neuron
        assert neuron is not None
        values = self._feeds[self._node.name]
        samples = samples_of(self._node.name, values, self._options)
        levels = neuron.phi * self._options.timesteps
        steps = best_threshold(samples, neuron, self._options) / self._options.timesteps
        costs = np.zeros(len(live))
        for channel in np.flatnonzero(live):
            rounded = values.copy()
            own = values[:, channel].astype(np.float64)
            rounded[:, channel] = transfer(own, steps[channel], levels)
            costs[channel] = self._change(rounded)
        return costs

    def _change(self, values: Array) -> float:
        told = self._region({**self._feeds, self._node.name: values})[self._output]
        return float(np.square(told - self._exact, dtype=np.float64).mean())


def _still_read(graph: Graph, node: Node) -> list[str]:
    """Populations in front of a node that others behind it read."""
    order = {each.name: at for at, each in enumerate(graph)}
    readers = last_readers(graph)
    here = order[node.name]
    return [name for name, last in readers.items() if order[name] < here < order[last]]
