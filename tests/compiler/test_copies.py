"""Copies of one value round it finer, together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.copies import carriers, starts, together
from spikec.compiler.populations import AdaFire, Fire

COPIES = np.array([0, 1, 0, 3, 1, 0])
"""Channels 2 and 5 carry copies of channel 0, and channel 4 one of channel 1."""


@given(st.lists(st.integers(0, 3), min_size=4, max_size=9), st.integers(-9, 999))
def test_all_carriers_together_round_as_one_of_a_smaller_threshold(
    others: list[int], eighths: int
) -> None:
    copy_of = np.array([0, 1, 2, 3, *others])
    k, start = carriers(copy_of), starts(copy_of)
    for channel in range(4):
        members = copy_of == channel
        assert k[channel] == members.sum()
        x = eighths / 8 + 0.013
        assert np.floor(x + start[members]).sum() == np.floor(k[channel] * x + 0.5)


@pytest.mark.parametrize("windowed", [False, True])
def test_binary_copies_fire_at_every_step_what_one_neuron_of_more_payload_fires(
    *, windowed: bool
) -> None:
    """Three neurons of threshold 3θ started θ apart; in a window, in all."""
    random = np.random.default_rng(0)
    current = random.integers(-40, 90, (12, 5, 4), dtype=np.int32)
    ones = np.ones(4)
    theta = np.array([50, 61, 20, 33], np.int32)
    zeros = np.zeros(4, np.int32)
    one = AdaFire("n", (4,), theta, zeros, theta // 2, 3, Fire.PLAIN, windowed, ones)
    backend = ReferenceBackend()
    expected = backend.fire(one, current, 12, 2**23 - 1).spikes
    found = np.zeros_like(expected)
    for j in range(3):
        initial = theta // 2 + j * theta
        part = replace(one, threshold=3 * theta, initial=initial, phi=1)
        found += backend.fire(part, current, 12, 2**23 - 1).spikes
    if windowed:
        expected, found = expected.sum(axis=0), found.sum(axis=0)
    assert np.array_equal(found, expected)


def test_values_of_copies_become_their_mean() -> None:
    values = np.arange(12.0).reshape(1, 6, 2)
    found = together(values.copy(), COPIES)
    assert found[0, :, 0].tolist() == [14 / 3, 5.0, 14 / 3, 6.0, 5.0, 14 / 3]
    assert together(values, None) is values
