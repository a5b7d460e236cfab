"""Graph: the network as a frozen networkx graph of frozen payloads.

A graph can be exported to ONNX at every stage: passes annotate nodes (``neuron``, ``quantized``)
and keep the ONNX operator and its float parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import networkx as nx

from spikec.compiler.arrays import Array, Float64, Int64, frozen
from spikec.compiler.connections import Connection
from spikec.compiler.errors import Where
from spikec.compiler.populations import Fire, Population, Shape

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]

INPUT = "Input"
"""Operator of the node that stands for the graph's input."""


@dataclass(frozen=True, eq=False)
class Neuron:
    """Annotation: this node's output is emitted by a population.

    Attributes:
        kind: "input", "adafire", "max_pool" or "readout".
        fire: Firing rule of an adafire population.
        phi: Largest payload per step.
        windowed: Integrate first, then fire.
        ceiling: Largest useful φ·θ, from Clip(0, c); None without one.
        per_channel: Whether thresholds may differ between channels.
        threshold: θ in units of the activation, float64, (C,) or (1,); None before calibration.
        delay: By how many thresholds the membrane starts lower, the charge returned evenly over
            the run, float64, (C,) or (1,); None: it does not.
        copy_of: The channel whose value each channel carries, int64, (C,); None: each its own.
            Copies of one value start apart, so that together they round it finer.
    """

    kind: str
    fire: Fire = Fire.PLAIN
    phi: int = 1
    windowed: bool = False
    ceiling: float | None = None
    per_channel: bool = True
    threshold: Float64 | None = None
    delay: Float64 | None = None
    copy_of: Int64 | None = None


@dataclass(frozen=True, eq=False)
class Quantized:
    """Annotation: the integers made for this node's population.

    Attributes:
        population: Integer parameters and scale.
        connections: All connections into it.
        step: s, the real value of one unit of current, float64, broadcastable to the population.
        bias: Real bias in units of the activation, float64, broadcastable to the population.
    """

    population: Population
    connections: tuple[Connection, ...]
    step: Float64
    bias: Float64


@dataclass(frozen=True, eq=False)
class Node:
    """One ONNX operator with one output.

    Attributes:
        name: Unique in the graph.
        op: ONNX operator type, or INPUT.
        attrs: ONNX attributes that were given; defaults are in the op table.
        params: Constant operands by operand slot, read-only arrays.
        shape: Of the output, without batch axis; None before shapes are known.
        neuron: Set where the output is emitted by a population.
        quantized: Set where the population has its integers.
    """

    name: str
    op: str
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    params: Mapping[int, Array] = field(default_factory=dict)
    shape: Shape | None = None
    neuron: Neuron | None = None
    quantized: Quantized | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", MappingProxyType(dict(self.attrs)))
        params = {slot: frozen(array) for slot, array in sorted(self.params.items())}
        object.__setattr__(self, "params", MappingProxyType(params))

    @property
    def where(self) -> Where:
        """For errors."""
        return Where(self.name, self.op)

    def known_shape(self) -> Shape:
        """The shape; an assertion error if no pass has inferred it."""
        assert self.shape is not None, self.name
        return self.shape

    def updated(self, **changes: Any) -> Node:
        """This node with some fields replaced."""
        return replace(self, **changes)


