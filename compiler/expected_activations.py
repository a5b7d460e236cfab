"""What activations are to be expected: those that were seen, and what other images may bring.

Where levels are many, a threshold is bounded by the largest activations alone, and few images show
few of them. Each activation that was seen therefore stands for what another image might have had in
its place: its logarithm is spread as a kernel estimate of that of the channel's peak in an image
is, normally with standard deviation σ·n^(−1/5) over n images, σ that of the peak's logarithm.
Source: Scott, *Multivariate Density Estimation*, 1992, for the width; ours, for its use.

That says nothing of a channel that few images activate. One image is therefore added, as in
Laplace's rule of succession, which counts as much as the channel was silent in those seen. Its
activations are distributed as those of the whole layer are, relative to the root mean square of
each channel, whose logarithm is itself estimated with that image added: channels may differ by
orders of magnitude. Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.activations import ChannelSamples
from spikec.compiler.arrays import Float64

_STRATA = 64
"""Values that stand for an unseen image, from shares of the activations that fall to 10⁻⁵."""
_TYPICAL = 4
"""Images that the layer's median counts as where the variance of a channel's peak is estimated."""


@dataclass(frozen=True, eq=False)
class Expected:
    """Weighted activations of each channel.

    Attributes:
        values: (channels, samples), float64.
        weights: How many activations each stands for, (channels, samples).
        spread: Standard deviation of the logarithm of what each stands for, (channels, 1), or
            (1, samples) where channels are one.
    """

    values: Float64
    weights: Float64
    spread: Float64

    def together(self) -> Expected:
        """All channels as one."""
        spread = np.broadcast_to(self.spread, self.values.shape)
        return Expected(*(each.reshape(1, -1) for each in (self.values, self.weights, spread)))


def expected(samples: ChannelSamples, ceiling: float | None = None) -> Expected:
    """The activations seen, those of an unseen image, and how far others may be from them.

    Args:
        samples: Of the activations seen.
        ceiling: Bound on all of them.
    """
    values, weights = _seen(samples)
    more, weight = _unseen(np.abs(values), weights, samples.images)
    if ceiling is not None:
        more = np.minimum(more, ceiling)
    silent = 1 - samples.active[:, None] / samples.images
    return Expected(
        np.concatenate([values, more], axis=1),
        np.concatenate([weights, silent * weight], axis=1),
        _spread(samples)[:, None],
    )


def _spread(samples: ChannelSamples) -> Float64:
    """σ·n^(−1/5) of each channel, (channels,)."""
    active, variance = samples.active, samples.variance
    typical = float(np.median(variance[active > 1])) if np.any(active > 1) else 0.0
    variance = (active * variance + _TYPICAL * typical) / (active + _TYPICAL)
    spread: Float64 = np.sqrt(variance) * samples.images**-0.2
    return spread


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
