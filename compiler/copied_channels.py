"""The graph in which channels carry copies of others: it computes what it computed before.

The layer in front of a population makes the copied channels, its weights' rows for each of them;
readers take the mean of all that carry one value, with their own weights where they multiply all
channels by a matrix, else with operators that are put between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.copies import carriers, is_copy
from spikec.compiler.ir import Graph, GraphDraft, Node
from spikec.compiler.paths import closes_region, has_weights

_MATRICES = ("Conv", "Gemm")
"""Operators whose weights have one row per channel that they make."""


def with_copies(graph: Graph, copies: Mapping[str, Int64]) -> Graph:
    """The graph in which channels of some nodes carry copies of others.

    Args:
        graph: With neurons placed.
        copies: By name of a node that ``can_copy``: the channel whose value each channel carries;
            those behind the channels that the node has are new ones.
    """

    def edit(draft: GraphDraft) -> None:
        for name, copy_of in copies.items():
            _copied(draft, name, copy_of)

    return graph.edited(edit)


def can_copy(graph: Graph, node: Node) -> bool:
    """Whether channels of the population at a node may carry copies of others.

    Its current comes from rows of weights that nothing else reads, or is a sum of such and of what
    other populations send; its thresholds differ by channel; and no max pool counts its spikes.
    """
    neuron = node.neuron
    if neuron is None or neuron.kind != "adafire" or not neuron.per_channel:
        return False
    if any(graph[name].op == "MaxPool" for name in _read_through(graph, node.name)):
        return False
    if closes_region(node):
        return _can_make(graph, graph.sources(node.name)[0])
    return _has_copies(graph, node)


def _can_make(graph: Graph, name: str) -> bool:
    """Whether copies of the channels of a node can be made; it is read by one other alone."""
    node = graph[name]
    return node.neuron is None and len(graph.consumers(name)) == 1 and _has_copies(graph, node)


def _has_copies(graph: Graph, node: Node) -> bool:
    """Whether what a node computes can be computed with copied channels."""
    if _is_matrix(node):
        return True
    operands = graph.sources(node.name)
    if _is_depthwise(node):
        return _is_sent(graph, operands[0])
    same = all(graph[operand].shape == node.shape for operand in operands)
    sums = node.op == "Add" and len(set(operands)) == 2 and same
    return sums and all(_is_sent(graph, each) or _can_make(graph, each) for each in operands)


def _is_sent(graph: Graph, name: str) -> bool:
    """Whether no weights stand between a node and the populations in front of it."""
    node = graph[name]
    if node.neuron is not None:
        return True
    plain = bool(graph.operands(name)) and not has_weights(graph, node)
    return plain and all(_is_sent(graph, source) for source in graph.sources(name))


def _read_through(graph: Graph, name: str) -> list[str]:
    """Readers of a node, and theirs, up to the next neurons."""
    found = []
    for reader in graph.consumers(name):
        found.append(reader)
        if graph[reader].neuron is None:
            found += _read_through(graph, reader)
    return found


def _is_matrix(node: Node) -> bool:
    plain = node.op != "Gemm" or node.attrs.get("transB", 0) == 1
    return node.op in _MATRICES and node.attrs.get("group", 1) == 1 and plain and 1 in node.params


def _is_depthwise(node: Node) -> bool:
    """Whether each channel that a convolution makes is one that it reads."""
    groups = node.attrs.get("group", 1)
    return node.op == "Conv" and groups != 1 and node.params[1].shape[:2] == (groups, 1)


def _copied(draft: GraphDraft, name: str, copy_of: Int64) -> None:
    node = draft.nodes[name]
    assert node.neuron is not None
    readers = draft.consumers(name)
    if closes_region(node):
        operands = draft.operands[name]
        draft.operands[name] = {slot: _make(draft, n, copy_of) for slot, n in operands.items()}
    else:
        _remake(draft, node, copy_of)
    neuron = replace(node.neuron, copy_of=copy_of)
    draft.nodes[name] = _of_channels(draft.nodes[name], len(copy_of)).updated(neuron=neuron)
    matrices = [reader for reader in readers if _is_reader(draft, reader)]
    for reader in matrices:
        _take_mean(draft, reader, copy_of)
    others = [reader for reader in readers if reader not in matrices]
    if others:
        mean = _mean_of(draft, node, copy_of)
        for reader in others:
            slots = draft.operands[reader]
            draft.operands[reader] = {s: mean if n == name else n for s, n in slots.items()}


def _of_channels(node: Node, channels: int) -> Node:
    return node.updated(shape=(channels, *node.known_shape()[1:]))


def _make(draft: GraphDraft, name: str, copy_of: Int64) -> str:
    """Name of the node with the copied channels of another; see ``_can_make``."""
    node = draft.nodes[name]
    if not _has_rows(draft, name):
        return _Behind(draft, node).gathered(name, copy_of)
    _remake(draft, node, copy_of)
    return name


def _remake(draft: GraphDraft, node: Node, copy_of: Int64) -> None:
    """The same node with copied channels: of rows of weights, or of what it adds."""
    if _is_matrix(node) or _is_depthwise(node):
        _copy_rows(draft, node, copy_of)
        return
    operands = draft.operands[node.name]
    draft.operands[node.name] = {slot: _make(draft, n, copy_of) for slot, n in operands.items()}
    draft.nodes[node.name] = _of_channels(node, len(copy_of))


def _has_rows(draft: GraphDraft, name: str) -> bool:
    """Whether a sum has an operand with weights."""
    node = draft.nodes[name]
    if node.neuron is not None or node.op != "Add":
        return node.neuron is None and node.op in _MATRICES
    return any(_has_rows(draft, operand) for operand in draft.operands[name].values())


def _copy_rows(draft: GraphDraft, node: Node, copy_of: Int64) -> None:
    """Every channel's rows of weights, and of biases."""
    attrs = dict(node.attrs)
    if _is_depthwise(node):
        (operand,) = draft.operands[node.name].values()
        sent = _Behind(draft, draft.nodes[operand]).gathered(operand, copy_of)
        draft.operands[node.name] = dict.fromkeys(draft.operands[node.name], sent)
        attrs["group"] = len(copy_of)
    params = {slot: array[copy_of] for slot, array in node.params.items()}
    draft.nodes[node.name] = _of_channels(node, len(copy_of)).updated(params=params, attrs=attrs)


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
    """Name of a node with the means in the channels that are copied, and nothing in the copies.

    Args:
        draft: Its node already makes the copied channels.
        node: As it was without them: the result has its channels.
        copy_of: See ``with_copies``.
    """
    channels = node.known_shape()[0]
    behind, copied = _Behind(draft, node), is_copy(copy_of)
    added = len(copy_of) > channels
    first = behind.gathered(node.name, np.arange(channels)) if added else node.name
    shares = np.where(copied, 0.0, 1 / carriers(copy_of))
    total = behind.scaled(first, shares[:channels])
    slots = np.flatnonzero(copied)
    while len(slots):  # as many at a time as stand for different channels
        _, at = np.unique(copy_of[slots], return_index=True)
        few = slots[at]
        part = behind.scaled(behind.gathered(node.name, few), 1 / carriers(copy_of)[few])
        places = np.full(channels, len(few), np.int64)  # a silent channel behind them
        places[copy_of[few]] = np.arange(len(few))
        total = behind.added(total, behind.gathered(behind.padded(part), places))
        slots = np.delete(slots, at)
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
