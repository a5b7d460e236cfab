"""Emit: collects the canonical nodes that replace the nodes of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.frontend.source import Operand, Source
from spikec.compiler.ir import INPUT, Attribute, Node
from spikec.compiler.ops import check_node
from spikec.compiler.populations import Shape

NO_ATTRIBUTES: Mapping[str, Attribute] = {}


class Emit:
    """The nodes and edges of the graph to be, and the shapes of all nodes so far."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.nodes: dict[str, Node] = {name: Node(name, INPUT, shape=shape)}
        self.operands: dict[str, dict[int, str]] = {name: {}}
        self._shapes: dict[str, Shape] = {name: shape}
        self._reserved: set[str] = {name}

    def reserve(self, names: Sequence[str]) -> None:
        """Keep these names for the nodes of the file."""
        self._reserved.update(names)

    def assume(self, name: str, shape: Shape) -> None:
        """The shape of a node that could not be converted, so that its readers can be judged."""
        self._shapes.setdefault(name, shape)

    def step(
        self,
        source: Source,
        op: str,
        operands: Sequence[Operand],
        attrs: Mapping[str, Attribute] = NO_ATTRIBUTES,
        *,
        shape: Shape,
    ) -> str:
        """The name of a new node that prepares ``source``; shape with batch axis."""
        stem = f"{source.name}_{op}"
        names = (stem, *(f"{stem}_{i}" for i in range(1, len(self._reserved) + 2)))
        name = next(n for n in names if n not in self._reserved)
        self._reserved.add(name)
        return self._add(Node(name, op, attrs, _params(operands), shape[1:]), operands)

    def last(
        self,
        source: Source,
        op: str,
        operands: Sequence[Operand],
        attrs: Mapping[str, Attribute] = NO_ATTRIBUTES,
    ) -> None:
        """The node that yields the output of ``source``, under its name."""
        node = Node(source.name, op, attrs, _params(operands), source.result()[1:])
        self._add(node, operands)

    def _add(self, node: Node, operands: Sequence[Operand]) -> str:
        slots = {slot: name for slot, name in enumerate(operands) if isinstance(name, str)}
        if not slots:
            raise UnsupportedOpError("has no operand that depends on the input", node.where)
        check_node(node, tuple(self._shapes[name] for name in slots.values()))
        self.nodes[node.name] = node
        self.operands[node.name] = slots
        assert node.shape is not None, node.name
        self._shapes[node.name] = node.shape
        return node.name


def _params(operands: Sequence[Operand]) -> dict[int, Array]:
    return {slot: o for slot, o in enumerate(operands) if isinstance(o, np.ndarray | np.generic)}
