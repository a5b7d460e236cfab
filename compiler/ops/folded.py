"""Rows of the operators that vanish into a neighbour: scale-shifts by constants, and no-ops."""

from __future__ import annotations

import numpy as np

from spikec.compiler.errors import ShapeError, UnsupportedOpError
from spikec.compiler.ir import Node
from spikec.compiler.ops.base import Affine, Op, Role
from spikec.compiler.ops.join import constant
from spikec.compiler.populations import Shape


def affine_batch_norm(node: Node, shape: Shape) -> Affine:
    """γ·(x − mean)/√(variance + ε) + β per channel (Ioffe and Szegedy 2015, algorithm 2)."""
    scale, shift, mean, variance = (np.asarray(node.params[s], np.float64) for s in (1, 2, 3, 4))
    epsilon = node.attrs.get("epsilon", 1e-5)
    assert isinstance(epsilon, float), node.name
    # ONNX keeps ε as float32; the shortest decimal of it is not what runs.
    gain = scale / np.sqrt(variance + np.float64(np.float32(epsilon)))
    per_channel = (-1,) + (1,) * (len(shape) - 1)
    return Affine(gain.reshape(per_channel), (shift - mean * gain).reshape(per_channel))


def affine_product(node: Node, shape: Shape) -> Affine:
    """x·c or x/c."""
    (slot,) = node.params
    factor = constant(node, slot, shape)
    return Affine(1 / factor if node.op == "Div" else factor, np.asarray(0.0))


def check_batch_norm(node: Node, shapes: tuple[Shape, ...]) -> None:
    """Four constants per channel, in inference mode, with a variance that is not negative."""
    if set(node.params) != {1, 2, 3, 4}:
        raise UnsupportedOpError("its four parameters must be constants", node.where)
    lengths = {array.shape for array in node.params.values()}
    if lengths != {shapes[0][:1]}:
        raise ShapeError(
            f"its parameters {sorted(lengths)} do not fit {shapes[0][0]} channels", node.where
        )
    epsilon = node.attrs.get("epsilon", 1e-5)
    assert isinstance(epsilon, float), node.name
    if not (node.params[4] + epsilon > 0).all():
        raise UnsupportedOpError("a channel's variance is not positive", node.where)


def check_product(node: Node, shapes: tuple[Shape, ...]) -> None:
    """One activation and one constant; no division by zero."""
    if len(shapes) != 1 or len(node.params) != 1:
        raise UnsupportedOpError(
            "combines two activations; only a constant is supported",
            node.where,
            "gates and attention (products of activations) have no spiking form here",
        )
    if node.op == "Div" and (0 in node.params or not np.all(node.params[1])):
        raise UnsupportedOpError("divides by an activation or by zero", node.where)
    constant(node, next(iter(node.params)), shapes[0])


BATCH_NORMALIZATION = Op(
    "BatchNormalization",
    Role.FOLDED,
    {"epsilon": 1e-5},
    affine=affine_batch_norm,
    check=check_batch_norm,
    since=15,
)
MUL = Op("Mul", Role.FOLDED, {}, affine=affine_product, check=check_product, since=7)
DIV = Op("Div", Role.FOLDED, {}, affine=affine_product, check=check_product, since=7)
IDENTITY = Op("Identity", Role.FOLDED)
DROPOUT = Op("Dropout", Role.FOLDED, {}, since=12)
