"""Memory that a thread uses again: fresh pages would cost a quarter of a run."""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import DTypeLike

from spikec.compiler.arrays import Array
from spikec.compiler.populations import Shape


class Scratch(threading.local):
    """One growing buffer per thread and purpose."""

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def take(self, purpose: str, shape: Shape, dtype: DTypeLike) -> Array:
        """An array of any content; the next one for the same purpose takes its place."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        buffer = self._buffers.get(purpose)
        if buffer is None or buffer.nbytes < size:
            buffer = self._buffers[purpose] = np.empty(size, np.uint8)
        return buffer[:size].view(dtype).reshape(shape)
