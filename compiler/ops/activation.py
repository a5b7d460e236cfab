"""Rows of the activations that a firing population computes."""

from __future__ import annotations

import math

from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.ir import Neuron, Node
from spikec.compiler.ops.base import Op, Role
from spikec.compiler.populations import Shape


def relu(_node: Node) -> Neuron:
    """A plain population without a ceiling."""
    return Neuron("adafire")


def clip(node: Node) -> Neuron:
    """A plain population whose rate saturates at the upper limit, if there is one."""
    ceiling = float(node.params[2]) if 2 in node.params else math.inf
    return Neuron("adafire", ceiling=None if math.isinf(ceiling) else ceiling)


def check_clip(node: Node, _shapes: tuple[Shape, ...]) -> None:
    """Constant limits, the lower one 0, the upper one positive."""
    low = float(node.params[1]) if 1 in node.params else -math.inf
    high = float(node.params[2]) if 2 in node.params else math.inf
    if 0 in node.params or low != 0 or not high > 0:
        raise UnsupportedOpError(
            f"clips to [{low:g}, {high:g}]; a spiking neuron clips to [0, c] with c > 0",
            node.where,
            "use Relu or ReLU6",
        )


RELU = Op("Relu", Role.NEURON, {}, neuron=relu)
CLIP = Op("Clip", Role.NEURON, {}, neuron=clip, check=check_clip, since=11)
