"""Convolutions of payload frames as matrix products of patches, exact in floating point.

Arrays of frames have the axes (frames, C, *spatial). A one-dimensional map is a map of height 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from spikec.backends.simulator.dense.scratch import Scratch
from spikec.compiler.arrays import Array
from spikec.compiler.connections import Conv, ConvTranspose, SumPool
from spikec.compiler.geometry import Window, interior, window_of
from spikec.compiler.populations import Shape

PATCH_BYTES = 1 << 20
"""Patches of one matrix product; they should stay in the second-level cache."""


@dataclass(frozen=True, eq=False)
class RowConv:
    """A convolution of stride 1: for each row of the kernel, one product with shifted maps.

    All maps of a channel lie in one line. Each row of cells ends in a gap that is wide enough for
    the padding before and after, each map in a gap of rows, so a tap is a shift of the whole line.

    Attributes:
        weights: (kernel rows, groups, out per group, in per group · kernel columns), the float
            type of the sums.
        window: Kernel, pads and dilations; two spatial axes.
        source: (C, H, W).
        target: (out, H', W').
        scratch: Memory for maps and sums; a result is there until the next call in its thread.
    """

    weights: Array
    window: Window
    source: Shape
    target: Shape
    scratch: Scratch

    @property
    def cells(self) -> tuple[int, int]:
        """Rows per map and columns per row, gaps included."""
        axes = zip(
            self.source[1:], self.target[1:], self.window.before, self.window.after, strict=True
        )
        rows, columns = (max(n + max(before, after), out) for n, out, before, after in axes)
        return rows, columns

    @property
    def frame_bytes(self) -> int:
        """Size of the shifted maps and the sums of one frame."""
        lines = self.source[0] * self.window.kernel[1] + 2 * self.target[0]
        return int(lines * math.prod(self.cells) * self.weights.itemsize)

    def __call__(self, frames: Array) -> Array:
        """(frames, C, H, W) → (frames, out, H', W'), a view of the product's own axis order."""
        rows, columns = self.cells
        length = len(frames) * rows * columns
        down = self.window.dilations[0] * columns
        lines = self._shifted(self._line(frames), length + (len(self.weights) - 1) * down)
        lines = lines.reshape(self.weights.shape[1], self.weights.shape[3], -1)
        shape, dtype = (*self.weights.shape[1:3], length), lines.dtype
        sums = self.scratch.take("sums", shape, dtype)
        np.matmul(self.weights[0], lines[..., :length], out=sums)
        for row in range(1, len(self.weights)):
            part = lines[..., row * down : row * down + length]
            more = self.scratch.take("products", shape, dtype)
            np.add(sums, np.matmul(self.weights[row], part, out=more), out=sums)
        maps = sums.reshape(self.target[0], len(frames), rows, columns)
        return maps[:, :, : self.target[1], : self.target[2]].swapaxes(0, 1)

    def _line(self, frames: Array) -> Array:
        """All maps of each channel in one line, from the padding before the first."""
        (channels, height, width), (rows, columns) = self.source, self.cells
        length = len(frames) * rows * columns
        lead = self.window.before[0] * columns + self.window.before[1]
        reach = (self.window.reach[0] - 1) * columns + self.window.reach[1] - 1
        line = self.scratch.take("line", (channels, length + max(lead, reach)), self.weights.dtype)
        line[...] = 0
        maps = line[:, lead : lead + length].reshape(channels, len(frames), rows, columns)
        maps[:, :, :height, :width] = _maps(frames, self.source).swapaxes(0, 1)
        return line

    def _shifted(self, line: Array, length: int) -> Array:
        """The line once per column of the kernel, (C, kernel columns, length)."""
        taps, step = self.window.kernel[1], self.window.dilations[1]
        if taps == 1:
            return line[:, None, :length]
        shifted = self.scratch.take("shifted", (len(line), taps, length), line.dtype)
        for tap in range(taps):
            shifted[:, tap] = line[:, tap * step : tap * step + length]
        return shifted


