"""move-activations: each activation stands right behind the layer whose current it rectifies.

Cases, with A a Relu or Clip(0, c) and nobody but A reading what stands before it:
1. A(MaxPool(x)) becomes MaxPool(A(x)): A is monotone.
2. A(index map(x)) becomes index map(A(x)), for maps of one operand: A is elementwise and A(0) = 0.
3. A(B(x)), B an activation, becomes one Clip with the smaller ceiling, or a Relu.
"""

from __future__ import annotations

from spikec.compiler.invariants import (
    activations_close_regions,
    nothing_left_to_fold,
    shapes_known,
)
from spikec.compiler.ir import INPUT, Graph, GraphDraft
from spikec.compiler.ops import op_of
from spikec.compiler.ops.base import Role
from spikec.compiler.passes.base import Pass

_ACTIVATIONS = ("Relu", "Clip")


def _apply(graph: Graph) -> Graph:
    def edit(draft: GraphDraft) -> None:
        for node in graph:
            if node.op in _ACTIVATIONS:
                while _moved(draft, node.name):
                    pass

    return graph.edited(edit)


def _moved(draft: GraphDraft, name: str) -> bool:
    """One step towards the layer; False where the activation has arrived."""
    (source,) = draft.operands[name].values()
    before = draft.nodes[source]
    if before.op == INPUT or draft.consumers(source) != [name]:
        return False
    if before.op in _ACTIVATIONS:
        _fuse(draft, name, source)
        return True
    is_map = op_of(before).role is Role.INDEX_MAP and len(draft.operands[source]) == 1
    if not is_map and before.op != "MaxPool":
        return False
    _swap(draft, name, source)
    return True


def _swap(draft: GraphDraft, activation: str, before: str) -> None:
    ((slot, source),) = draft.operands[before].items()
    draft.reroute(activation, before)
    draft.operands[activation] = {0: source}
    draft.operands[before] = {slot: activation}
    draft.nodes[activation] = draft.nodes[activation].updated(shape=draft.nodes[source].shape)


def _fuse(draft: GraphDraft, outer: str, inner: str) -> None:
    """The activation with the lower ceiling stays, under the outer one's name."""
    ceilings = {name: _ceiling(draft, name) for name in (outer, inner)}
    lower = min(ceilings, key=lambda name: ceilings[name])
    draft.nodes[outer] = draft.nodes[lower].updated(name=outer)
    draft.bypass(inner)


def _ceiling(draft: GraphDraft, name: str) -> float:
    node = draft.nodes[name]
    neuron_of = op_of(node).neuron
    assert neuron_of is not None
    ceiling = neuron_of(node).ceiling
    return float("inf") if ceiling is None else ceiling


MOVE_ACTIVATIONS = Pass(
    "move-activations",
    _apply,
    requires=(shapes_known, nothing_left_to_fold),
    ensures=(activations_close_regions,),
    exact=True,
)
