"""Connections over many frames at once: payloads in, exact int32 sums out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from spikec.backends.simulator.dense.convolution import PATCH_BYTES, matrix_conv, scatter, tap_conv
from spikec.backends.simulator.dense.scratch import Scratch
from spikec.compiler.arrays import Array, Int32
from spikec.compiler.bounds import Interval, accumulations
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
from spikec.compiler.errors import BoundError, Where
from spikec.compiler.geometry import shapes_along
from spikec.compiler.populations import Shape

Kernel = Callable[[Array], Array]

FLOAT32_EXACT = 2**24
"""float32 adds integers exactly in any order while every partial sum stays within this."""


@dataclass(frozen=True, eq=False)
class PreparedConnection:
    """A connection ready to run on frames, in blocks that stay in the cache.

    Attributes:
        kernels: One per factor.
        exponent: Left shift of the result.
        shapes: Shape of a frame after each kernel.
        frames: Frames per block.
    """

    kernels: tuple[Kernel, ...]
    exponent: int
    shapes: tuple[Shape, ...]
    frames: int

    def add_to(self, current: Int32, payloads: Array, *, fresh: bool) -> None:
        """Add the connection's sums to ``current``, or store them if it is ``fresh``.

        Args:
            current: (frames, *shapes[-1]).
            payloads: (frames, *source shape).
            fresh: Whether ``current`` holds nothing yet.
        """
        for start in range(0, len(payloads), self.frames):
            block = payloads[start : start + self.frames]
            for kernel, shape in zip(self.kernels, self.shapes, strict=True):
                block = kernel(block).reshape(len(block), *shape)
            goal = current[start : start + self.frames]
            sums = goal if fresh else np.empty_like(goal)
            np.copyto(sums, block, casting="unsafe")
            if self.exponent:
                np.left_shift(sums, self.exponent, out=sums)
            if not fresh:
                np.add(goal, sums, out=goal)


def prepare(
    connection: Connection, source: Shape, payload: tuple[int, int], scratch: Scratch
) -> PreparedConnection:
    """The kernels of a connection for payloads within a range; temporaries go to ``scratch``.

    Raises:
        BoundError: Some sum can reach 2^31.
    """
    shapes = shapes_along(connection, source)
    intervals = accumulations(connection, source, payload)
    if intervals[-1].magnitude << connection.exponent >= 2**31:
        problem = f"sums can reach {intervals[-1].magnitude} · 2^{connection.exponent}"
        raise BoundError(problem, Where(connection.name), "use smaller weights or payloads")
    kernels: list[Kernel] = []
    frame_bytes = math.prod(shapes[-1]) * 8
    for index, factor in enumerate(connection.factors):
        before, after = shapes[index : index + 2]
        kernel, size = _kernel(factor, before, after, _sum_type(intervals[index + 1]), scratch)
        kernels.append(kernel)
        frame_bytes = max(frame_bytes, size)
    frames = max(1, PATCH_BYTES // frame_bytes)
    return PreparedConnection(tuple(kernels), connection.exponent, shapes[1:], frames)


def _sum_type(interval: Interval) -> np.dtype[np.generic]:
    """float32 if it is exact for every partial sum, else float64 (exact below 2^53)."""
    return np.dtype(np.float32 if interval.magnitude <= FLOAT32_EXACT else np.float64)


def _kernel(
    factor: Factor, before: Shape, after: Shape, dtype: np.dtype[np.generic], scratch: Scratch
) -> tuple[Kernel, int]:
    """The function on frames, and the bytes that it needs per frame."""
    match factor:
        case Dense():
            dense = DenseProduct(np.ascontiguousarray(factor.weights.T, dtype))
            return dense, (math.prod(before) + math.prod(after)) * dtype.itemsize
        case Conv() if factor.weights.shape[1] > 1:
            patches = matrix_conv(factor, before, after, dtype, scratch)
            return patches, patches.frame_bytes
        case Conv() | SumPool():
            taps = tap_conv(factor, before, after, dtype)
            return taps, taps.frame_bytes
        case ConvTranspose():
            products = scatter(factor, before, after, dtype)
            return products, products.frame_bytes
        case Identity():
            weights = factor.weights.reshape(-1, *(1 for _ in before[1:])).astype(dtype)
            return partial(np.multiply, weights, dtype=dtype), math.prod(before) * dtype.itemsize
        case GlobalSum():
            return GlobalSums(after, dtype), math.prod(before) * dtype.itemsize
        case Gather():
            return gathered(factor, before), 2 * math.prod(after) * dtype.itemsize


@dataclass(frozen=True, eq=False)
class DenseProduct:
    """Frames of any shape times (in, out) weights in the float type of the sums."""

    weights: Array

    def __call__(self, frames: Array) -> Array:
        """(frames, …) → (frames, out)."""
        flat: Array = frames.reshape(len(frames), -1).astype(self.weights.dtype)
        return np.asarray(flat @ self.weights)


@dataclass(frozen=True, eq=False)
class GlobalSums:
    """Sums over all spatial axes, in the given type."""

    target: Shape
    dtype: np.dtype[np.generic]

    def __call__(self, frames: Array) -> Array:
        """(frames, C, *spatial) → (frames, C, 1, …)."""
        flat = frames.reshape(len(frames), self.target[0], -1)
        sums: Array = flat.sum(axis=2, dtype=self.dtype)
        return sums.reshape(len(frames), *self.target)


@dataclass(frozen=True, eq=False)
class IndexMap:
    """Positions in the flattened source; ``silent`` marks those that read nothing."""

    positions: Array
    silent: Array | None
    target: Shape

    def __call__(self, frames: Array) -> Array:
        """(frames, …) → (frames, *target)."""
        taken = np.take(frames.reshape(len(frames), -1), self.positions, axis=1)
        if self.silent is not None:
            taken[:, self.silent] = 0
        return taken.reshape(len(frames), *self.target)


def gathered(factor: Gather, source: Shape) -> Kernel:
    """An index map, or a reshape where the map keeps the order."""
    indices = factor.indices.ravel()
    if np.array_equal(indices, np.arange(math.prod(source))):
        return partial(_reshaped, shape=factor.indices.shape)
    silent = np.flatnonzero(indices < 0)
    positions = np.maximum(indices, 0).astype(np.intp)
    return IndexMap(positions, silent if silent.size else None, factor.indices.shape)


def _reshaped(frames: Array, shape: Shape) -> Array:
    return frames.reshape(len(frames), *shape)
