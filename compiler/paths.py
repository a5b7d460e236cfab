"""Paths: the linear maps that lead from populations to the current of one.

The current of a population is a sum over paths. Each starts at a source population and applies
steps: factors without weights, synapses, and elementwise gains (what is left of a normalisation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Float64, frozen
from spikec.compiler.connections import Factor
from spikec.compiler.geometry import factor_shape
from spikec.compiler.ir import Graph, Node
from spikec.compiler.ops import op_of
from spikec.compiler.ops.base import Branch, Role, Synapses
from spikec.compiler.populations import Shape


@dataclass(frozen=True, eq=False)
class Gain:
    """Elementwise factor, float64, broadcastable to the map it applies to; ``node`` names it."""

    factor: Float64
    node: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", frozen(self.factor, np.float64))


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a path, and the shape of its result."""

    apply: Factor | Synapses | Gain
    shape: Shape


@dataclass(frozen=True, eq=False)
class Path:
    """gain · steps(payloads of source).

    Attributes:
        source: Name of the node whose population emits.
        shape: Of the source.
        gain: Real factor of the whole path.
        steps: Applied first to last; at most one of them Synapses.
    """

    source: str
    shape: Shape
    gain: float = 1.0
    steps: tuple[Step, ...] = ()

    @property
    def result(self) -> Shape:
        """Shape of what arrives."""
        return self.steps[-1].shape if self.steps else self.shape

    def then(self, branch: Branch, shape: Shape) -> Path:
        """This path followed by a branch whose result has the given shape."""
        steps = list(self.steps)
        for factor in branch.factors:
            if isinstance(factor, Synapses):
                steps.append(Step(factor, shape))
            else:
                before = steps[-1].shape if steps else self.shape
                steps.append(Step(factor, factor_shape(factor, before)))
        return Path(self.source, self.shape, self.gain * branch.gain, tuple(steps))

    def scaled(self, gain: Gain, shape: Shape) -> Path:
        """This path followed by an elementwise gain."""
        return Path(self.source, self.shape, self.gain, (*self.steps, Step(gain, shape)))


def is_affine(graph: Graph, node: Node) -> bool:
    """Whether the node only scales and shifts its one operand by constants."""
    return op_of(node).affine is not None and len(graph.operands(node.name)) == 1


def closes_region(node: Node) -> bool:
    """Whether the node's population stands behind an operator of its own (Relu, MaxPool).

    Such a population integrates the node's operand; a signed one or a read-out integrates the
    node's own linear map.
    """
    return op_of(node).role is Role.NEURON


def current_paths(graph: Graph, name: str) -> tuple[Path, ...]:
    """All paths into the population at a node; ``place-neurons`` keeps their number small."""
    node = graph[name]
    if closes_region(node):
        return _paths_to(graph, graph.sources(name)[0])
    return _paths_through(graph, node)


def _paths_to(graph: Graph, name: str) -> tuple[Path, ...]:
    node = graph[name]
    if node.neuron is not None:
        return (Path(name, node.known_shape()),)
    return _paths_through(graph, node)


def _paths_through(graph: Graph, node: Node) -> tuple[Path, ...]:
    shape = node.known_shape()
    if is_affine(graph, node):
        (source,) = graph.sources(node.name)
        affine = op_of(node).affine
        assert affine is not None
        gain = Gain(affine(node, graph[source].known_shape()).gain, node.name)
        return tuple(path.scaled(gain, shape) for path in _paths_to(graph, source))
    return tuple(
        path.then(branch, shape)
        for slot, source in graph.operands(node.name).items()
        for branch in branches(graph, node, slot)
        for path in _paths_to(graph, source)
    )


def branches(graph: Graph, node: Node, slot: int) -> tuple[Branch, ...]:
    """The summands that one operand of a linear operator or index map contributes."""
    op = op_of(node)
    if op.lower is None:  # Identity, Dropout
        return (Branch(),)
    shapes = tuple(graph[source].known_shape() for source in graph.sources(node.name))
    return op.lower(node, slot, shapes)


def has_weights(graph: Graph, node: Node) -> bool:
    """Whether the node multiplies its operand by a matrix or kernel of weights."""
    if is_affine(graph, node):
        return False
    return any(
        isinstance(factor, Synapses)
        for slot in graph.operands(node.name)
        for branch in branches(graph, node, slot)
        for factor in branch.factors
    )
