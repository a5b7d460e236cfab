"""Op: what one ONNX operator means to the compiler; a row of the op table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int8, Int64, frozen
from spikec.compiler.connections import Factor, Weighted
from spikec.compiler.ir import Attribute, Neuron, Node
from spikec.compiler.populations import Shape
from spikec.compiler.program import TailOp


class Role(Enum):
    """What becomes of an operator."""

    LINEAR = "linear"
    """A factor of a connection, or a sum of connections."""
    NEURON = "neuron"
    """A population."""
    INDEX_MAP = "index map"
    """A gather."""
    FOLDED = "folded"
    """Inside a linear operator before lowering."""
    TAIL = "tail"
    """Run by the host on the mean output, only behind the read-out."""


@dataclass(frozen=True, eq=False)
class Synapses:
    """A weighted factor before quantisation.

    Attributes:
        weights: Real weights, float64.
        inputs: For each weight, int64 and broadcastable to ``weights``: the channel (axis 0) of
            the factor's input that it reads; for a dense factor the flat position in it.
        outputs: For each weight, likewise: the channel of the factor's output that it adds to.
        quantized: Integer weights of the same shape → the factor of the program.
        node: Name of the node that holds the weights; empty if none does.
    """

    weights: Float64
    inputs: Int64
    outputs: Int64
    quantized: Callable[[Int8], Weighted]
    node: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen(self.weights, np.float64))
        object.__setattr__(self, "inputs", frozen(self.inputs, np.int64))
        object.__setattr__(self, "outputs", frozen(self.outputs, np.int64))


@dataclass(frozen=True, eq=False)
class Branch:
    """One summand of a linear operator: gain · factors(operand).

    Attributes:
        gain: Real factor, for example 1/k² of an average pool.
        factors: Applied first to last; at most one Synapses among them; empty: the operand itself.
    """

    gain: float = 1.0
    factors: tuple[Factor | Synapses, ...] = ()


@dataclass(frozen=True, eq=False)
class Affine:
    """y = gain·x + offset, elementwise; both float64 and broadcastable to the operand's shape."""

    gain: Array
    offset: Array


Lowering = Callable[[Node, int, tuple[Shape, ...]], tuple[Branch, ...]]
"""(node, operand slot, shapes of the operands that are no constants, in slot order) → the
summands that this operand contributes to the output; constant summands (bias) are not in them."""


@dataclass(frozen=True)
class Op:
    """A row of the op table.

    Attributes:
        name: ONNX operator type.
        role: What becomes of it.
        reads: Its ONNX attributes with their ONNX defaults (None: no default); an attribute that
            is not listed is an error, never ignored.
        lower: For LINEAR and INDEX_MAP.
        neuron: For NEURON: the population that it asks for.
        affine: For FOLDED operators that scale and shift; None where the operand passes unchanged.
        tail: For TAIL.
        check: Raises UnsupportedOpError for a use of the operator that cannot be converted;
            given the node and the shapes of its operands that are no constants, in slot order.
        since: Lowest opset with these semantics; the model is upgraded to it.
    """

    name: str
    role: Role
    reads: Mapping[str, Attribute | None] = field(default_factory=dict)
    lower: Lowering | None = None
    neuron: Callable[[Node], Neuron] | None = None
    affine: Callable[[Node, Shape], Affine] | None = None
    tail: Callable[[Node], TailOp] | None = None
    check: Callable[[Node, tuple[Shape, ...]], None] | None = None
    since: int = 1
