"""Canonical forms of the operators with weights: explicit pads, weights as (out, in), scales in."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.errors import ShapeError, UnsupportedOpError
from spikec.compiler.frontend.emit import Emit
from spikec.compiler.frontend.source import Source
from spikec.compiler.ir import Attribute, Node
from spikec.compiler.ops.windows import Window, window
from spikec.compiler.populations import Shape


def windows_of(source: Source, *, leave_out: tuple[str, ...] = ()) -> Window:
    """The windows of a node, its defaults resolved."""
    attrs = {name: value for name, value in source.attrs.items() if name not in leave_out}
    weights = source.operand(1)
    params = {1: weights} if weights is not None and not isinstance(weights, str) else {}
    return window(Node(source.name, source.op, attrs, params), source.shape_of()[2:])


def explicit(windows: Window) -> dict[str, Attribute]:
    """ONNX attributes of windows."""
    return {
        "kernel_shape": windows.kernel,
        "strides": windows.strides,
        "pads": windows.pads,
        "dilations": windows.dilations,
    }


def conv(source: Source, emit: Emit) -> None:
    """Conv with explicit windows."""
    weights, bias = source.constant(1), source.constant(2)
    attrs = {**explicit(windows_of(source)), "group": source.integer("group", 1)}
    emit.last(source, "Conv", _given(source.activation(), weights, bias), attrs)


def conv_transpose(source: Source, emit: Emit) -> None:
    """ConvTranspose with explicit windows; output_shape and auto_pad become pads."""
    weights, bias = source.constant(1), source.constant(2)
    windows = windows_of(source, leave_out=("auto_pad", "output_shape", "output_padding"))
    spatial, axes = source.shape_of()[2:], len(source.shape_of()) - 2
    extra = source.attrs.get("output_padding", (0,) * axes)
    assert isinstance(extra, tuple), source.name
    full = tuple(
        (size - 1) * stride + (kernel - 1) * dilation + 1 + int(more)
        for size, stride, kernel, dilation, more in zip(
            spatial, windows.strides, windows.kernel, windows.dilations, extra, strict=True
        )
    )
    pads = _transposed_pads(source, full, windows)
    attrs = {
        **explicit(windows),
        "pads": pads,
        "output_padding": tuple(int(more) for more in extra),
        "group": source.integer("group", 1),
    }
    emit.last(source, "ConvTranspose", _given(source.activation(), weights, bias), attrs)


def _transposed_pads(source: Source, full: Shape, windows: Window) -> Shape:
    """What to cut so that ``full`` cells become the wanted ones (ONNX operator ConvTranspose)."""
    mode, wanted = source.attrs.get("auto_pad", "NOTSET"), source.attrs.get("output_shape")
    if wanted is None and mode in ("NOTSET", "VALID"):
        return windows.pads if mode == "NOTSET" else (0,) * len(windows.pads)
    if wanted is None:
        sizes = source.shape_of()[2:]
        wanted = tuple(n * stride for n, stride in zip(sizes, windows.strides, strict=True))
    assert isinstance(wanted, tuple), source.name
    cut = tuple(f - int(w) for f, w in zip(full, wanted[-len(full) :], strict=True))
    if min(cut) < 0:
        raise UnsupportedOpError(
            f"its output shape {wanted} is larger than the {full} that its weights reach",
            source.where,
            "use output_padding, or a Pad behind it",
        )
    less, more = tuple(c // 2 for c in cut), tuple(c - c // 2 for c in cut)
    return less + more if mode == "SAME_UPPER" else more + less


def _given(*operands: Array | str | None) -> tuple[Array | str | None, ...]:
    return operands if operands[-1] is not None else operands[:-1]


def gemm(source: Source, emit: Emit) -> None:
    """Gemm with weights (out, in), scales and transposition inside, bias (out,)."""
    weights, bias = source.constant(1), source.constant(2)
    if source.integer("transA", 0):
        raise UnsupportedOpError(
            "transposes its activation, and so moves the batch axis",
            source.where,
            "use transA = 0",
        )
    assert weights is not None, source.name
    matrix = weights if source.integer("transB", 0) else weights.T
    matrix = np.multiply(matrix, source.number("alpha", 1.0), dtype=np.float32)
    if bias is not None:
        bias = np.multiply(bias, source.number("beta", 1.0), dtype=np.float32)
        bias = _row(source, bias, matrix.shape[0])
    operands = _given(source.activation(), np.ascontiguousarray(matrix), bias)
    emit.last(source, "Gemm", operands, {"transB": 1})


def _row(source: Source, bias: Array, length: int) -> Array:
    try:
        row: Array = np.broadcast_to(bias, (1, length))[0]
    except ValueError as error:
        raise ShapeError(
            f"its bias {bias.shape} does not fit {length} outputs of one sample",
            source.where,
            "if a batch size is built into the model, export it with a dynamic one",
        ) from error
    return row


def matmul(source: Source, emit: Emit) -> None:
    """Gemm for a matrix; for more axes a 1×1 convolution over the axes between batch and last."""
    if isinstance(source.operand(1), str) and not isinstance(source.operand(0), str):
        _left_matmul(source, emit)
        return
    weights = source.constant(1)
    shape = source.shape_of()
    assert weights is not None, source.name
    while weights.ndim > 2 and weights.shape[0] == 1 and weights.ndim <= len(shape):
        weights = weights[0]
    if weights.ndim != 2 or not 2 <= len(shape) <= 4:
        raise UnsupportedOpError(
            f"multiplies a {shape} activation by constants {weights.shape}",
            source.where,
            "only products with one constant matrix are supported",
        )
    if len(shape) == 2:
        matrix = np.ascontiguousarray(weights.T)
        emit.last(source, "Gemm", (source.activation(), matrix), {"transB": 1})
        return
    rank = len(shape)
    to_front = (0, rank - 1, *range(1, rank - 1))
    moved = emit.step(
        source,
        "Transpose",
        (source.activation(),),
        {"perm": to_front},
        shape=tuple(shape[axis] for axis in to_front),
    )
    kernel = np.ascontiguousarray(weights.T).reshape(weights.shape[::-1] + (1,) * (rank - 2))
    mixed = emit.step(
        source,
        "Conv",
        (moved, kernel),
        _pointwise(rank - 2),
        shape=(shape[0], weights.shape[1], *shape[1:-1]),
    )
    emit.last(source, "Transpose", (mixed,), {"perm": (0, *range(2, rank), 1)})


def _left_matmul(source: Source, emit: Emit) -> None:
    """W·x over the axis before the last of (batch, in, length): a convolution with kernel 1."""
    weights, shape = source.constant(0), source.shape_of(1)
    assert weights is not None, source.name
    if weights.ndim != 2 or len(shape) != 3:
        raise UnsupportedOpError(
            f"multiplies constants {weights.shape} by a {shape} activation",
            source.where,
            "put the activation first",
        )
    emit.last(source, "Conv", (source.activation(1), weights[:, :, None]), _pointwise(1))


def _pointwise(axes: int) -> dict[str, Attribute]:
    ones, zeros = (1,) * axes, (0,) * 2 * axes
    return {
        "kernel_shape": ones,
        "strides": ones,
        "pads": zeros,
        "dilations": ones,
        "group": 1,
    }
