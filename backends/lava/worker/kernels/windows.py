"""Windows: every position of a sliding window over the spatial axes, as a view."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Shape = tuple[int, ...]
Array = NDArray[Any]


class Windows:
    """A window that slides over one or two spatial axes.

    Args:
        kernel: Cells per spatial axis.
        strides: Cells from one position to the next, per axis.
        pads: Cells added before each axis, then cells added after each.
        dilations: Distance of neighbouring cells of the window, per axis.
    """

    def __init__(self, kernel: Shape, strides: Shape, pads: Shape, dilations: Shape) -> None:
        rank = len(kernel)
        self._axes = tuple(range(1, rank + 1))
        self._reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations))  # noqa: B905
        margins = zip(pads[:rank], pads[rank:])  # noqa: B905
        self._margins = ((0, 0), *margins)
        positions = tuple(slice(None, None, step) for step in strides)
        taps = tuple(slice(None, None, step) for step in dilations)
        self._kept = (slice(None), *positions, *taps)

    def over(self, values: Array, padding: int = 0) -> Array:
        """(C, *spatial) → (C, *positions, *kernel), with ``padding`` in the added cells."""
        padded = np.pad(values, self._margins, constant_values=padding)
        return sliding_window_view(padded, self._reach, axis=self._axes)[self._kept]
