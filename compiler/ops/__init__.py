"""The op table: what each ONNX operator means to the compiler."""

from __future__ import annotations

from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.ir import INPUT, Node
from spikec.compiler.ops import activation, folded, index, join, linear, pool, tail
from spikec.compiler.ops.base import Affine, Op, Role
from spikec.compiler.populations import Shape

OPS: tuple[Op, ...] = (
    linear.CONV,
    linear.CONV_TRANSPOSE,
    linear.GEMM,
    linear.MATMUL,
    join.ADD,
    join.SUB,
    join.SUM,
    pool.AVERAGE_POOL,
    pool.GLOBAL_AVERAGE_POOL,
    pool.REDUCE_MEAN,
    pool.MAX_POOL,
    activation.RELU,
    activation.CLIP,
    index.FLATTEN,
    index.RESHAPE,
    index.SQUEEZE,
    index.UNSQUEEZE,
    index.TRANSPOSE,
    index.SLICE,
    index.GATHER,
    index.PAD,
    index.CONCAT,
    folded.BATCH_NORMALIZATION,
    folded.MUL,
    folded.DIV,
    folded.IDENTITY,
    folded.DROPOUT,
    tail.SOFTMAX,
    tail.LOG_SOFTMAX,
    tail.SIGMOID,
    tail.ARG_MAX,
)

_ROWS = {op.name: op for op in OPS}

_RECURRENT = "recurrent layers have no spiking form here; use convolutions over time"
_SMOOTH = "train the network with Relu or Clip(0, c) in its place"
_NORMALISE = "use BatchNormalization: its statistics are constants at inference"
_QUANTISED = "give the float network; spikec quantises it itself"
_PRODUCT = "gates and attention (products of activations) have no spiking form here"

ADVICE: dict[str, str] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Scan", "Loop", "If"), _RECURRENT),
    **dict.fromkeys(("Gelu", "Erf", "HardSwish", "HardSigmoid", "Mish", "Swish", "Elu"), _SMOOTH),
    **dict.fromkeys(("Selu", "Celu", "Softplus", "Softsign", "Tanh", "Exp", "Pow"), _SMOOTH),
    **dict.fromkeys(("LeakyRelu", "PRelu", "ThresholdedRelu"), _SMOOTH),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization"), _NORMALISE),
    **dict.fromkeys(("GroupNormalization", "LRN", "LpNormalization"), _NORMALISE),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"), _QUANTISED),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QLinearAdd", "QGemm"), _QUANTISED),
    **dict.fromkeys(("QLinearGlobalAveragePool", "ConvInteger", "MatMulInteger"), _QUANTISED),
    **dict.fromkeys(("Quant", "BipolarQuant", "Trunc"), _QUANTISED),
    **dict.fromkeys(("Attention", "Einsum"), _PRODUCT),
    "Resize": "use ConvTranspose to enlarge",
    "Upsample": "use ConvTranspose to enlarge",
    "DepthToSpace": "use ConvTranspose to enlarge",
    "Split": "use one Slice per part",
    "Max": "use MaxPool, or Clip(0, c)",
    "Min": "use Clip(0, c)",
    "ReduceSum": "use global average pooling",
    "LpPool": "use AveragePool or MaxPool",
    "GlobalMaxPool": "use MaxPool with a kernel of the operand's size",
}
"""What to do about well-known operators that have no row."""


def op_of(node: Node) -> Op:
    """The row of a node's operator.

    Raises:
        UnsupportedOpError: There is none.
    """
    if node.op in _ROWS:
        return _ROWS[node.op]
    supported = "supported are " + ", ".join(op.name for op in OPS)
    raise UnsupportedOpError(
        "this operator is not supported", node.where, ADVICE.get(node.op, supported)
    )


def check_node(node: Node, shapes: tuple[Shape, ...]) -> None:
    """Nothing if the node can be converted.

    Args:
        node: Any; the input always passes.
        shapes: Of its operands that are no constants, in slot order, without batch axis.

    Raises:
        UnsupportedOpError: The operator, an attribute, or this use of it is not supported.
        ShapeError: Its constants do not fit its operands.
    """
    if node.op == INPUT:
        return
    op = op_of(node)
    unread = sorted(set(node.attrs) - set(op.reads))
    if unread:
        raise UnsupportedOpError(
            f"its attribute {unread[0]} = {node.attrs[unread[0]]!r} is not supported", node.where
        )
    if op.check is not None:
        op.check(node, shapes)


def affine_of(node: Node, shapes: tuple[Shape, ...]) -> Affine | None:
    """gain·x + offset if the node is that for its one activation x; else None."""
    if node.op == INPUT or len(shapes) != 1 or not node.params:
        return None
    affine = op_of(node).affine
    return None if affine is None else affine(node, shapes[0])


def supported_table() -> str:
    """The table of supported operators, as Markdown."""
    lines = ["| operator | becomes |", "|---|---|"]
    lines += [f"| {op.name} | {_BECOMES[op.role]} |" for op in sorted(OPS, key=lambda o: o.name)]
    return "\n".join(lines) + "\n"


_BECOMES = {
    Role.LINEAR: "connections",
    Role.NEURON: "a population",
    Role.INDEX_MAP: "an index map",
    Role.FOLDED: "part of a neighbour",
    Role.TAIL: "a host operator behind the read-out",
}
