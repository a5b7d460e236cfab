"""Streamed statistics of the ANN's activations: random samples and the largest of each channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.arrays import Array, Float32, Float64, Int64

LONG_TAIL = 1024
"""Largest values of each channel. One in a thousand images moves a threshold that has many levels,
and random samples miss it."""


@dataclass(frozen=True, eq=False)
class ChannelSamples:
    """What one node's activation looked like.

    Attributes:
        values: Random samples of each channel, the same positions for all, (channels, samples).
        tail: The values of largest magnitude of each channel over all images, in no order,
            (channels, at most as many as were asked for).
        count: Activations of each channel in all images.
        images: Images seen.
        active: In how many of them each channel was not silent, (channels,).
        variance: Of the logarithm of each channel's largest |activation| in an image, over the
            images in which it was not silent, (channels,); 0 where there are fewer than two.
    """

    values: Float32
    tail: Float32
    count: int
    images: int
    active: Int64
    variance: Float64

    @property
    def peak(self) -> Float64:
        """Largest |activation| per channel over all images, (channels,)."""
        peak: Float64 = np.abs(self.tail).max(axis=1).astype(np.float64)
        return peak

    def thinned(self, samples: int) -> ChannelSamples:
        """With at most so many random samples of each channel, 1 or more, from all images alike."""
        return replace(self, values=self.values[:, :: -(-self.values.shape[1] // samples)])


def channel_samples(
    batches: Iterable[Mapping[str, Array]],
    images: int,
    samples: int,
    seed: int,
    tail: int = LONG_TAIL,
) -> dict[str, ChannelSamples]:
    """Samples of every channel of every activation, in memory bounded by ``samples``.

    Equal batches give equal samples; who streams divides the images alike, however they come.

    Args:
        batches: Activations by node name, (batch, channels, …), streamed.
        images: Number of images in all batches, or in the first of them: where many more follow,
            a random half is dropped whenever twice the samples are held, and as much less taken.
        samples: Samples per channel, about; each image gives the same share.
        seed: Of the choice of positions.
        tail: Largest values kept of each channel, 1 or more.

    Returns:
        By node name.
    """
    random = np.random.default_rng(seed)
    found: dict[str, _Samples] = {}
    for batch in batches:
        for name, activation in batch.items():
            kept = found.setdefault(name, _Samples(samples, images, tail, random))
            kept.take(activation)
    return {name: kept.result() for name, kept in found.items()}


class _Samples:
    """Samples of one node so far."""

    def __init__(self, samples: int, images: int, tail: int, random: np.random.Generator) -> None:
        self._samples, self._images, self._random = samples, images, random
        self._tail_length = tail
        self._parts: list[Float32] = []
        self._held = self._seen = self._count = 0
        self._tail: Float32 | None = None
        self._peaks = _Peaks()

    def take(self, activation: Array) -> None:
        """Add the share of some images, (images, channels, …)."""
        flat, images = _by_channel(activation), len(activation)
        self._peaks.take(flat.reshape(len(flat), images, -1))
        tail = _largest(flat, self._tail_length)
        if self._tail is not None:
            tail = _largest(np.concatenate([self._tail, tail], axis=1), self._tail_length)
        self._tail = tail
        self._count += flat.shape[1]
        part = _columns(flat, self._share(images), self._random)
        self._parts.append(part)
        self._held += part.shape[1]
        self._seen += images
        if self._held > 2 * self._samples and len(self._parts) > 1:
            self._halve()

    def result(self) -> ChannelSamples:
        assert self._tail is not None
        values = np.concatenate(self._parts, axis=1)
        active, variance = self._peaks.result()
        return ChannelSamples(values, self._tail, self._count, self._seen, active, variance)

    def _share(self, images: int) -> int:
        """At least one sample, until one for each batch is too many: then by chance."""
        wanted = self._samples * images
        if wanted >= self._images:
            return -(-wanted // self._images)
        return int(self._random.random() * self._images < wanted)

    def _halve(self) -> None:
        """Keep a random half, and from now on take as many of each image as are left of those."""
        self._parts = [_columns(np.concatenate(self._parts, axis=1), self._samples, self._random)]
        self._images, self._held = max(self._images, self._seen), self._samples


class _Peaks:
    """How the largest |activation| of an image varies, by channel."""

    def __init__(self) -> None:
        self._moments: Float64 | float = 0.0

    def take(self, values: Float32) -> None:
        """Add some images, (channels, images, positions), one by one however they are divided."""
        peaks = np.maximum(values.max(axis=2), -values.min(axis=2)).astype(np.float64)
        logs = np.log(peaks, out=np.zeros_like(peaks), where=peaks > 0)
        for moments in np.stack([peaks > 0, logs, logs**2]).transpose(2, 0, 1):
            self._moments = self._moments + moments

    def result(self) -> tuple[Int64, Float64]:
        """``active`` and ``variance`` of ChannelSamples."""
        active, sums, squares = np.asarray(self._moments)
        several = np.maximum(active, 2)
        variance = np.where(active > 1, (squares - sums**2 / several) / (several - 1), 0.0)
        return active.astype(np.int64), np.maximum(variance, 0.0)


def _by_channel(activation: Array) -> Float32:
    """(batch, C, …) → (C, batch·positions)."""
    return np.moveaxis(activation, 1, 0).reshape(activation.shape[1], -1).astype(np.float32)


def _columns(flat: Float32, count: int, random: np.random.Generator) -> Float32:
    if count >= flat.shape[1]:
        return flat
    return flat[:, random.choice(flat.shape[1], count, replace=False)]


def _largest(flat: Float32, count: int) -> Float32:
    """The values of largest magnitude of each row, at most so many, (rows, …)."""
    if count >= flat.shape[1]:
        return flat
    sizes = np.abs(flat)
    if count == 1:
        positions = sizes.argmax(axis=1)[:, None]
    else:
        positions = np.argpartition(sizes, -count, axis=1)[:, -count:]
    return np.take_along_axis(flat, positions, axis=1)
