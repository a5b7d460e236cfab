"""Float to integer: rounding and ranges; the only place where bit widths become numbers."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Float64, Int32


def largest(bits: int) -> int:
    """Largest magnitude of a symmetric signed integer of that width: 2^(bits−1) − 1."""
    return int(2 ** (bits - 1) - 1)


def rounded(values: Float64, limit: int = 2**31 - 1) -> Int32:
    """Nearest integers, ties to even, clipped to ±limit."""
    return np.clip(np.rint(values), -limit, limit).astype(np.int32)


def split_bias(bias: Float64, timesteps: int) -> tuple[Int32, Int32]:
    """A real bias per step as (integer bias per step, remainder over the run).

    The remainder T·(b − round(b)), at most T/2 units, belongs into the initial potential: over T
    steps the two together add T·b, rounded once.
    """
    per_step = rounded(bias)
    return per_step, rounded(timesteps * (bias - per_step))
