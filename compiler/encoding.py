"""Model inputs, or an input population's activations → the integers that it emits."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array, Int32, Integers
from spikec.compiler.fixed_point import largest, rounded
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
    limit = largest(population.bits)
    real = np.asarray(inputs, np.float64) * population.gain
    real += population.offset
    real /= population.scale
    np.rint(real, out=real)
    np.clip(real, -limit, limit, out=real)
    return real.astype(np.int8 if population.bits <= 8 else np.int16)


def encoded(population: Input, activation: Array) -> Int32:
    """The integers of an input population whose activation is given, int32, same shape.

    The activation is what the ANN makes of the inputs behind gain and offset.
    """
    return rounded(activation.astype(np.float64) / population.scale, largest(population.bits))
