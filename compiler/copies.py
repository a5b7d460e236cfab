"""Copies: channels of one population that carry the same value, each started a little apart.

With k copies that start at (j + 1/2)/k of their threshold, j = 0 … k − 1, the whole steps of all
together are those of one neuron whose threshold is k times smaller:

    Σ_j ⌊x + (j + 1/2)/k⌋ = ⌊kx + 1/2⌋    (Hermite's identity at x + 1/(2k))

so that k binary neurons tell as many levels as one whose spikes carry payloads up to k. Readers
take the mean. Source: ours; copying weights for finer steps, for weights instead of neurons, is
*Improving Neural Network Quantization without Retraining using Outlier Channel Splitting*
(ICML 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.ir import Graph, GraphDraft, Node

_MATRICES = ("Conv", "Gemm")
"""Operators whose weights take the mean themselves, where every output reads every channel."""


def carriers(copy_of: Int64 | None) -> Int64:
    """k: how many channels carry the value of each channel, (C,); (1,) where each its own."""
    if copy_of is None:
        return np.ones(1, np.int64)
    found: Int64 = np.bincount(copy_of, minlength=len(copy_of))[copy_of]
    return found


def starts(copy_of: Int64 | None) -> Float64:
    """Where each channel starts, in thresholds, (C,); (1,), the half, if each carries its own."""
    if copy_of is None:
        return np.full(1, 0.5)
    order = np.array([np.sum(copy_of[:at] == value) for at, value in enumerate(copy_of)])
    found: Float64 = (order + 0.5) / carriers(copy_of)
    return found


def together(values: Array, copy_of: Int64 | None) -> Array:
    """Values (images, C, …) with the mean of all copies in the place of each; may be changed."""
    if copy_of is not None:
        for value in np.unique(copy_of[carriers(copy_of) > 1]):
            members = copy_of == value
            values[:, members] = values[:, members].mean(axis=1, keepdims=True)
    return values


def with_copies(graph: Graph, copies: Mapping[str, Int64]) -> Graph:
    """The graph in which channels of some nodes carry copies of others.

    Args:
        graph: With neurons placed.
        copies: By name of a node that ``can_copy``: the channel whose value each channel carries.
    """

    def edit(draft: GraphDraft) -> None:
        for name, copy_of in copies.items():
            _copied(draft, name, copy_of)

    return graph.edited(edit)


def can_copy(graph: Graph, node: Node) -> bool:
    """Whether channels of the population at a node may carry copies of others.

    Its current comes from one matrix that nothing else reads, each output from every input; its
    thresholds differ by channel; and no max pool counts its spikes.
    """
    neuron = node.neuron
    if neuron is None or neuron.kind != "adafire" or node.op not in ("Relu", "Clip"):
        return False
    source = graph[graph.sources(node.name)[0]]
    alone = len(graph.consumers(source.name)) == 1 and source.neuron is None
    pooled = any(graph[name].op == "MaxPool" for name in _read_through(graph, node.name))
    return neuron.per_channel and alone and _is_matrix(source) and not pooled


def _read_through(graph: Graph, name: str) -> list[str]:
    """Readers of a node, and theirs, up to the next neurons."""
    found = []
    for reader in graph.consumers(name):
        found.append(reader)
        if graph[reader].neuron is None:
            found += _read_through(graph, reader)
    return found


def _is_matrix(node: Node) -> bool:
    groups = node.attrs.get("group", 1)
    plain = node.op != "Gemm" or node.attrs.get("transB", 0) == 1
    return node.op in _MATRICES and groups == 1 and plain and 1 in node.params


def _copied(draft: GraphDraft, name: str, copy_of: Int64) -> None:
    node = draft.nodes[name]
    assert node.neuron is not None
    (source,) = draft.operands[name].values()
    params = {slot: array[copy_of] for slot, array in draft.nodes[source].params.items()}
    draft.nodes[source] = draft.nodes[source].updated(params=params)
    draft.nodes[name] = node.updated(neuron=replace(node.neuron, copy_of=copy_of))
    readers = draft.consumers(name)
    matrices = [reader for reader in readers if _is_reader(draft, reader)]
    for reader in matrices:
        _take_mean(draft, reader, copy_of)
    others = [reader for reader in readers if reader not in matrices]
    if others:
        mean = _mean_of(draft, draft.nodes[name], copy_of)
        for reader in others:
            slots = draft.operands[reader]
            draft.operands[reader] = {s: mean if n == name else n for s, n in slots.items()}


def _is_reader(draft: GraphDraft, name: str) -> bool:
    """Whether a node multiplies all channels by a matrix, one column per channel."""
    return _is_matrix(draft.nodes[name]) and len(draft.operands[name]) == 1


def _take_mean(draft: GraphDraft, name: str, copy_of: Int64) -> None:
    """Columns of the channel that is copied, divided by its carriers."""
    node = draft.nodes[name]
    shares = carriers(copy_of).reshape(-1, *[1] * (node.params[1].ndim - 2))
    columns = (node.params[1][:, copy_of] / shares).astype(node.params[1].dtype)
    draft.nodes[name] = node.updated(params={**node.params, 1: columns})


def _mean_of(draft: GraphDraft, node: Node, copy_of: Int64) -> str:
    """Name of a node with the means in the channels that are copied, and nothing in the copies."""
    behind, own = _Behind(draft, node), np.arange(len(copy_of))
    shares = np.where(copy_of == own, 1 / carriers(copy_of), 0.0)
    total = behind.scaled(node.name, shares)
    slots = own[copy_of != own]
    while len(slots):  # as many at a time as stand for different channels
        _, first = np.unique(copy_of[slots], return_index=True)
        few = slots[first]
        part = behind.scaled(behind.gathered(node.name, few), 1 / carriers(copy_of)[few])
        places = np.full(len(copy_of), len(few), np.int64)  # a silent channel behind them
        places[copy_of[few]] = np.arange(len(few))
        total = behind.added(total, behind.gathered(behind.padded(part), places))
        slots = np.delete(slots, first)
    return total


class _Behind:
    """New nodes behind one, whose channels they move and scale."""

    def __init__(self, draft: GraphDraft, node: Node) -> None:
        self._draft, self._node = draft, node
        self._rest = node.known_shape()[1:]

    def scaled(self, name: str, factors: Float64) -> str:
        """Every channel times a factor."""
        spread = factors.astype(np.float32).reshape(-1, *[1] * len(self._rest))
        return self._new("Mul", (name,), {1: spread}, len(factors))

    def gathered(self, name: str, channels: Int64) -> str:
        """Chosen channels, in order."""
        return self._new("Gather", (name,), {1: channels}, len(channels))

    def padded(self, name: str) -> str:
        """One silent channel more."""
        pads = np.zeros((2, len(self._rest) + 2), np.int64)
        pads[1, 1] = 1
        params: dict[int, Array] = {1: pads.reshape(-1), 2: np.zeros((), np.float32)}
        return self._new("Pad", (name,), params, self._draft.nodes[name].known_shape()[0] + 1)

    def added(self, name: str, other: str) -> str:
        """The sum of two."""
        return self._new("Add", (name, other), {}, self._draft.nodes[name].known_shape()[0])

    def _new(
        self, op: str, operands: tuple[str, ...], params: Mapping[int, Array], channels: int
    ) -> str:
        name = self._draft.fresh(f"{self._node.name}_copies")
        attrs = {"axis": 1} if op == "Gather" else {}
        shape = (channels, *self._rest)
        self._draft.add(Node(name, op, attrs, params, shape), dict(enumerate(operands)))
        return name
