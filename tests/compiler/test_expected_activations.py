from __future__ import annotations

import numpy as np
import pytest

from spikec.compiler.activations import ChannelSamples, channel_samples
from spikec.compiler.expected_activations import Expected, expected
from spikec.compiler.mmse import best_caps


def seen(activation: np.ndarray, samples: int = 8192) -> ChannelSamples:
    """Samples of (images, channels, positions)."""
    return channel_samples([{"a": activation}], len(activation), samples, 0)["a"]


def relu(seed: int, *shape: int) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(0, 1, shape), 0).astype(np.float32)


def moments(found: Expected) -> np.ndarray:
    """Σ w·xᵏ per channel for k = 0, 1, 2 and 4."""
    return np.array([(found.weights * found.values**k).sum(axis=1) for k in (0, 1, 2, 4)])


def test_images_that_are_alike_expect_one_more_of_their_kind() -> None:
    activation = relu(0, 40, 3, 500)
    found = moments(expected(seen(activation, 50_000)))
    exact = np.array([(activation.astype(np.float64) ** k).sum(axis=(0, 2)) for k in (1, 2, 4)])
    assert found[1:] == pytest.approx(exact * 41 / 40, rel=0.02)


def test_samples_stand_for_all_that_were_not_drawn() -> None:
    activation = relu(1, 64, 2, 4000)
    found = moments(expected(seen(activation, 4096)))
    exact = np.array([(activation.astype(np.float64) ** k).sum(axis=(0, 2)) for k in (1, 2)])
    assert found[1:3] == pytest.approx(exact * 65 / 64, rel=0.05)


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
    (silent, *others) = best_caps(found.values, 63, weights=found.weights)[[7, 0, 1, 2, 3]]
    assert 0.5 * np.median(others) < silent < 2 * np.median(others)


def test_a_channel_of_small_activations_in_every_image_stays_small() -> None:
    activation = relu(4, 64, 20, 49)
    activation[:, 7] *= 0.01
    found = expected(seen(activation))
    caps = best_caps(found.values, 63, weights=found.weights)
    assert caps[7] < 0.03 * np.median(caps)


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
    assert one.values.shape == one.weights.shape == (1, found.values.size)
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
    assert found.weights[0].sum() == pytest.approx(64 * 400 * 65 / 64, rel=0.02)
