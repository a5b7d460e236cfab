"""Errors of spike counts are what the definitions say, however the images are divided."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from spikec.compiler import count_errors as counting
from spikec.compiler.arrays import Array, Float32, Int64
from spikec.compiler.count_errors import channel_means, count_errors
from spikec.compiler.populations import AdaFire, Fire

IMAGES, TIMESTEPS = 7, 6
COPIES = np.array([0, 1, 0, 3, 1, 0])
"""Channels 2 and 5 carry copies of channel 0, and channel 4 one of channel 1."""


def population(shape: tuple[int, ...], fire: Fire = Fire.PLAIN, phi: int = 3) -> AdaFire:
    ones = np.ones((shape[0], *[1] * (len(shape) - 1)), np.int32)
    scale = np.linspace(0.1, 0.9, shape[0]).reshape(ones.shape)
    return AdaFire("n", shape, 9 * ones, 0 * ones, 4 * ones, phi, fire, windowed=False, scale=scale)


def sample(which: AdaFire) -> tuple[Array, Float32]:
    """Payloads, many at their largest, and activations."""
    random = np.random.default_rng(0)
    low = -which.phi if which.fire is Fire.SIGNED else 0
    size = TIMESTEPS, IMAGES, *which.shape
    spikes = random.integers(low, which.phi + 1, size).astype(np.int8)
    spikes[:, :3] = which.phi
    return spikes, random.random((IMAGES, *which.shape), np.float32)


def errors(spikes: Array, target: Array, scale: Array, steps: int) -> Array:
    found: Array = spikes.astype(np.int64).sum(axis=0) * scale / steps - target
    return found


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 3), (6,)])
@pytest.mark.parametrize("fire", list(Fire))
def test_every_figure_is_its_definition(shape: tuple[int, ...], fire: Fire) -> None:
    which = population(shape, fire)
    spikes, target = sample(which)
    found = count_errors(spikes, target, which, TIMESTEPS, half_way=True)
    axes = (0, *range(2, len(shape) + 1))
    error = errors(spikes, target, which.scale, TIMESTEPS)
    early = errors(spikes[:3], target, which.scale, TIMESTEPS // 2)
    counts = spikes.sum(axis=0, dtype=np.int64)
    low = -18 if fire is Fire.SIGNED else 0
    close = {"rtol": 1e-5, "atol": 1e-6}
    assert np.allclose(found.squares, (error**2).mean(axis=axes), **close)
    assert np.allclose(found.early, (early**2).mean(axis=axes), **close)
    assert np.allclose(found.mean, error.mean(axis=axes), **close)
    assert np.allclose(found.sent, np.abs(counts).mean(axis=axes))
    assert np.allclose(found.moving, ((counts > low) & (counts < 18)).mean(axis=axes))


def test_half_of_the_steps_are_judged_on_request_alone() -> None:
    which = population((6, 4))
    assert count_errors(*sample(which), which, TIMESTEPS).early == 0


def test_one_sum_of_all_steps_is_as_good_as_the_steps() -> None:
    which = population((6, 4, 5), Fire.SIGNED)
    spikes, target = sample(which)
    summed = spikes.sum(axis=0, dtype=np.int16)[None]
    apart, together = (count_errors(each, target, which, TIMESTEPS) for each in (spikes, summed))
    for field in fields(apart):
        assert np.array_equal(getattr(apart, field.name), getattr(together, field.name))


@pytest.mark.parametrize("copy_of", [None, COPIES])
@pytest.mark.parametrize("part", [1, 250, 2**20])
def test_how_images_are_divided_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch, copy_of: Int64 | None, part: int
) -> None:
    which = population((6, 4, 5))
    spikes, target = sample(which)

    def found() -> list[Array]:
        judged = count_errors(spikes, target, which, TIMESTEPS, copy_of=copy_of, half_way=True)
        return [getattr(judged, field.name) for field in fields(judged)]

    expected = found()
    monkeypatch.setattr(counting, "_PART", part)
    for one, other in zip(found(), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_copies_are_judged_by_their_mean() -> None:
    which = population((6, 4, 5))
    spikes, target = sample(which)
    found = count_errors(spikes, target, which, TIMESTEPS, copy_of=COPIES)
    error = errors(spikes, target, which.scale, TIMESTEPS)
    for value in (0, 1, 3):
        members = value == COPIES
        mean = error[:, members].mean(axis=1)
        assert np.allclose(found.squares[members], (mean**2).mean(), rtol=1e-5)
        assert np.allclose(found.mean[members], mean.mean(), rtol=1e-5)


@pytest.mark.parametrize(("phi", "steps"), [(127, 1), (255, 1), (255, 300)])
def test_large_counts_fit(phi: int, steps: int) -> None:
    which = population((2, 3), Fire.SIGNED, phi)
    spikes = np.full((steps, 2, 2, 3), -phi, np.int16)
    found = count_errors(spikes, np.zeros((2, 2, 3), np.float32), which, steps)
    assert np.array_equal(found.sent, np.full(2, phi * steps))
    assert np.allclose(found.mean, -phi * np.array([0.1, 0.9]))
    assert not found.moving.any()


def test_channel_means_are_means_over_images_and_positions() -> None:
    values = np.random.default_rng(6).normal(0, 1, (5, 3, 4, 2)).astype(np.float32)
    assert np.allclose(channel_means(values), values.mean(axis=(0, 2, 3)), rtol=1e-6)
