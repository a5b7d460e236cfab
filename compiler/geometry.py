"""Shapes that factors and pools produce, and the windows that they move over maps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from types import EllipsisType

import numpy as np

from spikec.compiler.arrays import Array
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
from spikec.compiler.errors import ProgramError, Where
from spikec.compiler.populations import MaxPool, Shape

NOWHERE = Where()

Index = tuple[EllipsisType | slice | int, ...]


@dataclass(frozen=True)
class Window:
    """A window that slides over spatial axes; fields as in Conv and MaxPool."""

    kernel: Shape
    strides: Shape
    pads: Shape
    dilations: Shape

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def before(self) -> Shape:
        """Padding before each axis."""
        return self.pads[: self.rank]

    @property
    def after(self) -> Shape:
        """Padding after each axis."""
        return self.pads[self.rank :]

    @property
    def reach(self) -> Shape:
        """Cells from the first tap to the last, per axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def taps(self, positions: Shape) -> Iterator[tuple[Index, Index]]:
        """Index of each tap, and of the cells of the padded map that it meets at so many positions.

        Both index the last axes of an array: (..., *kernel) and (..., *padded map).
        """
        for tap in product(*map(range, self.kernel)):
            starts = [k * d for k, d in zip(tap, self.dilations, strict=True)]
            axes = zip(starts, positions, self.strides, strict=True)
            cells = (slice(start, start + (n - 1) * step + 1, step) for start, n, step in axes)
            yield (..., *tap), (..., *cells)


def window_of(factor: Conv | ConvTranspose | SumPool | MaxPool) -> Window:
    """The window of a factor or pool."""
    match factor:
        case Conv() | ConvTranspose():
            kernel = factor.weights.shape[2:]
        case _:
            kernel = factor.kernel
    return Window(kernel, factor.strides, factor.pads, factor.dilations)


def check_window(window: Window, shape: Shape, where: Where = NOWHERE) -> None:
    """ProgramError unless the window fits a (C, *spatial) shape and its numbers are in range."""
    rank = len(shape) - 1
    if rank not in (1, 2):
        raise ProgramError(f"a window needs one or two spatial axes, the shape is {shape}", where)
    lengths = {
        "kernel": (window.kernel, rank, 1),
        "strides": (window.strides, rank, 1),
        "pads": (window.pads, 2 * rank, 0),
        "dilations": (window.dilations, rank, 1),
    }
    for field, (values, length, least) in lengths.items():
        if len(values) != length or min(values) < least:
            problem = f"{field} {values} must be {length} numbers ≥ {least} for shape {shape}"
            raise ProgramError(problem, where)