@dataclass(frozen=True, eq=False)
class PatchConv:
    """A convolution of any stride: one product with a patch for every output cell.

    Attributes:
        weights: (groups, out per group, in per group · taps), the float type of the sums.
        window: Kernel, strides, pads and dilations; two spatial axes.
        source: (C, H, W).
        target: (out, H', W').
    """

    weights: Array
    window: Window
    source: Shape
    target: Shape

    @property
    def frame_bytes(self) -> int:
        """Size of the patches of one frame."""
        rows = self.source[0] * math.prod(self.window.kernel)
        return int(rows * self.target[1] * self.target[2] * self.weights.itemsize)

    def __call__(self, frames: Array) -> Array:
        """(frames, C, H, W) → (frames, out, H', W'), a view of the product's own axis order."""
        maps = _maps(frames, self.source).swapaxes(0, 1)
        patches = _patches(_padded(maps, self.window, self.weights.dtype), self.window, self.target)
        columns = patches.reshape(len(self.weights), self.weights.shape[2], -1)
        sums: Array = np.matmul(self.weights, columns)
        return sums.reshape(self.target[0], len(frames), *self.target[1:]).swapaxes(0, 1)


@dataclass(frozen=True, eq=False)
class TapConv:
    """A convolution with one input channel per group: a sum of weighted, shifted maps.

    Attributes:
        weights: (C, multiplier, 1, 1, *kernel) in the type of the sums; None for all ones.
        window: Kernel, strides, pads and dilations; two spatial axes.
        source: (C, H, W).
        target: (C · multiplier, H', W').
        dtype: Type of the sums.
    """

    weights: Array | None
    window: Window
    source: Shape
    target: Shape
    dtype: np.dtype[np.generic]

    @property
    def frame_bytes(self) -> int:
        """Size of the padded map, the sums and one product of a frame."""
        return (math.prod(self.source) + 2 * math.prod(self.target)) * self.dtype.itemsize

    def __call__(self, frames: Array) -> Array:
        """(frames, C, H, W) → (frames, C · multiplier, H', W')."""
        padded = _padded(_maps(frames, self.source), self.window, self.dtype)[:, :, None]
        multiplier = self.target[0] // self.source[0]
        shape = (len(frames), self.source[0], multiplier, *self.target[1:])
        sums = np.zeros(shape, self.dtype)
        product = np.empty(shape, self.dtype)
        for tap, cells in self.window.taps(self.target[1:]):
            if self.weights is None:
                sums += padded[cells]
            else:
                sums += np.multiply(padded[cells], self.weights[tap], out=product)
        return sums.reshape(len(frames), *self.target)


@dataclass(frozen=True, eq=False)
class Scatter:
    """A transposed convolution: one product per source cell, added to the cells it reaches.

    Attributes:
        weights: (groups, out per group · taps, in per group), the float type of the sums.
        window: Kernel, strides, pads and dilations; two spatial axes.
        source: (C, H, W).
        target: (out, H', W').
        extent: (H'', W'') that holds the uncut result and the target in it.
    """

    weights: Array
    window: Window
    source: Shape
    target: Shape
    extent: Shape

    @property
    def frame_bytes(self) -> int:
        """Size of the products of one frame."""
        cells = self.source[1] * self.source[2]
        rows = self.weights.shape[0] * self.weights.shape[1]
        return int(rows * cells * self.weights.itemsize)

    def __call__(self, frames: Array) -> Array:
        """(frames, C, H, W) → (frames, out, H', W'), a view of the product's own axis order."""
        count, groups = len(frames), len(self.weights)
        maps = _maps(frames, self.source).swapaxes(0, 1)
        columns = np.ascontiguousarray(maps, self.weights.dtype)
        products = np.matmul(self.weights, columns.reshape(groups, self.weights.shape[2], -1))
        shape = (self.target[0], *self.window.kernel, count, *self.source[1:])
        products = np.moveaxis(products.reshape(shape), (1, 2), (-2, -1))
        full = np.zeros((self.target[0], count, *self.extent), self.weights.dtype)
        for tap, cells in self.window.taps(self.source[1:]):
            full[cells] += products[tap]
        return full[interior(self.window.before, self.target)].swapaxes(0, 1)


