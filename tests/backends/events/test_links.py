"""Links and relays compute what their connection does: walked through in NumPy, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from random_factors import RandomFactors

from spikec.backends.reference.connections import applied, carried
from spikec.backends.simulator.events.dense_paths import by_channel, single_paths
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.links import Link, Relay, apart, chained
from spikec.backends.simulator.events.scatter import Scatter
from spikec.backends.simulator.events.slices import as_slice
from spikec.backends.simulator.events.sums import Width
from spikec.backends.simulator.events.tiles import Tile, tile_for
from spikec.compiler.bounds import accumulations
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
from spikec.compiler.geometry import factor_shape, shapes_along
from spikec.compiler.populations import Shape

quick = examples(150)
SHAPES = st.sampled_from([(5,), (3, 9), (2, 5, 7), (6, 4, 4), (1, 8, 3), (12, 1, 1), (4, 1, 6)])
Walked = np.ndarray


def walked(link: Link, payloads: Walked, shape: Shape) -> Walked:
    """The current of a link for (images, C, pixels), accumulator by accumulator."""
    grid = Field(shape, 0, 1, 1).grid
    tile = tile_for(Width.WIDE, grid, link.regions, 8)
    channels = Field(shape, 0, 1, 1).channels
    sums = np.zeros((len(payloads), channels, tile.rows, tile.columns), np.int64)
    for region in link.regions:
        for i, j in np.ndindex(region.rows.count, region.columns.count):
            row = region.rows.first + i * region.rows.step
            column = region.columns.first + j * region.columns.step
            pixel = row * link.field.grid[1] + column
            top = tile.top + region.rows.origin + i * region.rows.advance
            left = tile.left + region.columns.origin + j * region.columns.advance
            for tap in region.taps:
                met = term(link, payloads[:, :, pixel], pixel, tap.weight)
                sums[:, :, top + tap.row, left + tap.column] += met
    inside = sums[:, :, tile.top : tile.top + grid[0], tile.left : tile.left + grid[1]]
    return inside.reshape(len(payloads), *shape) << link.shift


def term(link: Link, sent: Walked, pixel: int, weight: int) -> Walked:
    """What one pixel adds at one tap, (images, out)."""
    if link.weights is None:
        return sent
    weights = link.weights.astype(np.int64)
    if link.channelwise:
        return sent * weights[:, weight]
    matrix = weights[pixel if len(weights) > 1 else 0, :, :, weight]
    split = sent.reshape(len(sent), link.groups, -1)
    parts = matrix.reshape(link.groups, -1, matrix.shape[1])
    return np.einsum("igc,goc->igo", split, parts).reshape(len(sent), -1)


def relayed(relay: Relay, sent: dict[str, Walked]) -> Walked:
    """What a relay passes on, (images, C, pixels)."""
    source = sent[relay.source]
    if relay.gather is not None:
        found = applied(relay.gather, source.reshape(len(source), *relay.origin.shape))
    else:
        assert relay.link is not None
        found = walked(relay.link, source, relay.field.shape)
    assert relay.field.low <= found.min()
    assert found.max() <= relay.field.high
    return found.reshape(len(source), relay.field.channels, relay.field.pixels)


def check(factors: tuple[Factor, ...], shape: Shape, limits: tuple[int, int] = (-3, 9)) -> Link:
    """The connection's current, computed link by link, is that of the reference."""
    connection = Connection("source", "sink", factors, 2)
    field = Field(shape, *limits, 5)
    relays, link = chained(connection, field, "x")
    payloads = np.random.default_rng(0).integers(limits[0], limits[1] + 1, (3, *shape))
    sent = {"source": payloads.reshape(3, field.channels, field.pixels)}
    for relay in relays:
        sent[relay.name] = relayed(relay, sent)
    target = shapes_along(connection, shape)[-1]
    # Renamed axes may have left the channels where they are, and changed the pixels' names.
    found = walked(link, sent[link.source].reshape(3, link.field.channels, -1), target)
    np.testing.assert_array_equal(found, carried(connection, payloads))
    assert link.interval.magnitude == accumulations(connection, shape, limits)[-1].magnitude
    return link


