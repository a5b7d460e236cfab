"""Where the payloads of a map arrive behind factors that neither weigh nor copy them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.connections import Factor, Gather, GlobalSum, SumPool
from spikec.compiler.geometry import factor_shape
from spikec.compiler.populations import Shape


def single_paths(factors: Sequence[Factor], shape: Shape) -> Array | None:
    """The position that each payload reaches behind all factors, −1 for none.

    Args:
        factors: Applied first to last.
        shape: Of the map before them.

    Returns:
        int64, (size of the map,) in C order; None if some payload reaches several positions or a
        factor has weights.
    """
    places = np.arange(math.prod(shape))
    for factor in factors:
        moved = _moved(factor, shape)
        if moved is None:
            return None
        places = np.where(places >= 0, moved[places], -1)
        shape = factor_shape(factor, shape)
    return places


def by_channel(places: Array) -> bool:
    """Whether (C, pixels) places are the same for all pixels of a channel."""
    return bool((places == places[:, :1]).all())


def _moved(factor: Factor, shape: Shape) -> Array | None:
    """Where one factor takes each position of its input."""
    size = math.prod(shape)
    match factor:
        case Gather(indices=indices):
            taken = indices.ravel()
            used = np.flatnonzero(taken >= 0)
            if np.bincount(taken[used], minlength=1).max() > 1:
                return None
            places = np.full(size, -1)
            places[taken[used]] = used
            return places
        case GlobalSum():
            return np.arange(size) // math.prod(shape[1:])
        case SumPool(kernel=kernel, strides=strides, dilations=steps) if kernel == strides and all(
            step == 1 for step in steps
        ):
            return _pooled(factor, shape)
    return None


def _pooled(pool: SumPool, shape: Shape) -> Array:
    target = factor_shape(pool, shape)
    places = np.arange(shape[0])
    for axis, (size, width) in enumerate(zip(shape[1:], pool.kernel, strict=True)):
        reached = (np.arange(size) + pool.pads[axis]) // width
        inside = reached < target[1 + axis]
        outer = places[..., None]
        kept = outer * target[1 + axis] + reached
        places = np.where(inside & (outer >= 0), kept, -1)
    return places.ravel()
