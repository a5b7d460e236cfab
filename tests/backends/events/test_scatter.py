"""Kernels that add events to accumulators, against sums in plain int64."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand, machines, pack
from numpy.typing import NDArray

from spikec.backends.simulator.events.channelwise import Channelwise
from spikec.backends.simulator.events.dots import FEATURE
from spikec.backends.simulator.events.machine import Machine, host_machine
from spikec.backends.simulator.events.packing import paired_words
from spikec.backends.simulator.events.pairs import INSTRUCTIONS
from spikec.backends.simulator.events.patch import Tap
from spikec.backends.simulator.events.scatter import Scatter
from spikec.backends.simulator.events.spill import Spill

Int = NDArray[np.int64]
SQUARE = tuple(Tap(k // 3, k % 3, k) for k in range(9))
SPREAD = (Tap(0, 0, 3), Tap(0, 4, 0), Tap(2, 1, 1))
ONE = (Tap(0, 0, 0),)
ROWS = SQUARE[:3], SQUARE[3:6], SQUARE[6:]


@dataclass(frozen=True)
class Map:
    """Sources: rows, columns, channels; every ``step``-th pixel of a wider row is visited."""

    rows: int
    columns: int
    channels: int
    step: int = 1
    pixels: bool = False  # weights for each pixel of a row of one

    def payloads(self, limit: int, low: int = 0) -> Int:
        rng = np.random.default_rng(self.channels)
        shape = (self.rows, self.columns * self.step, self.channels)
        return rng.integers(low, limit + 1, shape) * (rng.random(shape) < 0.4)


def wrapped(values: Int, bits: int) -> Int:
    """What bits hold of the values, with a sign."""
    return (values + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def patches(spec: Scatter | Channelwise, place: Map) -> tuple[int, int]:
    """Rows and columns of accumulators that are reached, or read ahead."""
    rows = place.rows + max(tap.row for tap in spec.taps)
    return rows, (place.columns + 1) * max(1, spec.advance) + max(t.column for t in spec.taps)


def added(spec: Scatter | Channelwise, place: Map, terms: Int, before: Int) -> Int:
    """Terms (rows, columns, weight taps, block) added tap by tap."""
    result = before.copy()
    for row, column in np.ndindex(place.rows, place.columns):
        for tap in spec.taps:
            goal = (row + tap.row, column * spec.advance + tap.column)
            result[goal] += terms[row, column, tap.weight]
    return result


def accumulators(spec: Scatter | Channelwise, place: Map) -> NDArray[np.generic]:
    kind = np.dtype(np.int32 if spec.wide else np.int16)
    shape = (*patches(spec, place), spec.vectors * spec.lanes)
    return np.random.default_rng(1).integers(-999, 999, shape).astype(kind)


def checked(spec: Scatter, place: Map, n: Int, machine: Machine, shown: Int | None = None) -> None:
    """Scatter the payloads (rows, columns·step, channels) and compare; ``shown`` hides some."""
    rng, block = np.random.default_rng(2), spec.vectors * spec.lanes
    pixels = place.columns if place.pixels else 1
    weights = rng.integers(-127, 128, (pixels, place.channels, spec.weight_taps, block), np.int8)
    shown = np.ones(place.channels, np.int64) if shown is None else shown
    visited = (n * shown)[:, :: place.step][:, : place.columns]
    table = np.broadcast_to(weights.astype(np.int64), (place.columns, *weights.shape[1:]))
    terms = np.einsum("ijc,jctb->ijtb", visited, table) << spec.shift
    before = accumulators(spec, place)
    expected = wrapped(added(spec, place, terms, before.astype(np.int64)), 32 if spec.wide else 16)
    events, entries, positions = n != 0, np.zeros(1, np.int16), 0
    operands = {
        "weights": Operand(weights),
        "payloads": Operand(n.astype(f"i{max(spec.payload, 8) // 8}")),
        "mask": Operand(pack(np.resize(shown > 0, (1, 64)) & (np.arange(64) < place.channels))),
        "accumulators": Operand(before),
    }
    words = pack(np.pad(events, [(0, 0), (0, 0), (0, -place.channels % 8)]))
    if spec.index:
        flat = (events * (shown > 0)).reshape(-1, place.channels)
        starts = np.append(0, flat.sum(axis=1).cumsum()).astype(np.int32)
        entries = np.concatenate([np.flatnonzero(row) for row in flat]).astype(
            f"i{spec.index // 8}"
        )
        positions = starts
        operands |= {"events": Operand(np.asarray(positions)), "entries": Operand(entries)}
        steps = (4 * n.shape[1], 4 * place.step)
    else:
        operands |= {"events": Operand(words), "entries": Operand(entries)}
        steps = (words.strides[0], words.strides[1] * place.step)
    item = operands["payloads"].array.itemsize
    scalars = {
        "rows": place.rows,
        "columns": place.columns,
        "pitch": before.strides[0],
        "next_row": before.strides[0],
        "weights_pixel": weights.strides[0] if place.pixels else 0,
        "events_row": steps[0],
        "events_pixel": steps[1],
        "payloads_row": item * place.channels * n.shape[1],
        "payloads_pixel": item * place.channels * place.step,
    }
    Call(spec, operands, scalars).run(machine)
    np.testing.assert_array_equal(before, expected)


PLAIN = Scatter((SQUARE,), 1, 1, 8, False, 64, 0, 0, 0, 9)
SPECS = [
    (PLAIN, Map(3, 5, 64)),
    (replace(PLAIN, word=8), Map(2, 1, 8)),
    (replace(PLAIN, word=16, advance=2), Map(2, 4, 16)),
    (replace(PLAIN, word=32, advance=3, groups=(SPREAD,), weight_taps=5), Map(2, 4, 32, 2)),
    (
        replace(PLAIN, groups=(ONE,), weight_taps=1, advance=0, vectors=4),
        Map(1, 9, 64, pixels=True),
    ),
    (replace(PLAIN, payload=8, wide=True, shift=3), Map(3, 4, 64)),
    (replace(PLAIN, payload=16, word=8, vectors=2), Map(2, 3, 8, 3)),
    (replace(PLAIN, payload=32, wide=True, groups=(ONE,), weight_taps=1), Map(2, 3, 16, 1)),
    (replace(PLAIN, payload=32, groups=(SPREAD,)), Map(1, 3, 32)),
    (replace(PLAIN, wide=True, shift=7, vectors=2), Map(2, 3, 64)),
    (replace(PLAIN, index=16), Map(3, 5, 200)),
    (replace(PLAIN, index=32, payload=8, wide=True), Map(2, 5, 130, 2)),
    (replace(PLAIN, groups=ROWS), Map(3, 4, 64)),
    (replace(PLAIN, groups=(SQUARE[:5], SQUARE[5:]), payload=16, wide=True), Map(2, 3, 64)),
    (replace(PLAIN, groups=ROWS, index=16, vectors=4, advance=2), Map(2, 3, 200)),
]


@EACH_MACHINE
@pytest.mark.parametrize(("spec", "place"), SPECS, ids=lambda value: value.__class__.__name__)
def test_every_event_adds_its_weights_to_its_patch(
    spec: Scatter, place: Map, machine: Machine
) -> None:
    word = {8: 8, 16: 16, 32: 32}.get(place.channels, 64)
    spec = replace(spec, lanes=machine.lanes, word=word)
    limit = 1 if not spec.payload else 2 ** (min(spec.payload, 20) - 1) - 1
    n = place.payloads(limit, 0 if not spec.payload else -limit)
    checked(spec, place, n, machine)
    checked(spec, place, n * 0, machine)
    if place.channels <= 64:
        checked(spec, place, n, machine, np.arange(place.channels) % 3 // 2)


@pytest.mark.skipif(not host_machine().has(FEATURE), reason=f"needs {FEATURE}")
@pytest.mark.parametrize("payload", [8, 16])
@pytest.mark.parametrize("index", [0, 16])
def test_dot_products_are_exact_at_the_largest_payloads(payload: int, index: int) -> None:
    spec = Scatter((SQUARE,), 1, 2, 32, True, 64, index, payload, 0, 9, dots=True)
    place, top = Map(2, 3, 64), 2 ** (payload - 1)
    n = np.random.default_rng(0).choice([-top, top - 1, -1, 0, 1], (2, 3, 64))
    checked(spec, place, n, host_machine())
    checked(spec, place, np.full((2, 3, 64), -top), host_machine())


FIVE = tuple(Tap(k // 5, k % 5, k) for k in range(25))


@EACH_MACHINE
@pytest.mark.parametrize("edges", [(1, 1), (0, 1), (1, 0), (2, 1), (0, 2), (2, 2)])
@pytest.mark.parametrize("columns", [4, 5, 9])
@pytest.mark.parametrize("split", [False, True])
def test_taps_beyond_the_map_are_left_out(
    machine: Machine, edges: tuple[int, int], columns: int, split: bool
) -> None:
    taps = FIVE if max(edges) > 1 else SQUARE
    kernel = max(tap.column for tap in taps) + 1
    groups = tuple(taps[k : k + kernel] for k in range(0, len(taps), kernel)) if split else (taps,)
    lanes, place = machine.lanes, Map(3, columns, 64)
    spec = Scatter(groups, 1, 1, lanes, False, 64, 0, 0, 0, len(taps), edges=edges)
    n, rng = place.payloads(1), np.random.default_rng(6)
    weights = rng.integers(-127, 128, (64, len(taps), lanes)).astype(np.int8)
    tile = accumulators(spec, place)
    terms = np.einsum("ijc,ctb->ijtb", n, weights.astype(np.int64))
    expected = added(spec, place, terms, tile.astype(np.int64))
    end = columns + kernel - 1 - edges[1]
    outside = [*range(edges[0]), *range(end, tile.shape[1])]
    expected[:, outside] = tile[:, outside]
    words = pack(n != 0)
    same = {name: Operand(words) for name in ("events", "entries", "payloads")}
    every = {"mask": Operand(np.full(1, 2**64 - 1, np.uint64)), "weights": Operand(weights)}
    scalars = dict.fromkeys(spec.scalars, 0) | {"rows": 3, "columns": columns}
    scalars |= {"pitch": tile.strides[0], "next_row": tile.strides[0]}
    scalars |= {"events_row": words.strides[0], "events_pixel": words.strides[1]}
    Call(spec, {**same, **every, "accumulators": Operand(tile)}, scalars).run(machine)
    np.testing.assert_array_equal(tile, expected)


PAIRING = [m for m in machines() if m.has(INSTRUCTIONS[m.lanes][0])]


@pytest.mark.parametrize("machine", PAIRING, ids=lambda m: f"{m.lanes} lanes")
@pytest.mark.parametrize("extreme", [True, False])
@pytest.mark.parametrize("groups", [(SQUARE,), ROWS], ids=len)
def test_pairs_of_weights_add_up_like_single_ones(
    machine: Machine, extreme: bool, groups: tuple[tuple[Tap, ...], ...]
) -> None:
    """Weights of the largest size in both halves of a word, or of any size."""
    channels, lanes = 64, machine.lanes
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (channels, 9, 4 * lanes)).astype(np.int8)
    if extreme:
        weights = rng.choice(np.array([-127, 127, 0, -1, 1], np.int8), weights.shape)
    spec = Scatter(groups, 1, 4, lanes, False, 64, 0, 0, 0, 9, True)
    place = Map(2, 3, channels)
    n = place.payloads(1)
    terms = np.einsum("ijc,ctb->ijtb", n, weights.astype(np.int64))
    tile = np.zeros((*patches(spec, place), 4 * lanes), np.int16)
    expected = added(spec, place, terms, tile.astype(np.int64))
    words = pack(n != 0)
    operands = {
        "weights": Operand(paired_words(weights, lanes)),
        "payloads": Operand(words),
        "entries": Operand(words),
        "mask": Operand(np.full(1, 2**64 - 1, np.uint64)),
        "events": Operand(words),
        "accumulators": Operand(tile),
    }
    scalars = dict.fromkeys(spec.scalars, 0) | {
        "rows": 2,
        "columns": 3,
        "pitch": tile.strides[0],
        "next_row": tile.strides[0],
        "events_row": words.strides[0],
        "events_pixel": words.strides[1],
    }
    Call(spec, operands, scalars).run(machine)
    wide = np.zeros(expected.shape, np.int32)
    pitches = {"narrow_row": tile.strides[0], "wide_row": wide.strides[0]}
    size = {"rows": expected.shape[0], "columns": expected.shape[1]}
    goals = {"narrow": Operand(tile), "wide": Operand(wide)}
    Call(Spill(lanes, 4, 0, True), goals, pitches | size).run(machine)
    np.testing.assert_array_equal(wide, expected)
    assert not tile.any()


@EACH_MACHINE
@pytest.mark.parametrize("payload", [0, 8, 16, 32])
@pytest.mark.parametrize(("taps", "advance"), [(SQUARE, 1), (SPREAD, 2), (ONE, 1), (ONE, 0)])
@pytest.mark.parametrize("wide", [False, True])
def test_channelwise_sums_stay_in_their_channel(
    machine: Machine, payload: int, taps: tuple[Tap, ...], advance: int, wide: bool
) -> None:
    weighted, shift = payload != 16, 2 if wide else 0
    spec = Channelwise(taps, advance, 2, machine.lanes, wide, payload, shift, weighted)
    block = 2 * machine.lanes
    place = Map(3, 4, 2 * block, 2)
    limit = 2 ** (payload - 2) if payload else 1
    n = place.payloads(min(limit, 2**18), -min(limit, 2**18) if payload else 0)
    weights = np.random.default_rng(4).integers(-127, 128, (9, 2 * block), np.int8)
    factor = weights[:, block:].astype(np.int64) if weighted else np.ones((9, block), np.int64)
    visited = n[:, :: place.step, block:]  # the second block of channels
    before = accumulators(spec, place)
    terms = visited[:, :, None] * factor << shift
    expected = wrapped(added(spec, place, terms, before.astype(np.int64)), 32 if wide else 16)
    events = n.astype(f"i{payload // 8}") if payload else pack(n != 0)
    operands = {
        "accumulators": Operand(before),
        "weights": Operand(weights, block=block),
        "events": Operand(events, block=events.strides[1] // 2),
    }
    scalars = {
        "rows": place.rows,
        "columns": place.columns,
        "pitch": before.strides[0],
        "next_row": before.strides[0],
        "weights_tap": 2 * block,
        "events_row": events.strides[0],
        "events_pixel": events.strides[1] * place.step,
    }
    Call(spec, operands, scalars).run(machine, block=1)
    np.testing.assert_array_equal(before, expected)
