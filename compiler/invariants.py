"""Named checks that passes share; each raises InvariantError naming the first node that fails."""

from __future__ import annotations

from spikec.compiler.errors import InvariantError
from spikec.compiler.ir import INPUT, Graph
from spikec.compiler.ops import op_of
from spikec.compiler.ops.base import Role, Synapses
from spikec.compiler.paths import closes_region, current_paths


def shapes_known(graph: Graph) -> None:
    """Every node has a shape."""
    for node in graph:
        if node.shape is None:
            raise InvariantError("its shape is not known", node.where)


def nothing_left_to_fold(graph: Graph) -> None:
    """No Identity or Dropout is left, and no scale or shift right behind a layer of its own."""
    for node in graph:
        if node.op in ("Identity", "Dropout"):
            raise InvariantError("it passes its operand on and should be gone", node.where)


def activations_close_regions(graph: Graph) -> None:
    """No activation stands behind an index map, a MaxPool or another activation of its own."""
    for node in graph:
        if node.op not in ("Relu", "Clip"):
            continue
        source = graph[graph.sources(node.name)[0]]
        alone = graph.consumers(source.name) == (node.name,)
        movable = source.op in ("Relu", "Clip", "MaxPool") or (
            source.op != INPUT
            and op_of(source).role is Role.INDEX_MAP
            and len(graph.operands(source.name)) == 1
        )
        if alone and movable:
            raise InvariantError(f"it stands behind {source.op} '{source.name}'", node.where)


def neurons_placed(graph: Graph) -> None:
    """One input, one read-out, and between two populations at most one layer of weights.

    Activations and max pools carry neurons; every path into a population starts at another.
    """
    kinds = [node.neuron.kind for node in graph if node.neuron is not None]
    if kinds.count("input") != 1 or kinds.count("readout") != 1:
        raise InvariantError("a graph needs one input and one read-out population")
    for node in graph:
        if node.neuron is None:
            if node.op != INPUT and closes_region(node):
                raise InvariantError("it carries no neuron", node.where)
        elif node.neuron.kind != "input":
            for path in current_paths(graph, node.name):
                if sum(isinstance(step.apply, Synapses) for step in path.steps) > 1:
                    raise InvariantError(
                        f"the path from '{path.source}' passes two layers of weights", node.where
                    )


def thresholds_set(graph: Graph) -> None:
    """Every input and adafire neuron has positive thresholds."""
    for node in graph:
        if node.neuron is None or node.neuron.kind not in ("input", "adafire"):
            continue
        if node.neuron.threshold is None or not (node.neuron.threshold > 0).all():
            raise InvariantError("it has no positive threshold", node.where)


def integers_set(graph: Graph) -> None:
    """Every population has its integers."""
    for node in graph:
        if node.neuron is not None and node.quantized is None:
            raise InvariantError("its population has no integers", node.where)
