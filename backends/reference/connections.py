"""What a connection computes: plain sums over taps, in int64.

Payloads and sums have the axes (images, *shape).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import (
    Connection,
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)


def carried(connection: Connection, payloads: Int64) -> Int64:
    """What the connection adds to its sink's current: its factors, then the shift."""
    sums = payloads
    for factor in connection.factors:
        sums = applied(factor, sums)
    return sums << connection.exponent


def paths(connection: Connection, payloads: Int64, *, nonzero: bool) -> Int64:
    """Per image: Σ payload × the paths it takes; only those without a zero weight if ``nonzero``.

    The connection itself with every weight replaced by one, or by whether it is not zero.
    """
    sums = payloads
    for factor in connection.factors:
        if isinstance(factor, Dense | Conv | ConvTranspose | Identity):
            pattern = factor.weights != 0 if nonzero else np.ones_like(factor.weights)
            factor = replace(factor, weights=pattern.astype(np.int8))
        sums = applied(factor, sums)
    return np.asarray(sums.sum(axis=tuple(range(1, sums.ndim))))


def applied(factor: Factor, x: Int64) -> Int64:
    """One factor."""
    match factor:
        case Dense(weights=w):
            return x.reshape(len(x), math.prod(x.shape[1:])) @ w.T.astype(np.int64)
        case Conv(weights=w):
            return convolved(x, w.astype(np.int64), factor, factor.groups)
        case ConvTranspose():
            return transposed(x, factor)
        case Identity(weights=w):
            return x * w.astype(np.int64).reshape(-1, *(1 for _ in x.shape[2:]))
        case SumPool(kernel=kernel):
            return convolved(x, np.ones((x.shape[1], 1, *kernel), np.int64), factor, x.shape[1])
        case GlobalSum():
            return np.asarray(x.sum(axis=tuple(range(2, x.ndim)), keepdims=True))
        case Gather(indices=indices):
            cells = x.reshape(len(x), math.prod(x.shape[1:]))
            return np.where(indices >= 0, cells[:, indices], 0)


def convolved(x: Int64, w: Int64, window: Conv | SumPool, groups: int) -> Int64:
    """Σ over taps k and input channels c of w[o, c, k] · padded[c, stride·position + dilation·k].

    Args:
        x: (images, C, *spatial).
        w: (out, C/groups, *kernel).
        window: Strides, pads and dilations.
        groups: Divides C and out.
    """
    rank = x.ndim - 2
    margins = [(window.pads[axis], window.pads[axis + rank]) for axis in range(rank)]
    padded = np.pad(x, [(0, 0), (0, 0), *margins])
    target = [
        (padded.shape[2 + a] - window.dilations[a] * (w.shape[2 + a] - 1) - 1) // window.strides[a]
        + 1
        for a in range(rank)
    ]
    sums = np.zeros((len(x), w.shape[0], *target), np.int64)
    for tap in np.ndindex(w.shape[2:]):
        met = padded
        for axis in range(rank):
            cells = tap[axis] * window.dilations[axis]
            cells = cells + window.strides[axis] * np.arange(target[axis])
            met = np.take(met, cells, axis=2 + axis)
        sums += _mixed(w[(slice(None), slice(None), *tap)], met, groups)
    return sums


def transposed(x: Int64, factor: ConvTranspose) -> Int64:
    """Every source cell adds w[c, o, k] · x[c] to the cell stride·position + dilation·k.

    The padding is cut from the result, then cells are added at its end.
    """
    w, rank = factor.weights.astype(np.int64), x.ndim - 2
    groups = factor.groups
    strides, dilations, pads = factor.strides, factor.dilations, factor.pads
    whole = [
        strides[a] * (x.shape[2 + a] - 1) + dilations[a] * (w.shape[2 + a] - 1) + 1
        for a in range(rank)
    ]
    sums = np.zeros((len(x), w.shape[1] * groups, *whole), np.int64)
    for tap in np.ndindex(w.shape[2:]):
        matrix = w[(slice(None), slice(None), *tap)].reshape(groups, -1, w.shape[1])
        reached = [
            tap[a] * dilations[a] + strides[a] * np.arange(x.shape[2 + a]) for a in range(rank)
        ]
        sums[np.ix_(range(len(x)), range(sums.shape[1]), *reached)] += _mixed(
            matrix.swapaxes(1, 2).reshape(sums.shape[1], -1), x, groups
        )
    for a in range(rank):
        length = whole[a] - pads[a] - pads[a + rank] + factor.output_padding[a]
        longer = np.pad(sums, [(0, 0)] * (2 + a) + [(0, length)] + [(0, 0)] * (rank - 1 - a))
        sums = np.take(longer, np.arange(pads[a], pads[a] + length), axis=2 + a)
    return sums


def _mixed(matrix: Array, x: Int64, groups: int) -> Int64:
    """Σ over the input channels of each group; (images, C, …) → (images, out, …)."""
    split = x.reshape(len(x), groups, x.shape[1] // groups, math.prod(x.shape[2:]))
    mixed: Int64 = matrix.reshape(groups, -1, matrix.shape[1]) @ split
    return mixed.reshape(len(x), matrix.shape[0], *x.shape[2:])
