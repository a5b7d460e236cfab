"""The linear factors that connections are made of, as matrix products in float64.

They are exact: the compiler has proved that every sum stays below 2^31, and float64 holds every
integer up to 2^53. Each factor takes and gives int64, (C, *spatial) or flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from kernels.windows import Array, Shape, Windows

Factor = Callable[[Array], Array]


class Dense:
    """Σ w·n over the whole flattened source.

    Args:
        weights: (out, in).
    """

    def __init__(self, weights: Array) -> None:
        self._matrix = weights.astype(np.float64)

    def __call__(self, values: Array) -> Array:
        """Any shape of size ``in`` → (out,)."""
        return (self._matrix @ values.ravel().astype(np.float64)).astype(np.int64)


class Conv:
    """Cross-correlation with zero padding, as in ONNX, over one or two spatial axes.

    Args:
        weights: (out, C/groups, *kernel).
        strides: Per spatial axis.
        pads: Zeros before each spatial axis, then zeros after each.
        dilations: Per spatial axis.
        groups: Divides C and out.
    """

    def __init__(
        self, weights: Array, strides: Shape, pads: Shape, dilations: Shape, groups: int = 1
    ) -> None:
        self._windows = Windows(weights.shape[2:], strides, pads, dilations)
        self._matrices = weights.reshape(groups, len(weights) // groups, -1).astype(np.float64)

    def __call__(self, values: Array) -> Array:
        """(C, *spatial) → (out, *spatial')."""
        seen = self._windows.over(values)
        rank = values.ndim - 1
        positions = seen.shape[1 : 1 + rank]
        # One column per position: its cells, channel by channel.
        columns = np.moveaxis(seen, range(1, 1 + rank), range(-rank, 0)).astype(np.float64)
        groups = len(self._matrices)
        sums = self._matrices @ columns.reshape(groups, -1, math.prod(positions))
        return sums.reshape(-1, *positions).astype(np.int64)


class ConvTranspose:
    """The adjoint of a convolution: a convolution with turned kernels over spread-out cells.

    Args:
        weights: (C, out/groups, *kernel).
        strides: Distance of the spread-out cells, per spatial axis.
        pads: Cells cut from the result before each spatial axis, then after each.
        output_padding: Cells added after each spatial axis.
        dilations: Per spatial axis.
        groups: Divides C and out.
    """

    def __init__(
        self,
        weights: Array,
        strides: Shape,
        pads: Shape,
        output_padding: Shape,
        dilations: Shape,
        *,
        groups: int = 1,
    ) -> None:
        kernel, rank = weights.shape[2:], len(strides)
        turned = np.flip(weights, axis=tuple(range(2, 2 + rank)))
        grouped = turned.reshape(groups, -1, *weights.shape[1:]).swapaxes(1, 2)
        by_output = grouped.reshape(groups * weights.shape[1], -1, *kernel)
        reach = [d * (k - 1) for k, d in zip(kernel, dilations)]  # noqa: B905
        ends = [cells + more for cells, more in zip(reach, output_padding)]  # noqa: B905
        self._conv = Conv(by_output, (1,) * rank, (*reach, *ends), dilations, groups)
        self._strides, self._pads = strides, pads

    def __call__(self, values: Array) -> Array:
        """(C, *spatial) → (out, *spatial')."""
        lengths = zip(values.shape[1:], self._strides)  # noqa: B905
        spread = np.zeros((len(values), *((n - 1) * s + 1 for n, s in lengths)), np.int64)
        spread[(slice(None), *(slice(None, None, step) for step in self._strides))] = values
        whole, rank = self._conv(spread), len(self._strides)
        ends = zip(self._pads[:rank], whole.shape[1:], self._pads[rank:])  # noqa: B905
        return whole[(slice(None), *(slice(first, n - last) for first, n, last in ends))]


class Identity:
    """One weight per channel.

    Args:
        weights: (C,).
    """

    def __init__(self, weights: Array) -> None:
        self._weights = weights.astype(np.int64)

    def __call__(self, values: Array) -> Array:
        """(C, …) → (C, …)."""
        return values * self._weights.reshape(-1, *[1] * (values.ndim - 1))


class SumPool:
    """Plain sums over windows.

    Args:
        kernel: Per spatial axis.
        strides: Per spatial axis.
        pads: Silent cells before each spatial axis, then after each.
        dilations: Per spatial axis.
    """

    def __init__(self, kernel: Shape, strides: Shape, pads: Shape, dilations: Shape) -> None:
        self._windows = Windows(kernel, strides, pads, dilations)
        self._taps = tuple(range(-len(kernel), 0))

    def __call__(self, values: Array) -> Array:
        """(C, *spatial) → (C, *spatial')."""
        sums: Array = self._windows.over(values).sum(axis=self._taps)
        return sums


class GlobalSum:
    """The sum over all spatial axes."""

    def __call__(self, values: Array) -> Array:
        """(C, *spatial) → (C, 1, …)."""
        sums: Array = values.sum(axis=tuple(range(1, values.ndim)), keepdims=True)
        return sums


class Gather:
    """An index map.

    Args:
        indices: Positions in the flattened source, or −1 for a silent cell.
    """

    def __init__(self, indices: Array) -> None:
        self._indices = indices.astype(np.int64)

    def __call__(self, values: Array) -> Array:
        """Any shape → the shape of the indices."""
        return np.append(values.ravel(), 0)[self._indices]  # −1 is the cell that was appended
