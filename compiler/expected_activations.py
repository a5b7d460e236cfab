"""What activations are to be expected: those that were seen, and those of one unseen image.

Where levels are many, a threshold is bounded by the largest activation alone, and few images show
few large ones: a channel that is all but silent in 64 images is not so in all others. One image is
therefore added, as in Laplace's rule of succession. Its activations are distributed as those of
the whole layer are, relative to the root mean square of each channel, whose logarithm is itself
estimated with that image added: channels may differ by orders of magnitude. It weighs little where
a channel was seen active in many images. Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.activations import ChannelSamples
from spikec.compiler.arrays import Float64

_STRATA = 64
"""Values that stand for an unseen image, from shares of the activations that fall to 10⁻⁵."""


@dataclass(frozen=True, eq=False)
class Expected:
    """Weighted activations of each channel.

    Attributes:
        values: (channels, samples), float64.
        weights: How many activations each stands for, (channels, samples).
    """

    values: Float64
    weights: Float64

    def together(self) -> Expected:
        """All channels as one."""
        return Expected(self.values.reshape(1, -1), self.weights.reshape(1, -1))


def expected(samples: ChannelSamples, ceiling: float | None = None) -> Expected:
    """The activations seen, and those of an unseen image.

    Args:
        samples: Of the activations seen.
        ceiling: Bound on all of them.
    """
    values, weights = _seen(samples)
    more, weight = _unseen(np.abs(values), weights, samples.images)
    if ceiling is not None:
        more = np.minimum(more, ceiling)
    return Expected(
        np.concatenate([values, more], axis=1),
        np.concatenate([weights, np.broadcast_to(weight, more.shape)], axis=1),
    )


def _seen(samples: ChannelSamples) -> tuple[Float64, Float64]:
    """The tail, each of weight 1, and random samples not above it, which stand for all others."""
    tail, body = samples.tail.astype(np.float64), samples.values.astype(np.float64)
    sizes, least = np.abs(body), np.abs(tail).min(axis=1, keepdims=True)
    others = samples.count - tail.shape[1]
    below, tied = sizes < least, sizes == least  # a Clip's ceiling ties with itself
    lower, equal = (each.sum(axis=1, keepdims=True) for each in (below, tied))
    share = np.where(equal, samples.count / body.shape[1], others / np.maximum(lower, 1))
    rest = np.maximum(others - lower * share, 0) / np.maximum(equal, 1)
    weights = np.concatenate([np.ones_like(tail), below * share + tied * rest], axis=1)
    return np.concatenate([tail, body], axis=1), weights


def _unseen(magnitudes: Float64, weights: Float64, images: int) -> tuple[Float64, Float64]:
    """Magnitudes in an unseen image, (channels, strata), and what each counts, (strata,)."""
    active = weights * (magnitudes > 0)
    counts, squares = active.sum(axis=1), (active * magnitudes**2).sum(axis=1)
    share = counts.mean() / images  # activations other than 0 that one image adds to a channel
    if not share:
        return np.zeros((len(magnitudes), 1)), np.zeros(1)
    known = counts > 0
    logs = np.zeros(len(counts))  # of the root mean squares
    logs[known] = np.log(squares[known] / counts[known]) / 2
    typical = (counts * logs).sum() / counts.sum()
    sizes = np.exp((counts * logs + share * typical) / (counts + share))
    seen = active > 0
    shape, shares = _strata((magnitudes / sizes[:, None])[seen], active[seen])
    return sizes[:, None] * shape, share * shares


def _strata(values: Float64, weights: Float64) -> tuple[Float64, Float64]:
    """Root mean squares of strata of weighted values, and the share of each; the tail is finest."""
    order = np.argsort(-values)
    values, weights = values[order], weights[order]
    above = np.cumsum(weights) / weights.sum()
    bounds = np.geomspace(1e-5, 1, _STRATA)
    stratum = np.searchsorted(bounds, above, side="left").clip(max=_STRATA - 1)
    shares = np.bincount(stratum, weights, _STRATA)
    squares = np.bincount(stratum, weights * values**2, _STRATA)
    filled = shares > 0
    sizes: Float64 = np.sqrt(squares[filled] / shares[filled])
    return sizes, shares[filled] / weights.sum()
