from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.simulator.events.fields import Field, padded
from spikec.backends.simulator.events.links import Link, chained
from spikec.backends.simulator.events.packing import (
    SILENT,
    channel_masks,
    channel_weights,
    packed_parameter,
    packed_weights,
    paired_words,
    widened_weights,
)
from spikec.compiler.connections import Connection, Conv, Dense, Factor, Identity

RANDOM = np.random.default_rng(0)


def link(factor: Factor, shape: tuple[int, ...]) -> Link:
    relays, found = chained(Connection("a", "b", (factor,)), Field(shape, 0, 1, 2), "x")
    assert not relays
    return found


def conv(out: int, per_group: int, groups: int) -> Link:
    weights = RANDOM.integers(-127, 128, (out, per_group, 2, 3)).astype(np.int8)
    factor = Conv(weights, (1, 1), (0,) * 4, (1, 1), groups)
    return link(factor, (per_group * groups, 4, 5))


@pytest.mark.parametrize(
    ("out", "per_group", "groups", "block"),
    [(5, 3, 1, 8), (70, 3, 1, 64), (12, 5, 3, 8), (72, 2, 9, 16), (130, 40, 2, 64), (6, 1, 3, 8)],
)
def test_a_weight_lies_at_its_block_channel_and_tap(
    out: int, per_group: int, groups: int, block: int
) -> None:
    made = conv(out, per_group, groups)
    assert made.weights is not None
    packed = packed_weights(made, block)
    assert packed.shape == (padded(out) // block, 1, padded(per_group * groups), 6, block)
    flat = packed[:, 0].transpose(2, 1, 0, 3).reshape(6, packed.shape[2], -1)
    expected = np.zeros_like(flat)
    for o in range(out):
        first = o // (out // groups) * per_group
        for c in range(per_group):
            expected[:, first + c, o] = made.weights[0, o, c]
    np.testing.assert_array_equal(flat, expected)


@pytest.mark.parametrize(("out", "per_group", "groups"), [(36, 5, 3), (128, 40, 4), (70, 66, 1)])
@pytest.mark.parametrize("block", [8, 16, 32])
def test_a_mask_shows_the_channels_that_a_block_has_weights_for(
    out: int, per_group: int, groups: int, block: int
) -> None:
    made, channels = conv(out, per_group, groups), per_group * groups
    assert made.weights is not None
    for low, high in ((0, channels), (1, channels - 2)):
        masks, whole = channel_masks(made, (low, high), block)
        shown = np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little")[:, :channels]
        heard = np.zeros((padded(out), channels), bool)
        for o in range(out):
            first = o // (out // groups) * per_group
            heard[o, first : first + per_group] = True
        needed = heard.reshape(-1, block, channels).any(axis=1)
        needed[:, :low] = needed[:, high:] = False
        if groups == 1:
            needed = needed.any(axis=0, keepdims=True)
        np.testing.assert_array_equal(shown, needed)
        assert whole == bool(needed.all())


def test_dense_weights_are_those_of_every_pixel() -> None:
    weights = RANDOM.integers(-127, 128, (9, 30)).astype(np.int8)
    packed = packed_weights(link(Dense(weights), (5, 2, 3)), 16)
    assert packed.shape == (1, 6, 8, 1, 16)
    for o, c, pixel in np.ndindex(9, 5, 6):
        assert packed[0, pixel, c, 0, o] == weights[o, c * 6 + pixel]
    assert np.count_nonzero(packed) == np.count_nonzero(weights)


def test_weights_of_channels_lie_tap_by_tap() -> None:
    weights = RANDOM.integers(-127, 128, 11).astype(np.int8)
    packed = channel_weights(link(Identity(weights), (11, 3, 3)))
    assert packed.tolist() == [[*weights.tolist(), *[0] * 5]]


def test_words_of_pairs_hold_both_weights() -> None:
    pairs = np.array([*np.ndindex(255, 255)])[: 255 * 255 // 32 * 32] - 127
    whole = pairs.reshape(-1, 32, 2).swapaxes(1, 2).reshape(-1, 64).astype(np.int8)
    low, high = whole[:, :32].astype(int), whole[:, 32:].astype(int)
    words = paired_words(whole, 32).reshape(len(whole), 64).view(np.int16)
    np.testing.assert_array_equal(words, low + 256 * high)


def test_widened_weights_are_the_same_numbers() -> None:
    packed = packed_weights(conv(9, 7, 1), 16)
    wide = widened_weights(packed)
    assert wide.dtype == np.int16
    np.testing.assert_array_equal(wide, packed)


@pytest.mark.parametrize("axes", [(1, 1, 1), (10, 1, 1), (10, 2, 3), (1, 2, 3), (1, 1, 3)])
@pytest.mark.parametrize("block", [8, 16])
def test_parameters_lie_by_block_pixel_and_channel(axes: tuple[int, ...], block: int) -> None:
    parameter = RANDOM.integers(-(2**31), 2**31, axes).astype(np.int32)
    packed = packed_parameter(parameter, (10, 2, 3), block, SILENT)
    whole = np.broadcast_to(parameter, (10, 2, 3)).reshape(10, 6)
    assert packed.shape == (16 // block, 6 if axes[1:] != (1, 1) else 1, block)
    for channel, pixel in np.ndindex(16, 6):
        found = packed[channel // block, pixel % packed.shape[1], channel % block]
        assert found == (whole[channel, pixel] if channel < 10 else SILENT)
