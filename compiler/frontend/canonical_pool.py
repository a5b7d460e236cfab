"""Canonical forms of pools: explicit pads, no ceil_mode, axes that are not negative."""

from __future__ import annotations

import numpy as np

from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.frontend.canonical_linear import explicit, windows_of
from spikec.compiler.frontend.emit import Emit
from spikec.compiler.frontend.source import Source


def max_pool(source: Source, emit: Emit) -> None:
    """MaxPool; a last partial window is expressed by padding, which no maximum sees."""
    windows = windows_of(source, leave_out=("storage_order",))
    _check_pads(source, windows.pads, windows.kernel)
    emit.last(source, "MaxPool", (source.activation(),), explicit(windows))


def average_pool(source: Source, emit: Emit) -> None:
    """AveragePool; where padding counts and overhang does not, the padding becomes a Pad."""
    windows = windows_of(source, leave_out=("count_include_pad",))
    include, operand = source.integer("count_include_pad", 0), source.activation()
    attrs = explicit(windows)
    _check_pads(source, windows.pads, windows.kernel)
    if include and any(windows.overhang):
        axes = len(windows.kernel)
        before = windows.pads[:axes]
        after = tuple(p - o for p, o in zip(windows.pads[axes:], windows.overhang, strict=True))
        shape = source.shape_of()
        spatial = zip(shape[2:], before, after, strict=True)
        operand = emit.step(
            source,
            "Pad",
            (operand, np.array((0, 0, *before, 0, 0, *after)), np.zeros((), np.float32)),
            shape=(*shape[:2], *(size + b + a for size, b, a in spatial)),
        )
        attrs["pads"] = (0,) * axes + windows.overhang
        include = 0
    emit.last(source, "AveragePool", (operand,), {**attrs, "count_include_pad": include})


def _check_pads(source: Source, pads: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    """Onnxruntime asks this too; without it, windows may lie in the padding altogether."""
    if any(pad >= size for pad, size in zip(pads, kernel * 2, strict=True)):
        raise UnsupportedOpError(
            f"its padding {pads} is not smaller than its kernel {kernel}",
            source.where,
            "pad less, or use a Pad before it",
        )


def reduce_mean(source: Source, emit: Emit) -> None:
    """ReduceMean with its axes as an operand."""
    operand, rank = source.activation(), len(source.shape_of())
    given = source.integers(1, "axes")
    if not given and source.integer("noop_with_empty_axes", 0):
        emit.last(source, "Identity", (operand,))
        return
    axes = sorted(source.axis(axis) for axis in given) if given else list(range(rank))
    keep = {"keepdims": source.integer("keepdims", 1)}
    emit.last(source, "ReduceMean", (operand, np.array(axes, np.int64)), keep)
