"""Links: a connection as maps that kernels can compute, with intermediate nodes where it needs any.

Factors are fused where every payload still meets one weight: a dense layer behind reshapes, sums
and pools without overlap, a convolution behind a pool without overlap. What cannot be fused becomes
a relay: a node that passes the result of a factor on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from spikec.backends.simulator.events.dense_paths import by_channel, single_paths
from spikec.backends.simulator.events.fields import WORD, Field
from spikec.backends.simulator.events.reach import (
    Line,
    Region,
    gathered,
    plain,
    pooled,
    regions,
    transposed,
)
from spikec.backends.simulator.events.slices import as_slice
from spikec.backends.simulator.events.windows import (
    lines_over,
    planar,
    positions_of,
    regions_over,
)
from spikec.compiler.arrays import Array, Int8
from spikec.compiler.bounds import Interval, accumulations
from spikec.compiler.connections import (
    Connection,
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.geometry import shapes_along, window_of


@dataclass(frozen=True, eq=False)
class Link:
    """A linear map from a node's payloads to the current of a sink, done by kernels.

    Attributes:
        source: Name of the node.
        field: Its payloads.
        regions: What its pixels reach.
        weights: int8; (pixels or 1, out, in per group, taps), or (channels, taps) if
            ``channelwise``; None: every weight is 1, and it is channelwise.
        channelwise: Sums stay in their channel.
        groups: Groups of channels that do not mix.
        multiplicity: Pixels that may meet the same weight for the same accumulator.
        pool: Rows and columns of source pixels whose events go to one list.
        grid: Rows and columns of these lists.
        shift: Left shift of the sums.
        interval: Values of the sums before the shift.
    """

    source: str
    field: Field
    regions: tuple[Region, ...]
    weights: Int8 | None
    channelwise: bool
    groups: int
    multiplicity: int
    pool: tuple[int, int]
    grid: tuple[int, int]
    shift: int
    interval: Interval

    @property
    def lists(self) -> bool:
        """Whether events are read from lists: there are too many channels for a word, or a pool."""
        return self.field.padded > WORD or self.pool != (1, 1)


@dataclass(frozen=True, eq=False)
class Relay:
    """A node between the factors of a connection.

    Attributes:
        name: Unique in the plan.
        field: What it passes on.
        link: From where; None for a gather.
        gather: The index map from ``source``; None for all others.
        source: Name of the node that a gather reads.
        origin: The field that a gather reads.
    """

    name: str
    field: Field
    link: Link | None
    gather: Gather | None
    source: str
    origin: Field


def chained(connection: Connection, field: Field, name: str) -> tuple[list[Relay], Link]:
    """The relays of a connection, and the link that ends it.

    Args:
        connection: What to compute.
        field: Payloads of its source.
        name: Unique; relays are named after it.
    """
    shapes = shapes_along(connection, field.shape)
    intervals = accumulations(connection, field.shape, (field.low, field.high))
    relays: list[Relay] = []
    source, done = connection.source, 0
    while True:
        rest = connection.factors[done:]
        parts = _fused(rest, field) or _single(rest, field)
        if parts is not None:
            return relays, _link(source, field, parts, (connection.exponent, intervals[-1]))
        low, high = int(intervals[done + 1].low.min()), int(intervals[done + 1].high.max())
        passed = Field(shapes[done + 1], low, high, field.steps)
        factor = rest[0]
        if isinstance(factor, Gather) and _keeps_layout(factor, field):
            field = replace(passed, low=field.low, high=field.high)
        else:
            relay = _relay(factor, (source, field), passed, (f"{name}:{done}", intervals[done + 1]))
            relays.append(relay)
            source, field = relay.name, relay.field
        done += 1


class Parts(NamedTuple):
    """What a link computes; fields as in Link."""

    regions: tuple[Region, ...]
    weights: Int8 | None
    channelwise: bool
    groups: int = 1
    multiplicity: int = 1
    pool: tuple[int, int] = (1, 1)
    grid: tuple[int, int] = (0, 0)


def _relay(
    factor: Factor, source: tuple[str, Field], passed: Field, named: tuple[str, Interval]
) -> Relay:
    name, interval = named
    origin, field = source
    parts = _single((factor,), field)
    if isinstance(factor, Gather):
        passed = replace(passed, low=field.low, high=field.high)
        if parts is None:
            return Relay(name, passed, None, factor, origin, field)
    assert parts is not None  # every other factor is a link of its own
    return Relay(name, passed, _link(origin, field, parts, (0, interval)), None, origin, field)


def _link(source: str, field: Field, parts: Parts, sums: tuple[int, Interval]) -> Link:
    if parts.pool == (1, 1):
        parts = parts._replace(grid=field.grid)
    return Link(source, field, *parts, shift=sums[0], interval=sums[1])


def _keeps_layout(gather: Gather, field: Field) -> bool:
    """Whether a gather only renames axes: all positions in order, as many channels as before."""
    indices = gather.indices
    size = field.channels * field.pixels
    same = indices.size == size and indices.shape[:1] == (field.channels,)
    return same and bool(np.array_equal(indices.ravel(), np.arange(size)))


def _fused(factors: Sequence[Factor], field: Field) -> Parts | None:
    """A pool and a convolution, or anything with single paths and a dense layer."""
    match factors:
        case [SumPool() as pool, Conv(groups=1) as conv] if apart(pool):
            return _behind_pool(pool, conv, field)
        case [*before, Dense() as dense] if before:
            return _dense_behind(before, dense, field)
        case [Gather() as gather, Identity(weights=weights)]:
            return _sliced(gather, weights, field)
    return None


def _behind_pool(pool: SumPool, conv: Conv, field: Field) -> Parts:
    """Every position of a window acts as the pool's one: in one list, or each in its own class."""
    inner, outer = window_of(conv), planar(window_of(pool))
    places = positions_of(outer, field.grid)
    axes, meeting = lines_over(inner, places), math.prod(pool.kernel)
    if field.padded >= WORD and not field.payload and not any(outer.pads):
        parts = Parts(regions_over(axes, inner), _flat(conv.weights), False, 1, meeting)
        return parts._replace(pool=(outer.kernel[0], outer.kernel[1]), grid=places)
    axes = [pooled(axes[axis], outer, axis, size) for axis, size in enumerate(field.grid)]
    return Parts(regions_over(axes, inner), _flat(conv.weights), False, 1, meeting)


