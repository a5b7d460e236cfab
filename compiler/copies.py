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
    return Together(copy_of)(values)


class Together:
    """``together`` for one assignment of copies, for values that come in parts."""

    def __init__(self, copy_of: Int64 | None) -> None:
        own = np.zeros(0, np.int64) if copy_of is None else copy_of
        counts = carriers(own)
        order = np.lexsort((own, -counts))  # values that most carry first, each in one piece
        self._members = order[counts[order] > 1]
        first = np.flatnonzero(np.diff(own[self._members], prepend=-1))
        self._counts = counts[self._members[first]]
        ranks = range(self._counts.max(initial=0))
        self._by_rank = [self._members[first[self._counts > rank] + rank] for rank in ranks]
        self._group = np.repeat(np.arange(len(first)), self._counts)

    def __call__(self, values: Array) -> Array:
        """As ``together``: the members of each value are added in their order."""
        if not len(self._members):
            return values
        means = values.take(self._by_rank[0], axis=1)
        for further in self._by_rank[1:]:
            means[:, : len(further)] += values.take(further, axis=1)
        means /= self._counts.reshape(-1, *[1] * (values.ndim - 2))
        values[:, self._members] = means.take(self._group, axis=1)
        return values
