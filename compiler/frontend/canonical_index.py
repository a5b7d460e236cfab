"""Canonical forms of the index maps: constants as operands, axes counted forward."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.frontend.emit import Emit
from spikec.compiler.frontend.source import Operand, Source
from spikec.compiler.populations import Shape


def _samples_of(shape: Shape) -> Array:
    """A Reshape operand that keeps the batch axis whatever its length."""
    return np.array((0, *shape[1:]), np.int64)


def flatten(source: Source, emit: Emit) -> None:
    """Flatten(axis=1); at another axis a Reshape, if the batch axis survives it."""
    if source.axis(source.integer("axis", 1), len(source.shape_of()) + 1) == 1:
        emit.last(source, "Flatten", (source.activation(),), {"axis": 1})
    else:
        reshape(source, emit)


def reshape(source: Source, emit: Emit) -> None:
    """Reshape to a known shape of one sample."""
    emit.last(source, "Reshape", (source.activation(), _samples_of(source.result())))


def squeeze(source: Source, emit: Emit) -> None:
    """Squeeze with its axes as an operand."""
    given = source.integers(1, "axes")
    if given is None:
        raise UnsupportedOpError(
            "names no axes, so that a batch of one sample would lose its batch axis",
            source.where,
            "name the axes",
        )
    axes = sorted(source.axis(axis) for axis in given)
    _check_batch(source, axes)
    emit.last(source, "Squeeze", (source.activation(), np.array(axes, np.int64)))


def unsqueeze(source: Source, emit: Emit) -> None:
    """Unsqueeze with its axes as an operand."""
    rank = len(source.result())
    axes = sorted(source.axis(axis, rank) for axis in source.integers(1, "axes") or ())
    _check_batch(source, axes)
    emit.last(source, "Unsqueeze", (source.activation(), np.array(axes, np.int64)))


def _check_batch(source: Source, axes: list[int]) -> None:
    if 0 in axes:
        raise UnsupportedOpError(
            f"has the batch axis among its axes {tuple(axes)}",
            source.where,
            "keep the batch axis first",
        )


def transpose(source: Source, emit: Emit) -> None:
    """Transpose with an explicit permutation."""
    backwards = tuple(range(len(source.shape_of())))[::-1]
    perm = source.attrs.get("perm", backwards)
    emit.last(source, "Transpose", (source.activation(),), {"perm": perm})


def slice_(source: Source, emit: Emit) -> None:
    """Slice with starts, ends, axes and steps as operands, inside the operand's limits."""
    shape = source.shape_of()
    starts, ends = source.integers(1, "starts") or (), source.integers(2, "ends") or ()
    axes = source.integers(3, "axes") or tuple(range(len(starts)))
    steps = source.integers(4, "steps") or (1,) * len(starts)
    cuts = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = shape[source.axis(axis)]
        first, last, step = slice(start, end, step).indices(size)
        # −1 is "before the first cell" to Python and "the last cell" to ONNX.
        cut = (first, last if last >= 0 else -size - 1, source.axis(axis), step)
        if (first, last, step) != (0, size, 1):
            cuts.append(cut)
    columns = np.array(cuts, np.int64).reshape(-1, 4).T
    if not cuts:
        emit.last(source, "Identity", (source.activation(),))
        return
    emit.last(source, "Slice", (source.activation(), *(column.copy() for column in columns)))


def gather(source: Source, emit: Emit) -> None:
    """Gather with its axis counted forward; constant indices are an operand already."""
    places = source.constant(1)
    if places is None:
        raise UnsupportedOpError(
            "reads places that depend on the input",
            source.where,
            "a lookup table has no spiking form; make the indices constant",
        )
    axis = source.axis(source.integer("axis", 0))
    operands = (source.activation(), np.asarray(places, np.int64))
    emit.last(source, "Gather", operands, {"axis": axis})


def pad(source: Source, emit: Emit) -> None:
    """Pad with pads for every axis and the constant value as operands."""
    rank = len(source.shape_of())
    given = source.integers(1, "pads") or (0,) * 2 * rank
    axes = source.integers(3, "axes") or tuple(range(rank))
    pads = np.zeros((2, rank), np.int64)
    pads[:, [source.axis(axis) for axis in axes]] = np.reshape(given, (2, len(axes)))
    value = source.attrs.get("value", source.constant(2))
    fill = np.float32(0.0 if value is None else np.reshape(np.asarray(value), ()))
    operands = (source.activation(), pads.reshape(-1), np.asarray(fill))
    emit.last(source, "Pad", operands, {"mode": source.attrs.get("mode", "constant")})


def concat(source: Source, emit: Emit) -> None:
    """Concat of activations; constants become padding of a neighbour and, unless 0, an Add.

    A constant has the batch size that the file was made with; padding has any.
    """
    axis = source.axis(source.integer("axis", 1), len(source.result()))
    if all(isinstance(operand, str) for operand in source.operands):
        emit.last(source, "Concat", source.operands, {"axis": axis})
        return
    if axis == 0:
        raise UnsupportedOpError("joins along the batch axis", source.where)
    last, total = source.result(), _constant_part(source, axis)
    padded = _padded(source, emit, axis)
    if len(padded) > 1:
        attrs = {"axis": axis}
        operands: tuple[Operand, ...] = tuple(padded)
        if total.any():
            joined = emit.step(source, "Concat", operands, attrs, shape=last)
            emit.last(source, "Add", (joined, total))
        else:
            emit.last(source, "Concat", operands, attrs)
    else:
        emit.last(source, "Add", (padded[0], total))


def _constant_part(source: Source, axis: int) -> Array:
    """The constants in their places, zeros where the activations are."""
    parts = []
    for slot, operand in enumerate(source.operands):
        if isinstance(operand, str):
            parts.append(np.zeros(source.shape_of(slot), np.float32))
        else:
            parts.append(np.asarray(operand, np.float32))
    return np.concatenate(parts, axis)


def _padded(source: Source, emit: Emit, axis: int) -> list[str]:
    """The activations; each padded by the constants behind it, the first by those before it."""
    groups: list[tuple[int, int, int]] = []
    before = 0
    for slot, operand in enumerate(source.operands):
        if isinstance(operand, str):
            groups.append((slot, before, 0))
            before = 0
            continue
        length = np.asarray(operand).shape[axis]
        if groups:
            first, ahead, behind = groups[-1]
            groups[-1] = (first, ahead, behind + length)
        else:
            before += length
    return [_pad_axis(source, emit, slot, (axis, *widths)) for slot, *widths in groups]


def _pad_axis(source: Source, emit: Emit, slot: int, widths: tuple[int, ...]) -> str:
    axis, before, behind = widths
    name, shape = source.activation(slot), list(source.shape_of(slot))
    if not before and not behind:
        return name
    pads = np.zeros((2, len(shape)), np.int64)
    pads[:, axis] = before, behind
    shape[axis] += before + behind
    operands = (name, pads.reshape(-1), np.asarray(np.float32(0)))
    return emit.step(source, "Pad", operands, shape=tuple(shape))
