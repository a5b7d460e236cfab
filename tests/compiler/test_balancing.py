from __future__ import annotations

import numpy as np
import pytest

from spikec.compiler.balancing import balanced_caps, percentile_caps


def uniform(count: int = 20_000) -> np.ndarray:
    """The uniform distribution on [0, 1], as its quantiles."""
    return (np.arange(count) + 0.5) / count


def test_a_percentile_is_that_of_the_values_other_than_zero() -> None:
    row = np.concatenate([np.zeros(900), np.arange(1.0, 102.0)])
    assert percentile_caps(np.stack([row, -row]), 99.0) == pytest.approx([100.0, 100.0])
    assert percentile_caps(row[None], 100.0) == [101.0]


def test_the_excess_over_a_uniform_cap_shrinks_as_its_recurrence_says() -> None:
    # E[max(z − c, 0)] = (1 − c)²/2 for z uniform on [0, 1].
    cap = 0.0
    for _ in range(4000):
        cap += (1 - cap) ** 2
    assert balanced_caps(uniform()[None]) == pytest.approx([cap], abs=1e-4)


def test_an_exponential_tail_is_clipped_at_the_logarithm_of_the_steps() -> None:
    # E[max(z − c, 0)] = e^(−c): dc/dτ = 2e^(−c) from 0 gives c = ln(1 + 2τ).
    quantiles = -np.log1p(-uniform(2_000_000))
    assert balanced_caps(quantiles[None]) == pytest.approx([np.log(1 + 2 * 4000)], rel=0.01)


def test_channels_are_balanced_apart_and_in_proportion_to_their_values() -> None:
    row = np.abs(np.random.default_rng(0).normal(0, 1, 3000))
    one = balanced_caps(row[None])[0]
    caps = balanced_caps(np.stack([row, 1e-3 * row, 0 * row, -50 * row]))
    assert caps == pytest.approx([one, 1e-3 * one, one, 50 * one], rel=1e-9)


def test_no_cap_exceeds_the_largest_value_or_the_ceiling() -> None:
    row = np.array([[0.0, 0.0, 5.0, 7.0]])
    assert 5.0 < balanced_caps(row)[0] <= 7.0
    assert balanced_caps(row, ceiling=6.0) == [6.0]
    assert percentile_caps(row, 100.0, ceiling=6.0) == [6.0]


def test_silent_layers_take_their_ceiling_or_one() -> None:
    silent = np.zeros((2, 5))
    assert balanced_caps(silent).tolist() == [1.0, 1.0]
    assert percentile_caps(silent, 99.9, ceiling=6.0).tolist() == [6.0, 6.0]
