"""Thresholds from statistics of one layer's activations, without a search for the best.

All give caps: the largest expressible value φθ, which takes the place of the θ of binary spikes.
"""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Float64

_ITERATIONS = 4000
_RATE = 1.0
"""η: with it each iteration moves a cap by twice the mean excess."""


def percentile_caps(
    samples: Float64, percentile: float, *, ceiling: float | None = None
) -> Float64:
    """The percentile of each channel's magnitudes other than 0.

    Source: Rueckauer et al., Frontiers in Neuroscience 2017, "robust normalization"; zeros are
    left out, so that a channel that is mostly silent is not clipped to nothing.

    Args:
        samples: ANN activations, (channels, samples).
        percentile: In (0, 100].
        ceiling: Largest useful cap, from Clip(0, c).

    Returns:
        Positive caps, (channels,); silent channels take the median of the others.
    """
    rows = [row[row > 0] for row in np.abs(samples)]
    caps = np.array([np.percentile(row, percentile) if row.size else 0.0 for row in rows])
    return usable_caps(caps, ceiling)


def balanced_caps(samples: Float64, *, ceiling: float | None = None) -> Float64:
    """Caps by local threshold balancing: c ← c + 2η·E[max(|z| − c, 0)], from 0.

    A descent on the clipping error E[max(|z| − c, 0)²], which is never negative and stops short
    of the maximum because large activations are rare. The number of steps T does not enter.
    Source: Bu, Li and Yu, "Inference-Scale Complexity in ANN-SNN Conversion", arXiv 2409.03368;
    η and the iterations are those of its published code. For φ > 1 the cap c = φθ is balanced.

    Args:
        samples: Activations z, (channels, samples).
        ceiling: Largest useful cap, from Clip(0, c).

    Returns:
        Positive caps, (channels,); silent channels take the median of the others.
    """
    peak = np.abs(samples).max(axis=1, initial=0.0)
    # Relative to the peak and shifted by twice the channel, all channels are one sorted list.
    unit = np.where(peak > 0, peak, 1.0)
    channels, count = samples.shape
    relative = np.sort(np.abs(samples) / unit[:, None], axis=1)
    above = np.cumsum(relative[:, ::-1], axis=1)[:, ::-1]
    sums = np.concatenate([above, np.zeros((channels, 1))], axis=1)
    shift = 2.0 * np.arange(channels)
    line = (relative + shift[:, None]).ravel()
    cap: Float64 = np.zeros(channels)
    for _ in range(_ITERATIONS):
        first = np.searchsorted(line, cap + shift, side="right") - np.arange(channels) * count
        excess = sums[np.arange(channels), first] - (count - first) * cap
        cap = np.minimum(cap + 2 * _RATE * np.maximum(excess, 0) / count, 1.0)
    return usable_caps(cap * peak, ceiling)


def usable_caps(caps: Float64, ceiling: float | None) -> Float64:
    """Caps within the ceiling; those of 0 take the median of the others, the ceiling, or 1."""
    alive = caps > 0
    typical = float(np.median(caps[alive])) if alive.any() else ceiling or 1.0
    positive = np.where(alive, caps, typical)
    return positive if ceiling is None else np.minimum(positive, ceiling)