def matrix_conv(
    factor: Conv, source: Shape, target: Shape, dtype: np.dtype[np.generic], scratch: Scratch
) -> RowConv | PatchConv:
    """The kernel for a convolution of any grouping."""
    window, groups = _two(window_of(factor)), factor.groups
    weights = factor.weights.astype(dtype)
    if set(window.strides) == {1}:
        shape = (groups, target[0] // groups, weights.shape[1], *window.kernel)
        rows = np.moveaxis(weights.reshape(shape), 3, 0)
        rows = np.ascontiguousarray(rows).reshape(window.kernel[0], *shape[:2], -1)
        return RowConv(rows, window, _high(source), _high(target), scratch)
    matrix = weights.reshape(groups, target[0] // groups, -1)
    return PatchConv(matrix, window, _high(source), _high(target))


def tap_conv(
    factor: Conv | SumPool, source: Shape, target: Shape, dtype: np.dtype[np.generic]
) -> TapConv:
    """The kernel for a depthwise convolution or a sum pool."""
    window, weights = _two(window_of(factor)), None
    if isinstance(factor, Conv):
        weights = factor.weights.reshape(source[0], -1, 1, 1, *window.kernel).astype(dtype)
    return TapConv(weights, window, _high(source), _high(target), dtype)


def scatter(
    factor: ConvTranspose, source: Shape, target: Shape, dtype: np.dtype[np.generic]
) -> Scatter:
    """The kernel for a transposed convolution."""
    weights = factor.weights.reshape(factor.groups, source[0] // factor.groups, -1)
    weights = np.ascontiguousarray(weights.swapaxes(1, 2), dtype)
    window, source, target = _two(window_of(factor)), _high(source), _high(target)
    axes = zip(source[1:], window.strides, window.reach, window.before, target[1:], strict=True)
    extent = tuple(
        max((n - 1) * stride + reach, before + out) for n, stride, reach, before, out in axes
    )
    return Scatter(weights, window, source, target, extent)


def _maps(frames: Array, source: Shape) -> Array:
    """Frames with two spatial axes."""
    return frames.reshape(len(frames), *source)


def _padded(frames: Array, window: Window, dtype: np.dtype[np.generic]) -> Array:
    """The frames in the given type, silent cells around them; leading axes stay."""
    height, width = frames.shape[2:]
    (top, left), (bottom, right) = window.before, window.after
    if not any(window.pads):
        return np.ascontiguousarray(frames, dtype)
    shape = (*frames.shape[:2], height + top + bottom, width + left + right)
    padded = np.zeros(shape, dtype)
    padded[:, :, top : top + height, left : left + width] = frames
    return padded


def _patches(padded: Array, window: Window, target: Shape) -> Array:
    """View of (C, frames, H, W) as (C, *kernel, frames, H', W')."""
    channels, count = padded.shape[:2]
    along, between, down, right = padded.strides
    steps = [down * window.dilations[0], right * window.dilations[1]]
    moves = [down * window.strides[0], right * window.strides[1]]
    shape = (channels, *window.kernel, count, *target[1:])
    return as_strided(padded, shape, (along, *steps, between, *moves), writeable=False)


def _two(window: Window) -> Window:
    """The window with two spatial axes."""
    if window.rank == 2:
        return window
    (before,), (after,) = window.before, window.after
    return Window(
        (1, *window.kernel), (1, *window.strides), (0, before, 0, after), (1, *window.dilations)
    )


def _high(shape: Shape) -> Shape:
    """(C, W) as (C, 1, W)."""
    return shape if len(shape) == 3 else (shape[0], 1, shape[1])
