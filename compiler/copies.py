"""Copies: channels of one population that carry the same value, each started a little apart.

With k copies that start at (j + 1/2)/k of their threshold, j = 0 … k − 1, the whole steps of all
together are those of one neuron whose threshold is k times smaller:

    Σ_j ⌊x + (j + 1/2)/k⌋ = ⌊kx + 1/2⌋    (Hermite's identity at x + 1/(2k))

so that k binary neurons tell as many levels as one whose spikes carry payloads up to k. Readers
take the mean. Source: ours; copying weights for finer steps, for weights instead of neurons, is
*Improving Neural Network Quantization without Retraining using Outlier Channel Splitting*
(ICML 2019).
"""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64


def carriers(copy_of: Int64 | None) -> Int64:
    """k: how many channels carry the value of each channel, (C,); (1,) where each its own."""
    if copy_of is None:
        return np.ones(1, np.int64)
    found: Int64 = np.bincount(copy_of, minlength=len(copy_of))[copy_of]
    return found


def is_copy(copy_of: Int64) -> Array:
    """Which channels carry the value of another one, bool (C,)."""
    found: Array = copy_of != np.arange(len(copy_of))
    return found


def starts(copy_of: Int64 | None) -> Float64:
    """Where each channel starts, in thresholds, (C,); (1,), the half, if each carries its own."""
    if copy_of is None:
        return np.full(1, 0.5)
    order = np.array([np.sum(copy_of[:at] == value) for at, value in enumerate(copy_of)])
    found: Float64 = (order + 0.5) / carriers(copy_of)
    return found


def together(values: Array, copy_of: Int64 | None) -> Array:
    """Values (images, C, …) with the mean of all copies in the place of each; may be changed."""
    if copy_of is None:
        return values
    several = np.flatnonzero(carriers(copy_of) > 1)
    members = several[np.argsort(copy_of[several], kind="stable")]
    _, first, group, counts = np.unique(
        copy_of[members], return_index=True, return_inverse=True, return_counts=True
    )
    means = values[:, members[first]]
    for at in range(1, counts.max(initial=0)):
        further = counts > at
        means[:, further] += values[:, members[first[further] + at]]
    means /= counts.reshape(-1, *[1] * (values.ndim - 2))
    values[:, members] = means[:, group]
    return values
