"""Thresholds of least mean squared error under the neuron's own transfer function.

Under constant drive a neuron that starts at θ/2 emits over T steps
TF(x) = q · clip(⌊x/q + 1/2⌋, 0, φT) with q = θ/T, so its levels end at the cap φθ. A ReLU
activation x is best carried by the cap that minimises E[(TF(x) − x)²]. Source: paper 1 (ICML 2021,
section 4.2, MMSE threshold), with the rounding that the neuron really has and a logarithmic grid.
"""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Float64, Int64
from spikec.compiler.options import CompileOptions

_GRID = 64
"""Candidates of the first search, logarithmic."""
_REFINED = 17
"""Candidates between the neighbours of the best one."""
_LOWEST = 0.01
"""Smallest candidate relative to the largest sample; lower for heavy tails."""
_POINTS, _SHARES = (-(3**0.5), 0.0, 3**0.5), (1 / 6, 2 / 3, 1 / 6)
"""Gauss–Hermite quadrature of three points: what a spread sample stands for, in its spread."""
_HIGHEST = 1.05
"""Largest candidate: the cap may round up to the largest sample."""
_MANY_LEVELS = 32
"""φT from which large activations that were not sampled, or not seen, cost more than rounding. On
136 other images the squared error of MobileNet-v2's activations, calibrated on 64, rises by 1 % at
8 levels if they are expected, and falls by 2 % at 15, 14 % at 32, 37 % at 63 and 68 % at 127."""


def best_caps(
    samples: Float64,
    levels: int | Int64,
    *,
    weights: Float64 | None = None,
    spread: Float64 | float = 0.0,
    signed: bool = False,
    ceiling: float | None = None,
) -> Float64:
    """The cap φθ of each channel with the least mean squared error.

    Args:
        samples: ANN activations, (channels, samples).
        levels: φT, number of levels above zero, of all or of each channel.
        weights: What each sample counts, (channels, samples); None: all the same.
        spread: Standard deviation of the logarithm of what each sample stands for, broadcastable
            to the samples; 0: itself alone.
        signed: Whether the neuron also emits down to −φT.
        ceiling: Largest useful cap, from Clip(0, c).

    Returns:
        Positive caps, (channels,). A channel without a positive sample (signed: without any other
        than 0) takes the median cap of the others, or the ceiling, or 1.
    """
    weights = np.ones_like(samples) if weights is None else weights
    spread = np.broadcast_to(spread, samples.shape)
    most = np.broadcast_to(levels, len(samples)).tolist()
    caps = np.array(
        [
            _best_cap(*_spread_out(row, counts, width, ceiling), top, signed, ceiling)
            for row, counts, width, top in zip(samples, weights, spread, most, strict=True)
        ]
    )
    alive = np.isfinite(caps)
    typical = float(np.median(caps[alive])) if alive.any() else ceiling or 1.0
    return np.where(alive, caps, typical)


def transfer(drive: Float64, step: Float64, levels: int, *, signed: bool = False) -> Float64:
    """TF: what a neuron makes of a constant drive, under whichever firing rule.

    A drive that does not change gives equal totals under the plain rule, with retraction and in a
    window: the membrane stays in [0, θ), so that nothing is fired too early. The signed rule
    differs below zero only.

    Args:
        drive: z per step, in units of the activation.
        step: q = θ/T, broadcastable to it.
        levels: φT.
        signed: Whether the neuron also emits down to −φT.
    """
    count: Float64 = np.floor(drive / step + 0.5).clip(-levels if signed else 0, levels)
    return count * step


def reads_tail(windowed: bool, phi: int, options: CompileOptions) -> bool:
    """Whether a cap is bounded by what may come: with many levels, on the whole charge at once.

    What was seen then tells too little to judge a cap by.

    With fewer levels the best cap lies among the samples. Where charge arrives unevenly, it also
    bounds how much is fired too early in a step; there a cap for what may come costs more than it
    brings (measured on MobileNet-v1). Other methods than mmse read samples and peaks alone.
    """
    whole = windowed or options.timesteps == 1
    many = phi * options.timesteps >= _MANY_LEVELS
    return whole and many and options.threshold_method == "mmse"


def _spread_out(
    row: Float64, weights: Float64, spread: Float64, ceiling: float | None
) -> tuple[Float64, Float64]:
    """What the samples of one channel stand for, and what it counts."""
    if not spread.any():
        return row, weights
    values = np.concatenate([row * np.exp(spread * point) for point in _POINTS])
    values = values if ceiling is None else np.minimum(values, ceiling)
    return values, np.concatenate([weights * share for share in _SHARES])


def _best_cap(
    row: Float64, weights: Float64, levels: int, signed: bool, ceiling: float | None
) -> float:
    sides = [_Side(row, weights, levels)]
    if signed:
        sides.append(_Side(-row, weights, levels))
    peak = max(side.peak for side in sides)
    if peak <= 0:
        return np.nan
    typical = min(side.median for side in sides if side.peak > 0)
    high = peak * _HIGHEST if ceiling is None else min(peak * _HIGHEST, ceiling)
    grid = np.geomspace(min(peak * _LOWEST, typical, high / 2), high, _GRID)
    best = int(np.argmin(_errors(sides, grid)))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    refined = np.geomspace(low, high, _REFINED)
    return float(refined[np.argmin(_errors(sides, refined))])


def _errors(sides: list[_Side], caps: Float64) -> Float64:
    errors: Float64 = np.sum([side.errors(caps) for side in sides], axis=0)
    return errors


class _Side:
    """The positive samples of one channel, sorted, with the sums that make a candidate cheap.

    With bounds (k − 1/2)·q, TF(x) = q·Σ_k [x ≥ bound_k] and TF(x)² = q²·Σ_k (2k−1)·[x ≥ bound_k],
    so Σ w·(TF(x) − x)² needs only Σ w and Σ w·x of the samples above each bound.
    """

    def __init__(self, row: Float64, weights: Float64, levels: int) -> None:
        counted = (row > 0) & (weights > 0)
        order = np.argsort(row[counted])
        self._sorted = row[counted][order].astype(np.float64)
        self._weights = weights[counted][order]
        self._levels = levels
        self._counts = _sums_above(self._weights)
        self._sums = _sums_above(self._weights * self._sorted)
        self.peak = float(self._sorted[-1]) if self._sorted.size else 0.0
        self.median = self._median() if self._sorted.size else 0.0

    def _median(self) -> float:
        below = np.cumsum(self._weights)
        return float(self._sorted[np.searchsorted(below, below[-1] / 2)])

    def errors(self, caps: Float64) -> Float64:
        """Σ w·(TF(x) − x)² − Σ w·x² for each cap."""
        steps = caps / self._levels
        if self._levels > self._sorted.size:
            return self._errors_by_sample(steps)
        k = np.arange(1, self._levels + 1)
        first = np.searchsorted(self._sorted, np.outer(steps, k - 0.5))
        linear = self._sums[first].sum(axis=1)
        quadratic = self._counts[first] @ (2.0 * k - 1.0)
        errors: Float64 = steps**2 * quadratic - 2 * steps * linear
        return errors

    def _errors_by_sample(self, steps: Float64) -> Float64:
        x = self._sorted
        levels = transfer(x, steps[:, None], self._levels)
        errors: Float64 = (levels * (levels - 2 * x) * self._weights).sum(axis=1)
        return errors


def _sums_above(values: Float64) -> Float64:
    """The sum of each value and all behind it, and 0 behind the last."""
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)
