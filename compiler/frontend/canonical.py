"""The canonical form of every operator: opset 20, constants as operands, nothing implicit.

Canonical linear operators have explicit kernel_shape, strides, pads and dilations (no auto_pad, no
ceil_mode); a Gemm has weights (out, in) and no scales; Sum is a chain of Add; axes count forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from spikec.compiler.arrays import Array
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.frontend import canonical_index, canonical_linear, canonical_pool
from spikec.compiler.frontend.emit import Emit
from spikec.compiler.frontend.source import Source

OPSET = 20
"""The opset of every Graph; the newest that onnxruntime 1.20 runs and that has all forms used."""


def same(source: Source, emit: Emit) -> None:
    """The operator as it is."""
    emit.last(source, source.op, source.operands, source.attrs)


def total(source: Source, emit: Emit) -> None:
    """A chain of Add."""
    first, *others = source.operands
    if not others:
        emit.last(source, "Identity", (first,))
        return
    for operand in others[:-1]:
        first = emit.step(source, "Add", (first, operand), shape=source.result())
    emit.last(source, "Add", (first, others[-1]))


def clip(source: Source, emit: Emit) -> None:
    """Clip with its limits as operands; a limit that is absent stays absent."""
    limits = [_limit(source, slot, name) for slot, name in ((1, "min"), (2, "max"))]
    operands = (source.activation(), *limits)
    emit.last(source, "Clip", operands[:-1] if limits[-1] is None else operands)


def _limit(source: Source, slot: int, name: str) -> Array | None:
    value = source.attrs.get(name, source.constant(slot))
    return None if value is None else np.asarray(value, np.float32).reshape(())


def batch_norm(source: Source, emit: Emit) -> None:
    """BatchNormalization in inference mode."""
    parameters = [source.constant(slot) for slot in (1, 2, 3, 4)]
    if source.integer("training_mode", 0) or not source.integer("spatial", 1):
        raise UnsupportedOpError(
            "normalises by the statistics of the batch, or per position",
            source.where,
            "export the network in evaluation mode",
        )
    attrs = {"epsilon": source.number("epsilon", 1e-5)}
    emit.last(source, "BatchNormalization", (source.activation(), *parameters), attrs)


def dropout(source: Source, emit: Emit) -> None:
    """Dropout in inference mode."""
    training = source.constant(2)
    if training is not None and bool(np.any(training)):
        raise UnsupportedOpError(
            "drops values at random", source.where, "export the network in evaluation mode"
        )
    emit.last(source, "Dropout", (source.activation(),))


def cast(source: Source, emit: Emit) -> None:
    """Identity, if the type stays float32."""
    if source.integer("to", 0) != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(source.integer("to", 0)).lower()
        raise UnsupportedOpError(
            f"turns activations into {name}", source.where, "keep activations in float32"
        )
    emit.last(source, "Identity", (source.activation(),))


def expand(source: Source, emit: Emit) -> None:
    """Identity, if nothing grows."""
    if source.shape_of() != source.result():
        raise UnsupportedOpError(
            f"expands {source.shape_of()} to {source.result()}",
            source.where,
            "Add broadcasts by itself",
        )
    emit.last(source, "Identity", (source.activation(),))


def softmax(source: Source, emit: Emit) -> None:
    """Softmax or LogSoftmax along one axis; before opset 13 it ran over all axes from one on."""
    operand, shape = source.activation(), source.shape_of()
    axis = source.axis(source.integer("axis", -1 if source.opset >= 13 else 1))
    if source.opset >= 13 or math.prod(shape[axis + 1 :]) == 1:
        emit.last(source, source.op, (operand,), {"axis": axis})
        return
    flat = (*shape[:axis], math.prod(shape[axis:]))
    to_flat, back = np.array((0, *flat[1:])), np.array((0, *shape[1:]))
    flattened = emit.step(source, "Reshape", (operand, to_flat), shape=flat)
    scores = emit.step(source, source.op, (flattened,), {"axis": axis}, shape=flat)
    emit.last(source, "Reshape", (scores, back))


def arg_max(source: Source, emit: Emit) -> None:
    """ArgMax along an axis counted forward."""
    attrs = {**source.attrs, "axis": source.axis(source.integer("axis", 0))}
    emit.last(source, "ArgMax", (source.activation(),), attrs)


Rule = Callable[[Source, Emit], None]

RULES: dict[str, Rule] = {
    "Add": same,
    "ArgMax": arg_max,
    "AveragePool": canonical_pool.average_pool,
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Clip": clip,
    "Concat": canonical_index.concat,
    "Conv": canonical_linear.conv,
    "ConvTranspose": canonical_linear.conv_transpose,
    "Div": same,
    "Dropout": dropout,
    "Expand": expand,
    "Flatten": canonical_index.flatten,
    "Gather": canonical_index.gather,
    "Gemm": canonical_linear.gemm,
    "GlobalAveragePool": same,
    "Identity": same,
    "LogSoftmax": softmax,
    "MatMul": canonical_linear.matmul,
    "MaxPool": canonical_pool.max_pool,
    "Mul": same,
    "Pad": canonical_index.pad,
    "ReduceMean": canonical_pool.reduce_mean,
    "Relu": same,
    "Reshape": canonical_index.reshape,
    "Sigmoid": same,
    "Slice": canonical_index.slice_,
    "Softmax": softmax,
    "Squeeze": canonical_index.squeeze,
    "Sub": same,
    "Sum": total,
    "Transpose": canonical_index.transpose,
    "Unsqueeze": canonical_index.unsqueeze,
}
"""One rule per operator that may stand in a file."""
