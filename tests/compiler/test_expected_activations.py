from __future__ import annotations

import numpy as np
import pytest

from spikec.compiler.activations import ChannelSamples, channel_samples
from spikec.compiler.expected_activations import Expected, expected
from spikec.compiler.mmse import best_caps, transfer

LEVELS = 63


def seen(activation: np.ndarray, samples: int = 8192) -> ChannelSamples:
    """Samples of (images, channels, positions)."""
    return channel_samples([{"a": activation}], len(activation), samples, 0)["a"]


def relu(seed: int, *shape: int) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(0, 1, shape), 0).astype(np.float32)


def moments(found: Expected) -> np.ndarray:
    """Σ w·xᵏ per channel for k = 0, 1, 2 and 4."""
    return np.array([(found.weights * found.values**k).sum(axis=1) for k in (0, 1, 2, 4)])


def caps(found: Expected) -> np.ndarray:
    return best_caps(found.values, LEVELS, weights=found.weights, spread=found.spread)


def squared_errors(activation: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """Mean squared error per channel of (images, channels, positions)."""
    step = cap[:, None] / LEVELS
    return ((transfer(activation, step, LEVELS) - activation) ** 2).mean(axis=(0, 2))


def test_channels_active_in_all_images_expect_what_was_seen() -> None:
    activation = relu(0, 40, 3, 500)
    found = moments(expected(seen(activation, 50_000)))
    exact = np.array([(activation.astype(np.float64) ** k).sum(axis=(0, 2)) for k in (1, 2, 4)])
    assert found[1:] == pytest.approx(exact, rel=1e-4)


def test_samples_stand_for_all_that_were_not_drawn() -> None:
    activation = relu(1, 64, 2, 4000)
    found = moments(expected(seen(activation, 4096)))
    exact = np.array([(activation.astype(np.float64) ** k).sum(axis=(0, 2)) for k in (1, 2)])
    assert found[1:3] == pytest.approx(exact, rel=0.05)


def test_peaks_that_vary_spread_what_was_seen() -> None:
    sizes = np.exp(np.random.default_rng(10).normal(0, [0.1, 0.8], (500, 2)))
    found = expected(seen(np.repeat(sizes[:, :, None], 9, axis=2).astype(np.float32)))
    assert found.spread[:, 0] == pytest.approx(np.array([0.1, 0.8]) * 500**-0.2, rel=0.1)


def test_images_that_are_equal_spread_nothing() -> None:
    activation = np.repeat(relu(11, 1, 3, 40), 16, axis=0)
    assert expected(seen(activation)).spread == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("varying", [0.3, 0.8])
def test_caps_for_what_is_expected_serve_unseen_images_better(varying: float) -> None:
    random = np.random.default_rng(12)

    def images(count: int) -> np.ndarray:
        sizes = np.exp(random.normal(0, varying, (count, 30, 1)))
        return np.maximum(sizes * random.normal(0, 1, (count, 30, 20)), 0)

    known, unseen = images(48), images(3000)
    plain = best_caps(np.moveaxis(known, 1, 0).reshape(30, -1), LEVELS)
    before = squared_errors(unseen, plain).sum()
    assert squared_errors(unseen, caps(expected(seen(known)))).sum() < 0.8 * before


def test_every_large_activation_counts_though_samples_miss_it() -> None:
    activation = relu(2, 50, 2, 4000)
    activation[3, 0, 17] = 40.0
    found = expected(seen(activation, 500))
    assert found.values[0].max() == 40.0
    assert found.weights[0, found.values[0].argmax()] == 1.0


def test_a_channel_that_was_hardly_active_expects_what_the_others_do() -> None:
    activation = relu(3, 64, 20, 49)
    activation[:, 7] = 0
    activation[5, 7, 11] = 0.01
    found = expected(seen(activation))
    (silent, *others) = caps(found)[[7, 0, 1, 2, 3]]
    assert 0.5 * np.median(others) < silent < 2 * np.median(others)


def test_a_channel_of_small_activations_in_every_image_stays_small() -> None:
    activation = relu(4, 64, 20, 49)
    activation[:, 7] *= 0.01
    found = expected(seen(activation))
    assert caps(found)[7] < 0.03 * np.median(caps(found))


def test_no_activation_is_expected_above_a_ceiling() -> None:
    activation = np.minimum(3 * relu(5, 32, 8, 49), 6.0)
    activation[:, 0] = 0
    assert expected(seen(activation), 6.0).values.max() == 6.0


def test_silence_expects_silence() -> None:
    found = expected(seen(np.zeros((8, 3, 10), np.float32)))
    assert not found.values.any()


def test_channels_together_are_one() -> None:
    found = expected(seen(relu(6, 16, 4, 25)))
    one = found.together()
    assert one.values.shape == one.weights.shape == one.spread.shape == (1, found.values.size)
    each = one.spread.reshape(found.values.shape)
    assert np.array_equal(each, np.broadcast_to(found.spread, each.shape))
    assert moments(one)[:, 0] == pytest.approx(moments(found).sum(axis=1))


def test_negative_activations_keep_their_sign() -> None:
    activation = np.random.default_rng(7).normal(0, 1, (16, 4, 25)).astype(np.float32)
    found = expected(seen(activation))
    assert moments(found)[1] == pytest.approx(activation.sum(axis=(0, 2)), abs=30)
    assert found.values.min() == activation.min()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_activations_at_a_ceiling_count_as_often_as_they_were_seen(share: float) -> None:
    activation = np.random.default_rng(8).uniform(0, 5, (64, 2, 400)).astype(np.float32)
    activation[np.random.default_rng(9).uniform(size=activation.shape) < share] = 6.0
    found = expected(seen(activation, 4096), 6.0)
    at_most = np.isclose(found.values[0], 6.0)
    counted = found.weights[0, at_most].sum() / found.weights[0].sum()
    assert counted == pytest.approx((activation[:, 0] == 6.0).mean(), abs=0.03)
    assert found.weights[0].sum() == pytest.approx(64 * 400, rel=0.02)
