"""The tail: operators behind the read-out, which the host runs on the mean output."""

from __future__ import annotations

from spikec.compiler.ir import INPUT, Graph, Node
from spikec.compiler.ops import op_of
from spikec.compiler.ops.base import Role
from spikec.compiler.program import TailOp

_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Index maps that keep the order of elements, so that the host can apply them."""


def read_out_node(graph: Graph) -> Node:
    """The node whose output is the read-out: the last one in front of the tail."""
    tail = tail_nodes(graph)
    return graph[graph.sources(tail[0].name)[0]] if tail else graph[graph.output]


def tail_nodes(graph: Graph) -> tuple[Node, ...]:
    """The host's operators, first to last: from the first Softmax, Sigmoid or ArgMax on."""
    chain: list[Node] = []
    node = graph[graph.output]
    while node.op != INPUT and (op_of(node).role is Role.TAIL or node.op in _RESHAPES):
        chain.insert(0, node)
        node = graph[graph.sources(node.name)[0]]
    while chain and op_of(chain[0]).role is not Role.TAIL:
        chain.pop(0)
    return tuple(chain)


def tail_ops(graph: Graph) -> tuple[TailOp, ...]:
    """The tail as the program stores it."""
    return tuple(_tail_op(node) for node in tail_nodes(graph))


def _tail_op(node: Node) -> TailOp:
    row = op_of(node)
    return row.tail(node) if row.tail else TailOp("Reshape", shape=node.known_shape())
