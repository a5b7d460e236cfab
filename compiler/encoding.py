"""Model inputs → the integers that an input population emits."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array, Integers
from spikec.compiler.populations import Input


def input_integers(population: Input, inputs: Array) -> Integers:
    """The integers clip(round((gain·x + offset) / scale), ±(2^(bits−1) − 1)).

    Computed in float64; halves round to the even integer (NumPy's ``rint``).

    Args:
        population: Says gain, offset, scale and bits.
        inputs: (…, *shape), finite.

    Returns:
        int8 for up to 8 bits, else int16; shape of ``inputs``.

    Source: the integer contract, population "input".
    """
    limit = 2 ** (population.bits - 1) - 1
    real = np.asarray(inputs, np.float64) * population.gain
    real += population.offset
    real /= population.scale
    np.rint(real, out=real)
    np.clip(real, -limit, limit, out=real)
    return real.astype(np.int8 if population.bits <= 8 else np.int16)