def window_positions(window: Window, shape: Shape, where: Where = NOWHERE) -> Shape:
    """Number of window positions per spatial axis over a (C, *spatial) shape.

    Raises:
        ProgramError: The window does not fit the shape, padding included.
    """
    check_window(window, shape, where)
    padded = [n + b + a for n, b, a in zip(shape[1:], window.before, window.after, strict=True)]
    slack = [n - reach for n, reach in zip(padded, window.reach, strict=True)]
    if min(slack) < 0:
        problem = f"a window of {window.reach} cells exceeds the padded map {tuple(padded)}"
        raise ProgramError(problem, where)
    return tuple(room // step + 1 for room, step in zip(slack, window.strides, strict=True))


def factor_shape(factor: Factor, shape: Shape, where: Where = NOWHERE) -> Shape:
    """Shape that a factor makes of ``shape``; ProgramError at ``where`` if they disagree."""
    match factor:
        case Dense(weights=weights):
            if weights.ndim != 2 or weights.shape[1] != math.prod(shape):
                problem = f"dense weights {weights.shape} do not take an input of shape {shape}"
                raise ProgramError(problem, where)
            return (weights.shape[0],)
        case Conv():
            _check_channels(factor, shape, where)
            return (factor.weights.shape[0], *window_positions(window_of(factor), shape, where))
        case ConvTranspose():
            return _transposed_shape(factor, shape, where)
        case Identity(weights=weights):
            if not shape or weights.shape != shape[:1]:
                problem = f"identity weights {weights.shape} do not fit the shape {shape}"
                raise ProgramError(problem, where)
            return shape
        case SumPool():
            return (shape[0], *window_positions(window_of(factor), shape, where))
        case GlobalSum():
            if len(shape) < 2:
                raise ProgramError(f"a global sum needs spatial axes, not {shape}", where)
            return (shape[0], *(1 for _ in shape[1:]))
        case Gather(indices=indices):
            return _gathered_shape(indices, shape, where)


def _gathered_shape(indices: Array, shape: Shape, where: Where) -> Shape:
    size = math.prod(shape)
    if indices.size and (indices.min() < -1 or indices.max() >= size):
        problem = (
            f"gather indices run from {indices.min()} to {indices.max()}, "
            f"the source has {size} payloads"
        )
        raise ProgramError(problem, where)
    return indices.shape


def _check_channels(factor: Conv | ConvTranspose, shape: Shape, where: Where) -> None:
    """ProgramError unless weights, groups and channels agree."""
    weights, groups = factor.weights.shape, factor.groups
    if len(weights) != len(shape) + 1:
        problem = f"weights of shape {weights} do not slide over an input of shape {shape}"
        raise ProgramError(problem, where)
    fits = groups >= 1 and shape[0] % groups == 0
    if isinstance(factor, Conv):
        fits = fits and weights[0] % groups == 0 and weights[1] * groups == shape[0]
    else:
        fits = fits and weights[0] == shape[0]
    if not fits:
        problem = f"weights of shape {weights} in {groups} groups do not fit {shape[0]} channels"
        raise ProgramError(problem, where)


def _transposed_shape(factor: ConvTranspose, shape: Shape, where: Where) -> Shape:
    _check_channels(factor, shape, where)
    window = window_of(factor)
    check_window(window, shape, where)
    extra = factor.output_padding
    if len(extra) != window.rank or min(extra) < 0:
        raise ProgramError(f"output_padding {extra} must be {window.rank} numbers ≥ 0", where)
    axes = zip(shape[1:], window.strides, window.reach, strict=True)
    uncut = [(n - 1) * step + reach for n, step, reach in axes]
    cuts = zip(uncut, window.before, window.after, extra, strict=True)
    spatial = tuple(n - before - after + more for n, before, after, more in cuts)
    if min(spatial) < 1:
        raise ProgramError(f"padding {window.pads} leaves nothing of shape {shape}", where)
    return (factor.weights.shape[1] * factor.groups, *spatial)


def connection_shape(connection: Connection, source_shape: Shape) -> Shape:
    """Shape that a connection delivers; ProgramError naming it where shapes disagree."""
    return shapes_along(connection, source_shape)[-1]


def shapes_along(connection: Connection, source_shape: Shape) -> tuple[Shape, ...]:
    """The source's shape, then the shape after each factor."""
    shapes = [source_shape]
    for factor in connection.factors:
        where = Where(connection.name, type(factor).__name__)
        shapes.append(factor_shape(factor, shapes[-1], where))
    return tuple(shapes)


def pool_shape(pool: MaxPool) -> Shape:
    """Output shape of a max_pool population from its counters and window.

    Raises:
        ProgramError: The window does not fit, or some window holds nothing but padding.
    """
    where = Where(pool.name)
    window = window_of(pool)
    positions = window_positions(window, pool.counters, where)
    for axis, count in enumerate(positions):
        first = np.arange(count)[:, None] * window.strides[axis] - window.before[axis]
        cells = first + np.arange(window.kernel[axis]) * window.dilations[axis]
        if not ((cells >= 0) & (cells < pool.counters[1 + axis])).any(axis=1).all():
            problem = f"padding {window.pads} leaves a window of {window.kernel} without any input"
            raise ProgramError(problem, where)
    return (pool.counters[0], *positions)


def transposed_extent(factor: ConvTranspose, shape: Shape, target: Shape) -> Shape:
    """Spatial size that holds both the uncut result of a ConvTranspose and its padded output."""
    window = window_of(factor)
    axes = zip(shape[1:], window.strides, window.reach, strict=True)
    uncut = [(n - 1) * step + reach for n, step, reach in axes]
    kept = [before + out for before, out in zip(window.before, target[1:], strict=True)]
    return tuple(map(max, uncut, kept))


def interior(before: Shape, shape: Shape) -> Index:
    """Index of the (C, *spatial) part of a padded map, given the padding before each axis."""
    return (..., *(slice(b, b + n) for b, n in zip(before, shape[1:], strict=True)))
