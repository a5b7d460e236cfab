"""Types that hold payloads."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array

SIGNED = (np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64))


def payload_type(low: int, high: int) -> np.dtype[np.signedinteger]:
    """The smallest signed type that holds every integer from ``low`` to ``high``."""
    return next(t for t in SIGNED if np.iinfo(t).min <= low and high <= np.iinfo(t).max)


def payload_range(spikes: Array) -> tuple[int, int]:
    """Smallest and largest payload that occurs."""
    return int(spikes.min()), int(spikes.max())
