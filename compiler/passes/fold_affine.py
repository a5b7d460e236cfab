"""fold-affine: constant scales and shifts behind a layer are inside its weights and bias.

Cases:
1. Identity, Dropout: removed; its readers read its operand.
2. y = gain·x + offset (BatchNormalization; Mul, Div, Add, Sub by constants), x a Conv, Gemm or
   ConvTranspose that nobody else reads, gain and offset one value per output channel:
   W' = gain·W, b' = gain·b + offset (paper 1, section 3; algebraic).
3. Anything else stays: at the network's input it becomes part of the input's encoding, elsewhere
   of the weights and biases that lie on the path.
"""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.invariants import nothing_left_to_fold, shapes_known
from spikec.compiler.ir import Graph, GraphDraft, Node
from spikec.compiler.ops import op_of
from spikec.compiler.passes.base import Pass
from spikec.compiler.paths import is_affine
from spikec.compiler.populations import Shape

_OUTPUT_AXIS = {"Conv": 0, "Gemm": 0, "ConvTranspose": 1}
"""Axis of the weights that holds output channels (of one group, for ConvTranspose)."""


def _apply(graph: Graph) -> Graph:
    def edit(draft: GraphDraft) -> None:
        for node in graph:
            if node.op in ("Identity", "Dropout"):
                draft.bypass(node.name)
            elif len(draft.operands[node.name]) == 1 and is_affine(graph, node):
                _fold(draft, node)

    return graph.edited(edit)


def _fold(draft: GraphDraft, node: Node) -> None:
    (source,) = draft.operands[node.name].values()
    layer = draft.nodes[source]
    if layer.op not in _OUTPUT_AXIS or draft.consumers(source) != [node.name]:
        return
    affine_of = op_of(node).affine
    assert affine_of is not None
    affine = affine_of(node, layer.known_shape())
    gain = _per_channel(affine.gain, layer.known_shape())
    offset = _per_channel(affine.offset, layer.known_shape())
    if gain is None or offset is None or node.shape != layer.shape:
        return
    draft.nodes[source] = _scaled(layer, gain, offset)
    draft.bypass(node.name)


def _per_channel(values: Float64, shape: Shape) -> Float64 | None:
    """One value per channel, or None where a channel holds several or the shape would grow."""
    if np.broadcast_shapes(values.shape, shape) != shape:
        return None
    by_channel = np.broadcast_to(values, shape).reshape(shape[0], -1)
    return by_channel[:, 0] if np.all(by_channel == by_channel[:, :1]) else None


def _scaled(layer: Node, gain: Float64, offset: Float64) -> Node:
    weights = layer.params[1].astype(np.float64)
    if layer.op == "ConvTranspose":
        groups = int(str(layer.attrs.get("group", 1)))
        per_group = gain.reshape(groups, 1, -1)
        grouped = weights.reshape(groups, -1, *weights.shape[1:])
        spread = per_group.reshape(*per_group.shape, *[1] * (weights.ndim - 2))
        weights = (grouped * spread).reshape(weights.shape)
    else:
        weights = weights * gain.reshape(-1, *[1] * (weights.ndim - 1))
    bias = layer.params.get(2, np.zeros(len(gain)))
    params = dict(layer.params)
    params[1] = weights.astype(np.float32)
    params[2] = (gain * bias + offset).astype(np.float32)
    return layer.updated(params=params)


FOLD_AFFINE = Pass(
    "fold-affine", _apply, requires=(shapes_known,), ensures=(nothing_left_to_fold,), exact=True
)