class Graph:
    """A directed acyclic graph of nodes with one input and one output; nothing in it changes.

    An edge carries the operand slots of its sink that its source fills, since ``Add(x, x)`` needs
    two. Slots of constant operands are in ``Node.params``.
    """

    def __init__(self, digraph: nx.DiGraph[str], output: str, opset: int) -> None:
        self._digraph = nx.freeze(digraph)
        self._order: tuple[str, ...] = tuple(nx.lexicographical_topological_sort(digraph))
        self.output = output
        self.opset = opset

    @classmethod
    def build(
        cls,
        nodes: Mapping[str, Node],
        operands: Mapping[str, Mapping[int, str]],
        output: str,
        opset: int,
    ) -> Graph:
        """A graph from nodes and, per node, the source of each operand slot that is no constant."""
        digraph: nx.DiGraph[str] = nx.DiGraph()
        for name, node in nodes.items():
            digraph.add_node(name, payload=node)
        for sink, slots in operands.items():
            for source in dict.fromkeys(slots.values()):
                filled = tuple(slot for slot, name in sorted(slots.items()) if name == source)
                digraph.add_edge(source, sink, payload=filled)
        return cls(digraph, output, opset)

    def __iter__(self) -> Iterator[Node]:
        """Nodes in topological order, ties broken by name: always the same order."""
        return (self[name] for name in self._order)

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, name: str) -> bool:
        return name in self._digraph

    def __getitem__(self, name: str) -> Node:
        node: Node = self._digraph.nodes[name]["payload"]
        return node

    @property
    def input(self) -> Node:
        """The node that stands for the graph's input."""
        return next(node for node in self if node.op == INPUT)

    def operands(self, name: str) -> dict[int, str]:
        """Source node of each operand slot that is no constant, by slot."""
        edges = self._digraph.in_edges(name, data="payload")
        slots = {slot: source for source, _, filled in edges for slot in filled}
        return dict(sorted(slots.items()))

    def sources(self, name: str) -> tuple[str, ...]:
        """Source nodes in slot order; one that fills two slots stands there twice."""
        return tuple(self.operands(name).values())

    def consumers(self, name: str) -> tuple[str, ...]:
        """Nodes that read this one, sorted by name."""
        return tuple(sorted(self._digraph.successors(name)))

    def edited(self, edit: Callable[[GraphDraft], None]) -> Graph:
        """A new graph: ``edit`` changes a draft of this one."""
        draft = GraphDraft(
            nodes={node.name: node for node in self},
            operands={node.name: self.operands(node.name) for node in self},
            output=self.output,
        )
        edit(draft)
        return Graph.build(draft.nodes, draft.operands, draft.output, self.opset)

    def mapped(self, change: Callable[[Node], Node]) -> Graph:
        """A new graph of the same structure with every node replaced by ``change(node)``."""

        def edit(draft: GraphDraft) -> None:
            draft.nodes = {name: change(node) for name, node in draft.nodes.items()}

        return self.edited(edit)


@dataclass
class GraphDraft:
    """A graph being edited; see Graph.edited.

    Attributes:
        nodes: By name.
        operands: Per node, the source of each operand slot that is no constant.
        output: Name of the node whose output is the graph's.
    """

    nodes: dict[str, Node]
    operands: dict[str, dict[int, str]]
    output: str

    def consumers(self, name: str) -> list[str]:
        """Nodes that read ``name``, sorted."""
        return sorted(sink for sink, slots in self.operands.items() if name in slots.values())

    def add(self, node: Node, operands: Mapping[int, str]) -> None:
        """Add a node, or replace the one of that name with its operands."""
        self.nodes[node.name] = node
        self.operands[node.name] = dict(operands)

    def reroute(self, old: str, new: str) -> None:
        """Every reader of ``old``, and the graph's output, reads ``new`` instead."""
        for sink, slots in self.operands.items():
            if sink != new:
                self.operands[sink] = {s: new if n == old else n for s, n in slots.items()}
        if self.output == old:
            self.output = new

    def bypass(self, name: str) -> None:
        """Remove a node with one operand; its readers read its operand."""
        (source,) = self.operands[name].values()
        self.reroute(name, source)
        self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a node that nobody reads."""
        del self.nodes[name], self.operands[name]

    def fresh(self, stem: str) -> str:
        """A node name that is not taken: the stem, or the stem with a number."""
        taken = self.nodes
        return next(
            n for n in (stem, *(f"{stem}_{i}" for i in range(1, len(taken) + 2))) if n not in taken
        )