@quick
@given(st.data(), SHAPES, st.booleans())
def test_any_chain_of_factors_is_what_its_links_compute(
    data: st.DataObject, shape: Shape, ample: bool
) -> None:
    factors, _ = RandomFactors(data.draw, ample=ample).chain(shape, 3)
    check(factors, shape)


RANDOM = np.random.default_rng(0)
KERNEL = RANDOM.integers(-9, 9, (4, 6, 3, 3)).astype(np.int8)
UNIT, NONE = (1, 1), (0,) * 4
POOL = SumPool((2, 2), (2, 2), NONE, UNIT)
SMALL = Conv(KERNEL[..., :2, :1], UNIT, NONE, UNIT)
SMALLER = Conv(KERNEL[:, :4], UNIT, (1,) * 4, UNIT)
CONV = Conv(KERNEL, (2, 1), (1, 0, 2, 1), (1, 2))
IMAGE = (6, 6, 8)
ORDER = Gather(np.arange(288).reshape(6, 48))


@pytest.mark.parametrize(
    ("factors", "relays"),
    [
        ((), 0),
        ((CONV,), 0),
        ((POOL, CONV), 0),
        ((SumPool((3, 3), (2, 2), NONE, UNIT), SMALL), 1),
        ((SumPool((2, 2), (2, 2), NONE, (2, 2)), SMALL), 1),
        ((CONV, SMALLER), 1),
        ((GlobalSum(), Dense(RANDOM.integers(-9, 9, (3, 6)))), 0),
        ((POOL, Gather(np.arange(72)), Dense(RANDOM.integers(-9, 9, (3, 72)))), 0),
        ((Gather(RANDOM.permutation(288)), Dense(RANDOM.integers(-9, 9, (3, 288)))), 0),
        ((Gather(np.arange(-1, 29) // 2), Dense(RANDOM.integers(-9, 9, (3, 30)))), 1),
        ((ORDER, Identity(RANDOM.integers(-9, 9, 6))), 0),
        ((Identity(RANDOM.integers(-9, 9, 6)), CONV), 1),
        ((ConvTranspose(KERNEL.swapaxes(0, 1), (3, 2), (1, 2, 0, 1), (1, 0), (2, 1)),), 0),
        ((Gather(np.arange(288).reshape(IMAGE)[:, ::2, 1:]),), 0),
        ((Gather(np.arange(288).reshape(IMAGE).transpose(0, 2, 1)),), 1),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_factors_are_fused_where_every_payload_meets_one_weight(
    factors: tuple[Factor, ...], relays: int
) -> None:
    check(factors, IMAGE)
    made, _ = chained(Connection("a", "b", factors), Field(IMAGE, 0, 1, 3), "x")
    assert len(made) == relays


@quick
@given(st.data(), SHAPES)
def test_a_slice_is_taken_for_one_and_nothing_else_is(data: st.DataObject, shape: Shape) -> None:
    factors = RandomFactors(data.draw, ample=True)
    gather = factors.slice(shape)
    taken = as_slice(gather, Field(shape, 0, 1, 1))
    sizes = Field(gather.indices.shape, 0, 1, 1)
    assert (taken is not None) == bool((gather.indices >= 0).any())
    if taken is None:
        return
    assert len(taken.channels) == sizes.channels
    check((gather,), shape)
    shuffled = Gather(factors.random.permutation(gather.indices.ravel()).reshape(sizes.shape))
    check((shuffled,), shape)


def repeats(factor: Factor) -> bool:
    """Whether it can copy a payload, or is not sure that it does not."""
    if isinstance(factor, Gather):
        taken = factor.indices[factor.indices >= 0]
        return len(np.unique(taken)) < taken.size
    return isinstance(factor, SumPool) and not apart(factor)


@quick
@given(st.data(), SHAPES)
def test_single_paths_are_where_single_payloads_arrive(data: st.DataObject, shape: Shape) -> None:
    factors = RandomFactors(data.draw, ample=True)
    options = [factors.any_gather(shape)]
    if len(shape) > 1:
        options += [factors.pool(shape), GlobalSum()]
    first = data.draw(st.sampled_from(options))
    chain = (first, factors.any_gather(factor_shape(first, shape)))
    places = single_paths(chain, shape)
    size = math.prod(shape)
    arrived = np.eye(size, dtype=np.int64).reshape(size, *shape)
    copies = np.zeros(size, bool)
    for factor in chain:
        arrived = applied(factor, arrived)
        copies |= np.count_nonzero(arrived.reshape(size, -1), axis=1) > 1
    flat = arrived.reshape(size, -1)
    if places is None:
        assert any(map(repeats, chain))
        return
    assert not copies.any()
    np.testing.assert_array_equal(places >= 0, flat.any(axis=1))
    inside = np.flatnonzero(places >= 0)
    np.testing.assert_array_equal(flat[inside].argmax(axis=1), places[inside])
    rows = places.reshape(shape[0], -1)
    assert by_channel(rows) == all(len(set(row)) == 1 for row in rows.tolist())


def inside(tile: Tile, row: int, column: int) -> bool:
    """Whether a tile has a pixel, and has it where its row and column say."""
    place = (row + tile.top) * tile.columns + column + tile.left
    return (
        0 <= row + tile.top < tile.rows
        and 0 <= column + tile.left < tile.columns
        and tile.at(row, column) == place * tile.block * tile.element
        and tile.at(row, column) < tile.size
    )


@pytest.mark.parametrize("kernel", [2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pads", [(1, 1), (0, 2), (2, 0), (0, 0)])
def test_edges_leave_out_the_taps_beyond_the_map_and_no_others(
    kernel: int, stride: int, pads: tuple[int, int]
) -> None:
    conv = Conv(np.ones((64, 64, 1, kernel), np.int8), (1, stride), (0, pads[0], 0, pads[1]), UNIT)
    found = set()
    for size in (1, 2, 3, 4, 7, 8, 20, 60):
        width = (size + sum(pads) - kernel) // stride + 1
        if width < 1:
            continue
        link = chained(Connection("a", "b", (conv,)), Field((64, 1, size), 0, 1, 3), "x")[1]
        for region in link.regions:
            line = region.columns
            spec = Scatter((region.taps,), 1, 1, 8, False, 64, 0, 0, 0, kernel, edges=line.edges)
            spans = [
                span.shown
                for span in spec.spans()[:-1]
                for _ in range(line.count - sum(line.edges) if span.many else 1)
            ]
            assert len(spans) == line.count
            met = [
                {tap for tap in region.taps if 0 <= line.origin + k + tap.column < width}
                for k in range(line.count)
            ]
            kept = [{tap for tap in region.taps if tap.column in shown} for shown in spans]
            assert all(least <= most for least, most in zip(met, kept, strict=True))
            found.add(line.edges)
            if any(line.edges):
                assert kept == met
    assert len(found) > 1 or kernel <= max(stride, 1 + min(pads))


def test_tiles_hold_all_that_regions_touch() -> None:
    for factors in ((CONV,), (POOL, CONV), (SumPool((5, 7), (1, 3), (4, 3, 2, 1), UNIT),)):
        link = chained(Connection("a", "b", factors), Field(IMAGE, 0, 1, 3), "x")[1]
        grid = Field(shapes_along(Connection("a", "b", factors), IMAGE)[-1], 0, 1, 1).grid
        tile: Tile = tile_for(Width.NARROW, grid, link.regions, 32)
        for region in link.regions:
            rows, columns = region.rows, region.columns
            # A sliding patch reads one position ahead.
            for i, j in np.ndindex(rows.count, columns.count + 1):
                top, left = rows.origin + i * rows.advance, columns.origin + j * columns.advance
                places = [(top + tap.row, left + tap.column) for tap in region.taps]
                assert all(inside(tile, *place) for place in places)
        assert tile.at(0, 0) == tile.top * tile.pitch + tile.left * 64
