"""Which channels are copied: those whose rounding costs the output most.

Networks keep channels that no image activates, see ``silent_channels``; their neurons are on the
chip all the same, and each may carry a copy of another channel of its layer, which is then told in
more levels: see ``copies``. Beyond them a user may add neurons, in any layer. What a channel's
rounding costs is measured in the float network, see ``rounding_costs``, in a large one layer by
layer instead of channel by channel; with k carriers its squared error is k² times smaller. Copies
go one by one to where they lower the cost most: of a silent channel, in its layer; of neurons that
are added, per neuron, in the whole network. Source: ours.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.calibration import Calibration
from spikec.compiler.copied_channels import can_copy, with_copies
from spikec.compiler.copies import is_copy
from spikec.compiler.frontier import population_nodes
from spikec.compiler.influences import influences
from spikec.compiler.ir import Graph, Node
from spikec.compiler.network_macs import macs_told
from spikec.compiler.ops.linear import multiplications
from spikec.compiler.options import CompileOptions
from spikec.compiler.paths import closes_region
from spikec.compiler.rounding_costs import RoundingCosts
from spikec.compiler.silent_channels import silent_channels

_IMAGES, _FEWEST = 32, 4
"""Images on which the cost of rounding is measured; fewer where a large network would exceed the
bound."""
_MULTIPLICATIONS = 2**39
"""Bound on what measuring may cost in all. Where even the fewest images exceed it channel by
channel, what a layer costs is measured, and shared out among its channels."""
_LEAST = 0.01
"""Part of a layer's cost that a copy in a silent channel has to save, for it also sends spikes."""


@dataclass(frozen=True, eq=False)
class Copied:
    """What was found.

    Attributes:
        graph: With the copies.
        copies: By name of the node: the channel whose value each channel carries, (C,); those
            behind the channels that the network has are added.
        provenance: For the program file: ``copies``; how many neurons were added; and the ANN's
            multiply-accumulates. Empty without copies.
    """

    graph: Graph
    copies: Mapping[str, Int64]
    provenance: Mapping[str, str]


def copies_told(provenance: Mapping[str, str]) -> dict[str, Int64]:
    """The copies of a program, as its provenance tells them; see ``Copied``."""
    told = json.loads(provenance.get("copies", "{}"))
    return {name: np.array(copy_of, np.int64) for name, copy_of in told.items()}


def copy_channels(
    graph: Graph,
    calibration: Calibration,
    options: CompileOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Copied:
    """The graph whose channels that cost most are copied, as far as the options allow.

    Args:
        graph: With neurons placed.
        calibration: All its images tell which channels are silent, a few what rounding costs.
        options: Which copies are allowed; T, φ and firing rules.
        progress: Told of layers done and in all.
    """
    nodes = [node for node in population_nodes(graph) if can_copy(graph, node)]
    silent = _silent(graph, calibration, nodes)
    if not options.extra_neurons:
        silent = {name: found for name, found in silent.items() if found.any() and not found.all()}
    costs = _costs(graph, silent, calibration, options, progress)
    slots = {name: np.flatnonzero(silent[name]) for name in costs} if options.reuse_silent else {}
    none = np.zeros(0, np.int64)
    copies = {name: assigned(found, slots.get(name, none)) for name, found in costs.items()}
    if options.extra_neurons:
        sizes = {name: math.prod(graph[name].known_shape()[1:]) for name in costs}
        copies = widened(copies, costs, sizes, int(options.extra_neurons * _neurons(graph)))
    copies = {name: found for name, found in copies.items() if is_copy(found).any()}
    copied = with_copies(graph, copies)
    return Copied(copied, copies, _provenance(graph, copied, copies) if copies else {})


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


def widened(
    copies: Mapping[str, Int64], costs: Mapping[str, Float64], sizes: Mapping[str, int], extra: int
) -> dict[str, Int64]:
    """Copies with new channels behind those that are there, where they save most per neuron.

    Args:
        copies: By layer: the channel whose value each channel carries, (C,).
        costs: By layer: what rounding of each channel costs while one carries it, (C,).
        sizes: By layer: neurons of a channel.
        extra: Neurons that may be added in all.
    """
    added: dict[str, list[int]] = {name: [] for name in copies}

    def entry(name: str, channel: int, carriers: int) -> tuple[float, str, int, int]:
        gain = costs[name][channel] * (1 / carriers**2 - 1 / (carriers + 1) ** 2)
        return -gain / sizes[name], name, channel, carriers

    counts = {name: np.bincount(each, minlength=len(each)) for name, each in copies.items()}
    cells = [(n, c) for n, each in costs.items() for c in np.flatnonzero(each > 0).tolist()]
    heap = [entry(name, channel, int(counts[name][channel])) for name, channel in cells]
    heapq.heapify(heap)
    while heap:
        _, name, channel, carriers = heapq.heappop(heap)
        if sizes[name] > extra:
            continue
        extra -= sizes[name]
        added[name].append(channel)
        heapq.heappush(heap, entry(name, channel, carriers + 1))
    return {n: np.append(each, np.array(added[n], np.int64)) for n, each in copies.items()}


def _provenance(graph: Graph, copied: Graph, copies: Mapping[str, Int64]) -> Mapping[str, str]:
    told = {name: copy_of.tolist() for name, copy_of in copies.items()}
    added = _neurons(copied) - _neurons(graph)
    return {"copies": json.dumps(told), "added_neurons": str(added), **macs_told(graph)}


def _neurons(graph: Graph) -> int:
    """Of all populations that fire."""
    nodes = population_nodes(graph)
    fires = [n for n in nodes if n.neuron is not None and n.neuron.kind == "adafire"]
    return sum(math.prod(node.known_shape()) for node in fires)


def _silent(graph: Graph, calibration: Calibration, nodes: Sequence[Node]) -> dict[str, Array]:
    """Which channels of some populations are silent, (C,); of signed ones none."""
    rectified = [node.name for node in nodes if closes_region(node)]
    silent = silent_channels(graph, calibration, rectified)
    none = {node.name: np.zeros(node.known_shape()[0], np.bool_) for node in nodes}
    return none | silent


def _costs(
    graph: Graph,
    silent: Mapping[str, Array],
    calibration: Calibration,
    options: CompileOptions,
    progress: Callable[[int, int], None],
) -> dict[str, Float64]:
    """What rounding of each channel of some layers costs."""
    costs: dict[str, Float64] = {}
    behind = _multiplications_behind(graph, list(silent))
    each = sum(count * len(silent[name]) for name, count in behind.items())
    shares = influences(graph) if each * _FEWEST > _MULTIPLICATIONS else None
    work = each if shares is None else sum(behind.values())
    count = int(np.clip(_MULTIPLICATIONS // max(1, work), _FEWEST, _IMAGES))
    few = calibration.first(count)
    for done, (name, dead) in enumerate(silent.items()):
        progress(done, len(silent))
        measured = RoundingCosts(graph, graph[name], few, options)
        costs[name] = (
            measured.found(~dead) if shares is None else measured.shared(~dead, shares[name])
        )
    progress(len(silent), len(silent))
    return costs


def _multiplications_behind(graph: Graph, names: Collection[str]) -> dict[str, int]:
    """Multiplications of an image from each layer to the output, at least 1."""
    found: dict[str, int] = {}
    behind = 0
    for node in reversed(list(graph)):
        if node.name in names:
            found[node.name] = max(1, behind)
        behind += multiplications([node])
    return found