def _dense_behind(before: Sequence[Factor], dense: Dense, field: Field) -> Parts | None:
    paths = single_paths(before, field.shape)
    if paths is None:
        return None
    columns = np.concatenate([dense.weights, np.zeros((len(dense.weights), 1), np.int8)], axis=1)
    paths = paths.reshape(field.channels, field.pixels)
    shared = by_channel(paths)
    weights = columns[:, paths[:, :1] if shared else paths].transpose(2, 0, 1)[..., None]
    meeting = field.pixels if shared else 1
    return Parts(_everything(field), np.ascontiguousarray(weights), False, 1, meeting)


def apart(pool: SumPool) -> bool:
    """Whether no position belongs to two windows."""
    unit = all(step == 1 for step in pool.dilations)
    return unit and tuple(pool.kernel) == tuple(pool.strides)


def _single(factors: Sequence[Factor], field: Field) -> Parts | None:
    """No factor, or one that kernels compute."""
    match factors:
        case [Gather() as gather]:
            return _sliced(gather, None, field)
        case []:
            return Parts(_regions_of(plain, field), None, True)
        case [Dense(weights=weights)]:
            spread = weights.reshape(len(weights), field.channels, field.pixels)
            return Parts(_everything(field), _flat_pixels(spread), False)
        case [Conv() as conv]:
            return _convolution(conv, field)
        case [ConvTranspose() as conv]:
            return _transposed(conv, field)
        case [Identity(weights=weights)]:
            return Parts(_regions_of(plain, field), weights.reshape(-1, 1), True)
        case [SumPool() as pool]:
            window = window_of(pool)
            return Parts(regions_over(lines_over(window, field.grid), window), None, True)
        case [GlobalSum()]:
            return Parts(_regions_of(gathered, field), None, True)
    return None


def _convolution(conv: Conv, field: Field) -> Parts:
    window, weights = window_of(conv), conv.weights
    axes = lines_over(window, field.grid)
    if conv.groups == field.channels == len(weights) and conv.groups > 1:
        return Parts(regions_over(axes, window), weights.reshape(len(weights), -1), True)
    return Parts(regions_over(axes, window), _flat(weights), False, conv.groups)


def _transposed(conv: ConvTranspose, field: Field) -> Parts:
    window, weights = window_of(conv), conv.weights
    axes = [transposed(planar(window), axis, size) for axis, size in enumerate(field.grid)]
    if conv.groups == field.channels and weights.shape[1] == 1 and conv.groups > 1:
        return Parts(regions_over(axes, window), weights.reshape(len(weights), -1), True)
    grouped = weights.reshape(conv.groups, -1, *weights.shape[1:]).swapaxes(1, 2)
    flat = grouped.reshape(1, conv.groups * weights.shape[1], grouped.shape[2], -1)
    return Parts(regions_over(axes, window), np.ascontiguousarray(flat), False, conv.groups)


def _sliced(gather: Gather, weights: Int8 | None, field: Field) -> Parts | None:
    """Every channel of a slice has one weight, to its channel of the result."""
    taken = as_slice(gather, field)
    if taken is None:
        return None
    goals = np.flatnonzero(taken.channels >= 0)
    spread = np.zeros((len(taken.channels), field.channels), np.int8)
    spread[goals, taken.channels[goals]] = 1 if weights is None else weights[goals]
    return Parts(regions([taken.rows], [taken.columns], 1), spread[None, ..., None], False)


def _regions_of(axis: Callable[[int], list[Line]], field: Field) -> tuple[Region, ...]:
    rows, columns = field.grid
    return regions(axis(rows), axis(columns), 1)


def _everything(field: Field) -> tuple[Region, ...]:
    """All pixels as one row that reaches one accumulator."""
    return regions(plain(1), gathered(field.pixels), 1)


def _flat(weights: Array) -> Int8:
    """(out, in per group, *kernel) → (1, out, in per group, taps)."""
    return weights.reshape(1, *weights.shape[:2], -1)


def _flat_pixels(weights: Array) -> Int8:
    """(out, in, pixels) → (pixels, out, in, 1)."""
    return np.ascontiguousarray(weights.transpose(2, 0, 1))[..., None]
