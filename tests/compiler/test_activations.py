from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from spikec.compiler.activations import channel_samples


def numbered(images: int, batch: int, positions: int = 4) -> Iterator[dict[str, np.ndarray]]:
    """Activations (batch, 2, positions) that say which image they are of; channel 1 negative."""
    for first in range(0, images, batch):
        number = np.arange(first, min(first + batch, images), dtype=np.float32)
        channels = np.stack([number, -number], axis=1)
        yield {"a": np.repeat(channels[:, :, None], positions, axis=2)}


def test_each_image_gives_the_same_share() -> None:
    found = channel_samples(numbered(100, 10), 100, 200, 0)["a"]
    assert found.values.shape == (2, 200)
    counts = np.histogram(found.values[0], bins=10, range=(0, 100))[0]
    assert counts.tolist() == [20] * 10
    assert np.array_equal(found.values[0], -found.values[1])


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    # One image in a batch, of which the sampler knew nothing: a stream of 200,000.
    found = channel_samples(numbered(200_000, 1), 256, 512, 0)["a"]
    assert 256 <= found.values.shape[1] <= 1024
    assert found.peak.tolist() == [199_999, 199_999]


def test_early_and_late_images_of_a_long_stream_have_equal_shares() -> None:
    found = channel_samples(numbered(50_000, 8), 64, 4096, 3)["a"]
    counts = np.histogram(found.values[0], bins=5, range=(0, 50_000))[0]
    expected = found.values.shape[1] / 5
    assert (np.abs(counts - expected) < 6 * expected**0.5).all()


def test_layers_smaller_than_their_share_are_halved_without_bias_too() -> None:
    found = channel_samples(numbered(50_000, 8, positions=1), 64, 4096, 3)["a"]
    counts = np.histogram(found.values[0], bins=5, range=(0, 50_000))[0]
    expected = found.values.shape[1] / 5
    assert (np.abs(counts - expected) < 6 * expected**0.5).all()


def test_equal_seeds_give_equal_samples() -> None:
    one, other = (channel_samples(numbered(500, 7), 100, 90, 5)["a"] for _ in range(2))
    assert np.array_equal(one.values, other.values)


def test_the_largest_values_of_all_images_are_kept() -> None:
    found = channel_samples(numbered(5000, 64, positions=1), 5000, 128, 0)["a"]
    assert sorted(found.tail[0].tolist()) == list(range(5000 - 1024, 5000))
    assert sorted(-found.tail[1]) == sorted(found.tail[0])
    assert (found.count, found.images) == (5000, 5000)


def test_fewer_values_than_the_tail_holds_are_all_kept() -> None:
    found = channel_samples(numbered(10, 3), 10, 128, 0)["a"]
    assert sorted(found.tail[0].tolist()) == sorted([*range(10)] * 4)
    assert found.count == 40


def test_of_a_tail_of_one_the_peak_is_left() -> None:
    short = channel_samples(numbered(500, 64), 500, 128, 0, tail=1)["a"]
    long = channel_samples(numbered(500, 64), 500, 128, 0)["a"]
    assert short.tail.tolist() == [[499], [-499]]
    assert short.peak.tolist() == long.peak.tolist()
    assert np.array_equal(short.values, long.values)


@pytest.mark.parametrize(
    ("samples", "kept"), [(1, 1), (7, 7), (9, 8), (10, 10), (39, 20), (40, 40)]
)
def test_thinned_samples_are_of_all_images_alike(samples: int, kept: int) -> None:
    found = channel_samples(numbered(10, 5), 10, 40, seed=0)["a"]
    thinned = found.thinned(samples)
    assert thinned.values.shape[1] == kept <= samples
    assert np.isin(thinned.values, found.values).all()
    assert np.ptp(np.bincount(thinned.values[0].astype(int), minlength=10)) <= 1
    assert (thinned.count, thinned.images) == (found.count, found.images)


def test_how_the_peaks_of_images_vary_is_told_by_channel() -> None:
    activation = np.random.default_rng(3).normal(0, 1, (40, 3, 5, 5)).astype(np.float32)
    activation[:39, 1] = 0
    activation[7:, 2] = 0
    found = channel_samples([{"a": activation[:9]}, {"a": activation[9:]}], 40, 64, 0)["a"]
    assert found.active.tolist() == [40, 1, 7]
    peaks = np.abs(activation).max(axis=(2, 3)).astype(np.float64)
    exact = [np.log(peaks[:, 0]).var(ddof=1), 0, np.log(peaks[:7, 2]).var(ddof=1)]
    assert found.variance == pytest.approx(exact)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_how_peaks_vary_does_not_depend_on_how_images_are_divided(batch: int) -> None:
    one, other = (channel_samples(numbered(100, n), 100, 64, 0)["a"] for n in (batch, 10))
    assert np.array_equal(one.variance, other.variance)
    assert np.array_equal(one.active, other.active)
