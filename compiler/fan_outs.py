"""How many targets each payload reaches."""

from __future__ import annotations

import math

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
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
from spikec.compiler.geometry import (
    Window,
    interior,
    shapes_along,
    transposed_extent,
    window_of,
)
from spikec.compiler.populations import Shape


def fan_out(connection: Connection, source_shape: Shape, *, nonzero: bool = False) -> Int64:
    """Number of paths from each payload of the source through all factors; source shape.

    The adjoint of the connection with every weight replaced by 1, applied to ones: borders,
    strides, dilations and groups count as they are. With ``nonzero``, only paths on which no
    weight is 0.
    """
    shapes = shapes_along(connection, source_shape)
    paths = np.ones(shapes[-1], np.float64)  # float64: exact below 2^53, and fast
    for factor, shape in zip(reversed(connection.factors), reversed(shapes[:-1]), strict=True):
        paths = _pulled_back(factor, paths, shape, nonzero)
    return paths.astype(np.int64)


def _pulled_back(factor: Factor, paths: Float64, shape: Shape, nonzero: bool) -> Float64:
    """Paths per input of a factor, from paths per output."""
    match factor:
        case Dense(weights=weights):
            return (paths @ _pattern(weights, nonzero)).reshape(shape)
        case Conv():
            return _through_conv(factor, paths, shape, nonzero)
        case ConvTranspose():
            return _through_transposed(factor, paths, shape, nonzero)
        case Identity(weights=weights):
            return paths * _pattern(weights, nonzero).reshape(-1, *(1 for _ in shape[1:]))
        case SumPool():
            ones = np.ones((shape[0], 1, *factor.kernel), np.int8)
            pool = Conv(ones, factor.strides, factor.pads, factor.dilations, shape[0])
            return _through_conv(pool, paths, shape, False)
        case GlobalSum():
            return np.broadcast_to(paths, shape).copy()
        case Gather(indices=indices):
            taken = indices.ravel() >= 0
            size = math.prod(shape)
            counts = np.bincount(indices.ravel()[taken], paths.ravel()[taken], minlength=size)
            return np.asarray(counts.reshape(shape), np.float64)


def _pattern(weights: Array, nonzero: bool) -> Float64:
    return (weights != 0).astype(np.float64) if nonzero else np.ones(weights.shape, np.float64)


def _through_conv(factor: Conv, paths: Float64, shape: Shape, nonzero: bool) -> Float64:
    window, groups = window_of(factor), factor.groups
    pattern = _pattern(factor.weights, nonzero)
    pattern = pattern.reshape(groups, -1, *pattern.shape[1:])
    outgoing = paths.reshape(groups, pattern.shape[1], -1)
    sizes = zip(shape[1:], window.before, window.after, strict=True)
    extent = tuple(n + before + after for n, before, after in sizes)
    if (outgoing == outgoing[..., :1]).all():  # every position as many, as ahead of a last factor
        ways = outgoing[..., :1].swapaxes(1, 2) @ pattern.reshape(*pattern.shape[:2], -1)
        met = _met(window, paths.shape[1:], extent)
        padded = (ways.reshape(shape[0], -1) @ met).reshape(shape[0], *extent)
    else:
        padded = np.zeros((shape[0], *extent))
        for tap, cells in window.taps(paths.shape[1:]):
            step = pattern[tap].transpose(0, 2, 1) @ outgoing
            padded[cells] += step.reshape(shape[0], *paths.shape[1:])
    return padded[interior(window.before, shape)]


def _met(window: Window, positions: Shape, extent: Shape) -> Float64:
    """1 where a tap meets a cell of a padded map at some position, (taps, cells)."""
    met = np.zeros((*window.kernel, *extent))
    for tap, cells in window.taps(positions):
        met[(*tap[1:], *cells[1:])] = 1
    return met.reshape(-1, math.prod(extent))


def _through_transposed(
    factor: ConvTranspose, paths: Float64, shape: Shape, nonzero: bool
) -> Float64:
    window, groups = window_of(factor), factor.groups
    pattern = _pattern(factor.weights, nonzero)
    pattern = pattern.reshape(groups, -1, *pattern.shape[1:])
    full = np.zeros((paths.shape[0], *transposed_extent(factor, shape, paths.shape)))
    full[interior(window.before, paths.shape)] = paths
    result = np.zeros((groups, shape[0] // groups, math.prod(shape[1:])))
    for tap, cells in window.taps(shape[1:]):
        reached = full[cells].reshape(groups, pattern.shape[2], -1)
        result += pattern[tap] @ reached
    return result.reshape(shape)
