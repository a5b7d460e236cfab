from __future__ import annotations

import numpy as np
import pytest

from spikec.compiler.mmse import best_caps


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
