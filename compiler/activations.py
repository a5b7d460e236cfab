"""Streamed statistics of the ANN's activations: samples and peaks per channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array, Float32, Float64


@dataclass(frozen=True, eq=False)
class ChannelSamples:
    """What one node's activation looked like.

    Attributes:
        values: Random samples of each channel, the same positions for all, (channels, samples).
        peak: Largest |activation| per channel over all images, (channels,).
    """

    values: Float32
    peak: Float64


def channel_samples(
    batches: Iterable[Mapping[str, Array]], images: int, samples: int, seed: int
) -> dict[str, ChannelSamples]:
    """Samples of every channel of every activation, in memory bounded by ``samples``.

    Args:
        batches: Activations by node name, (batch, channels, …), streamed.
        images: Number of images in all batches.
        samples: Samples per channel, about; each image gives the same share.
        seed: Of the choice of positions.

    Returns:
        By node name.
    """
    random = np.random.default_rng(seed)
    values: dict[str, list[Float32]] = {}
    peaks: dict[str, Float64] = {}
    for batch in batches:
        for name, activation in batch.items():
            flat = _by_channel(activation)
            share = max(1, -(-samples * len(activation) // images))
            values.setdefault(name, []).append(_columns(flat, share, random))
            peak = np.abs(flat).max(axis=1).astype(np.float64)
            peaks[name] = np.maximum(peaks.get(name, peak), peak)
    return {
        name: ChannelSamples(np.concatenate(parts, axis=1), peaks[name])
        for name, parts in values.items()
    }


def _by_channel(activation: Array) -> Float32:
    """(batch, C, …) → (C, batch·positions)."""
    return np.moveaxis(activation, 1, 0).reshape(activation.shape[1], -1).astype(np.float32)


def _columns(flat: Float32, count: int, random: np.random.Generator) -> Float32:
    if count >= flat.shape[1]:
        return flat
    return flat[:, random.choice(flat.shape[1], count, replace=False)]
