"""Link: a connection as a queue of currents that are on their way."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from kernels.factors import Factor
from kernels.windows import Array, Shape


class Link:
    """Applies factors, shifts left, and holds the result back for ``delay`` steps.

    Args:
        source: Shape of the payloads.
        sink: Shape of the currents.
        factors: Applied first to last.
        exponent: e ≥ 0; the sums are shifted left by e.
        delay: Steps from a payload to its current, ≥ 1.
    """

    def __init__(
        self,
        source: Shape,
        sink: Shape,
        factors: Sequence[Factor],
        *,
        exponent: int = 0,
        delay: int = 1,
    ) -> None:
        self.source, self.sink = source, sink
        self._factors, self._exponent = tuple(factors), exponent
        self._queue = deque(np.zeros(sink, np.int32) for _ in range(delay))

    def due(self) -> Array:
        """The current of the payloads that came ``delay`` steps ago; int32."""
        return self._queue.popleft()

    def take(self, payloads: Array) -> None:
        """Queue the current of these payloads."""
        self._queue.append(self._current(payloads))

    def _current(self, payloads: Array) -> Array:
        if not payloads.any():
            return np.zeros(self.sink, np.int32)
        values = payloads.astype(np.int64)
        for factor in self._factors:
            values = factor(values)
        return (values << self._exponent).astype(np.int32)
