from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.mmse import best_caps, transfer
from spikec.compiler.populations import AdaFire, Fire


def squared_error(samples: np.ndarray, cap: float, levels: int, *, signed: bool = False) -> float:
    """E[(TF(x) − x)²] straight from the transfer function."""
    step = cap / levels
    low = -levels if signed else 0
    counts = np.clip(np.floor(samples / step + 0.5), low, levels)
    return float(np.mean((counts * step - np.maximum(samples, low * np.inf if signed else 0)) ** 2))


@pytest.mark.parametrize("levels", [1, 4, 16, 32, 255])
def test_no_cap_of_a_dense_grid_is_better_than_the_one_found(levels: int) -> None:
    random = np.random.default_rng(levels)
    samples = np.maximum(random.normal(0.3, 1.0, (3, 4000)), 0)
    found = best_caps(samples, levels)
    for row, cap in zip(samples, found, strict=True):
        dense = [squared_error(row, c, levels) for c in np.geomspace(0.01, 1.05, 800) * row.max()]
        assert squared_error(row, cap, levels) <= 1.01 * min(dense)


def test_a_heavy_tail_is_clipped_far_below_its_largest_sample() -> None:
    samples = np.random.default_rng(1).uniform(0, 1, (1, 20000))
    samples[0, 0] = 30.0
    (cap,) = best_caps(samples, 4)
    dense = np.geomspace(1e-4, 1.05, 3000) * samples.max()
    best = dense[np.argmin([squared_error(samples[0], c, 4) for c in dense])]
    assert cap == pytest.approx(best, rel=0.05)
    assert cap < 0.06 * samples.max()


def test_exact_levels_are_found_exactly() -> None:
    samples = np.arange(5.0)[None] * 0.25
    (cap,) = best_caps(np.repeat(samples, 10, axis=1), 4)
    assert squared_error(samples, cap, 4) < 1e-4


def test_a_signed_search_weighs_both_sides() -> None:
    samples = np.random.default_rng(2).laplace(0, 1, (1, 9000))
    (cap,) = best_caps(samples, 4, signed=True)
    dense = np.geomspace(0.05, 1.05, 800) * np.abs(samples).max()
    best = min(squared_error(samples, c, 4, signed=True) for c in dense)
    assert squared_error(samples, cap, 4, signed=True) <= 1.01 * best


def test_a_ceiling_bounds_the_cap() -> None:
    samples = np.minimum(np.abs(np.random.default_rng(3).normal(0, 5, (2, 1000))), 6.0)
    assert (best_caps(samples, 63, ceiling=6.0) <= 6.0).all()


def test_a_dead_channel_takes_the_median_of_the_others() -> None:
    samples = np.abs(np.random.default_rng(4).normal(0, 1, (3, 500)))
    samples[1] = 0
    caps = best_caps(samples, 8)
    assert caps[1] == np.median(caps[[0, 2]])


def test_a_layer_without_any_sample_takes_its_ceiling_or_one() -> None:
    assert best_caps(np.zeros((2, 9)), 8, ceiling=6.0).tolist() == [6.0, 6.0]
    assert best_caps(np.zeros((1, 9)), 8).tolist() == [1.0]


def test_more_levels_than_samples_give_the_same_search() -> None:
    samples = np.abs(np.random.default_rng(5).normal(0, 1, (1, 100)))
    few, many = np.repeat(samples, 1, axis=1), np.repeat(samples, 5, axis=1)
    assert best_caps(few, 128) == pytest.approx(best_caps(many, 128), rel=1e-9)


@pytest.mark.parametrize(("timesteps", "phi"), [(1, 1), (8, 1), (4, 4), (2, 15), (5, 255)])
@pytest.mark.parametrize(
    ("rule", "windowed"),
    [
        (Fire.PLAIN, False),
        (Fire.RETRACT, False),
        (Fire.SIGNED, False),
        (Fire.PLAIN, True),
        (Fire.SIGNED, True),
    ],
)
def test_the_transfer_function_is_what_each_rule_makes_of_a_constant_drive(
    rule: Fire, windowed: bool, timesteps: int, phi: int
) -> None:
    theta = 60
    drive = np.arange(-3 * theta * phi // 2, 3 * theta * phi // 2, 7, dtype=np.int32)
    one = np.ones(1, np.int32)
    neurons = AdaFire(
        "n", drive.shape, one * theta, 0 * one, one * (theta // 2), phi, rule, windowed, one
    )
    current = np.repeat(drive[None, None], timesteps, axis=0)
    fired = ReferenceBackend().fire(neurons, current, timesteps, 2**23 - 1)
    expected = transfer(
        drive.astype(np.float64),
        np.float64(theta / timesteps),
        phi * timesteps,
        signed=rule is Fire.SIGNED,
    )
    mean = fired.spikes.sum(axis=0, dtype=np.int64)[0] * theta / timesteps
    assert mean == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("levels", [4, 32, 4000])
def test_a_sample_of_weight_n_counts_as_n_samples(levels: int) -> None:
    random = np.random.default_rng(6)
    samples, weights = random.exponential(1, (2, 300)), random.integers(0, 5, (2, 300))
    for row, counts in zip(samples, weights, strict=True):
        weighted = best_caps(row[None], levels, weights=counts[None].astype(np.float64))
        assert weighted == pytest.approx(best_caps(np.repeat(row, counts)[None], levels), rel=1e-9)


@pytest.mark.parametrize("spread", [0.05, 0.3])
def test_the_cap_of_one_spread_sample_is_its_largest_point(spread: float) -> None:
    # With so many levels rounding costs nothing, and three points at √3 spreads carry the rest.
    (cap,) = best_caps(np.array([[2.0]]), 100_000, spread=spread)
    assert cap == pytest.approx(2 * np.exp(3**0.5 * spread), rel=0.06)


def test_the_cap_of_spread_samples_serves_what_they_stand_for() -> None:
    random = np.random.default_rng(8)
    samples, spread = random.exponential(1, (1, 3000)), 0.3
    drawn = (samples * np.exp(random.normal(0, spread, (200, 1)))).reshape(1, -1)
    (cap,) = best_caps(samples, 63, spread=spread)
    (best,) = best_caps(drawn, 63)
    (narrow,) = best_caps(samples, 63)
    least = squared_error(drawn, best, 63)
    assert squared_error(drawn, cap, 63) < 1.05 * least
    assert squared_error(drawn, narrow, 63) > 1.2 * least


def test_each_sample_may_have_its_own_spread() -> None:
    samples = np.array([[1.0, 3.0]])
    both = best_caps(samples, 1000, spread=np.array([[0.0, 0.4]]))
    assert both > best_caps(samples, 1000, spread=np.array([[0.4, 0.0]]))


def test_no_spread_goes_beyond_a_ceiling() -> None:
    samples = np.full((1, 10), 6.0)
    assert best_caps(samples, 63, spread=0.5, ceiling=6.0) <= 6.0
