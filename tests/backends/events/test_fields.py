from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.simulator.events.fields import Field, padded


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(1, 8), (8, 8), (9, 16), (16, 16), (17, 32), (33, 64), (64, 64), (65, 128), (129, 192)],
)
def test_channels_are_padded_to_vectors_and_words(channels: int, expected: int) -> None:
    assert padded(channels) == expected


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [
        *((0, 0, 0), (0, 1, 0), (-1, 1, 8), (-1, 0, 8), (0, 2, 8), (0, 127, 8), (0, 128, 16)),
        *((-128, 5, 8), (-129, 5, 16), (-255, 255, 16), (0, 32767, 16), (0, 32768, 32)),
        *((-32768, 0, 16), (-32769, 0, 32), (-(2**31), 2**31 - 1, 32)),
    ],
)
def test_payloads_take_the_least_bits_that_hold_them(low: int, high: int, bits: int) -> None:
    field = Field((3,), low, high, 2)
    assert field.payload == bits
    assert np.iinfo(field.payload_type).min <= low
    assert np.iinfo(field.payload_type).max >= high


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((), (1, 1)), ((5,), (1, 1)), ((5, 7), (1, 7)), ((5, 2, 3), (2, 3)), ((2, 2, 3, 4), (1, 24))],
)
def test_a_line_is_one_row(shape: tuple[int, ...], grid: tuple[int, int]) -> None:
    assert Field(shape, 0, 1, 1).grid == grid


@pytest.mark.parametrize("shape", [(3,), (11, 5), (20, 3, 4), (130, 2, 1)])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 5), (0, 255), (-40000, 9)])
def test_values_are_found_where_pixel_and_channel_say(
    shape: tuple[int, ...], low: int, high: int
) -> None:
    field = Field(shape, low, high, 3)
    rng = np.random.default_rng(0)
    values = rng.integers(low, high + 1, (2, 3, *shape)) * (rng.random((2, 3, *shape)) < 0.5)
    bits = np.full((2, 3, field.pixels, field.bits_pixel), 255, np.uint8)
    cells = (2, 3, field.pixels, field.padded)
    payloads = np.full(cells, 9, field.payload_type) if field.payload else None
    field.pack(values, bits, payloads)
    np.testing.assert_array_equal(field.unpack(bits, payloads), values)
    flat = values.reshape(2, 3, shape[0], -1)
    for channel in range(field.padded):
        here = flat[:, :, channel] if channel < shape[0] else np.zeros_like(flat[:, :, 0])
        np.testing.assert_array_equal(bits[..., channel // 8] >> channel % 8 & 1, here != 0)
        if payloads is not None:
            np.testing.assert_array_equal(payloads[..., channel], here)
    assert bits[0, 0].nbytes == field.bits_step
    assert payloads is None or payloads[0, 0].nbytes == field.payloads_step
