"""The numbers that follow gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spikec.compiler.ir import Node

if TYPE_CHECKING:
    from torch import Tensor

Parameters = dict[tuple[str, str], "Tensor"]
"""By node and "weight", "bias" or "threshold" (its natural logarithm)."""


def constants_of(
    node: Node, weights: Mapping[str, Tensor], parameters: Parameters
) -> dict[int, Tensor]:
    """Weights and biases of a node by slot."""
    found = {1: weights[node.name]} if node.name in weights else {}
    if (node.name, "bias") in parameters:
        found[2] = parameters[node.name, "bias"]
    return found
