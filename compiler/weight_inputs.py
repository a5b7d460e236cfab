"""What the weights of a connection read, at sampled places of the map that they lead to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.connections import Connection, Conv, Dense
from spikec.compiler.geometry import shapes_along, window_of
from spikec.compiler.populations import Readout
from spikec.compiler.simulation import Simulate

Places = tuple[Int64, ...]
"""(image, *position) of each sample, in order of images."""


def has_matrix(connection: Connection) -> bool:
    """Whether a connection ends with a dense factor or an ungrouped convolution."""
    match connection.factors[-1:]:
        case (Dense(),) | (Conv(groups=1),):
            return True
        case _:
            return False


def _weighted(connection: Connection) -> Dense | Conv:
    factor = connection.factors[-1]
    assert isinstance(factor, Dense | Conv)
    return factor


def matrix(connection: Connection) -> Array:
    """The weights at its end, int8, (C, K)."""
    weights = _weighted(connection).weights
    return weights.reshape(len(weights), -1)


def places_of(maps: Array, count: int, seed: int) -> Places:
    """At most so many random places of (images, C, *positions)."""
    grid = (maps.shape[0], *maps.shape[2:])
    size = int(np.prod(grid))
    chosen = np.random.default_rng(seed).choice(size, min(size, count), replace=False)
    return tuple(np.unravel_index(np.sort(chosen), grid))


def at_places(maps: Array, places: Places) -> Array:
    """(images, C, *positions, …) → (samples, C, …)."""
    image, *position = places
    index: tuple[Int64 | slice, ...] = (image, slice(None), *position)
    return maps[index]


def inputs_of(
    connection: Connection, payloads: Array, places: Places, simulate: Simulate
) -> Float64:
    """What the weights of ``matrix`` read per step, in units of the current, (samples, K).

    Args:
        connection: Ends with a matrix.
        payloads: Of its source, (T or 1, images, *shape).
        places: In the map that it leads to.
        simulate: Tells what the factors before the matrix make of payloads.
    """
    maps = _before_matrix(connection, payloads, simulate)
    total = maps.sum(axis=0, dtype=np.int32)
    factor = _weighted(connection)
    if isinstance(factor, Conv):
        samples = at_places(_windows(factor, total), places)
    else:
        samples = total.reshape(len(total), -1)[places[0]]
    flat: Array = samples.reshape(len(samples), -1)
    return flat * (2.0**connection.exponent / len(maps))


def _before_matrix(connection: Connection, payloads: Array, simulate: Simulate) -> Array:
    """What the factors before the last one make of payloads, (T or 1, images, …)."""
    if len(connection.factors) == 1:
        return payloads
    before = replace(connection, factors=connection.factors[:-1], exponent=0)
    shape = shapes_along(before, payloads.shape[2:])[-1]
    one = np.ones([1] * len(shape))
    sink = Readout(connection.sink, shape, np.zeros(one.shape, np.int32), one)
    return simulate.currents(sink, (before,), {connection.source: payloads})


def _windows(factor: Conv, maps: Array) -> Array:
    """(images, C, *spatial) → (images, C, *positions, *kernel), a view of the padded maps."""
    window = window_of(factor)
    pads = zip(window.before, window.after, strict=True)
    padded = np.pad(maps, ((0, 0), (0, 0), *pads))
    axes = tuple(range(2, 2 + window.rank))
    windows: Array = np.lib.stride_tricks.sliding_window_view(padded, window.reach, axes)
    steps = (1, 1, *window.strides, *window.dilations)
    return windows[tuple(slice(None, None, step) for step in steps)]
