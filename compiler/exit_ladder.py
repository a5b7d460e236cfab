"""Candidate exit thresholds, from tight to loose, found on one part of the calibration images.

What an image costs is the step t after which it leaves, plus a price λ if that loses it: if it is
right after T steps and wrong after t. For one price the thresholds are found by coordinate descent
over three spans of time, each with one threshold for all of its steps: more numbers than that say
more of the few images that are lost by chance than of those to come. The lowest price that loses
no more than is allowed gives the loosest candidate; the others are the same thresholds, tightened
by growing factors. Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.exit_rule import NEVER, ExitScore, exit_scores, first_exits

Thresholds = tuple[float, ...]

_PRICES_PER_OCTAVE = 2
_SPANS = 3
_GRID = 48
"""Thresholds that are tried in a span: quantiles of its scores."""
_SWEEPS = 8
"""Sweeps over the spans at most; nearly all settle after three."""
_FACTORS = 2.0 ** np.arange(4, -0.125, -0.125)
"""By which thresholds are tightened: from 16 down to 1, eight to an octave."""
_BASES = np.arange(600, -1, -1) * np.log(10) / 4
"""−ln(1 − base) of the published formula, from tight to loose, four to a decade of 1 − base."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of some images.

    Attributes:
        scores: After steps 1…T−1, (T − 1, images).
        right: Whether the class of highest potential is the right one after steps 1…T,
            bool (T, images).
    """

    scores: Array
    right: Array

    @classmethod
    def of(cls, score: ExitScore, potentials: Int64, scale: float, classes: Array) -> Evidence:
        """What runs tell.

        Args:
            score: What is compared with thresholds.
            potentials: v of the read-out after steps 1…T, (T, images, classes).
            scale: Of the read-out.
            classes: The right ones, (images,).
        """
        scores = exit_scores(score, potentials[:-1], scale)
        return cls(scores, potentials.argmax(axis=-1) == classes)

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.right.shape[1])

    def part(self, positions: Array) -> Evidence:
        """What is known of some of the images."""
        return Evidence(self.scores[:, positions], self.right[:, positions])

    def exits(self, thresholds: Thresholds) -> Int64:
        """The step after which each image leaves, 1…T."""
        return first_exits(self.scores, np.asarray(thresholds, self.scores.dtype))

    def lost(self, exits: Int64) -> int:
        """Images that are right after T steps and wrong where they leave.

        Never less than what the accuracy falls by: an image that is right only where it leaves
        does not make up for another one.
        """
        return int((self.right[-1] & ~self.right[exits - 1, np.arange(self.images)]).sum())


def ladder(evidence: Evidence, allowed: float) -> list[Thresholds]:
    """Candidates from tight to loose.

    Args:
        evidence: Of the images to choose on.
        allowed: Largest share of images that may be lost.
    """
    rows = _priced(evidence)
    within = [row for row in rows if _loses(evidence, row) <= allowed]
    chosen = within[-1] if within else rows[0]
    return _distinct(_tightened(chosen, evidence))


def formula_ladder(evidence: Evidence, allowed: float) -> list[Thresholds]:
    """The published formula for the entropy score, at falling bases.

    Images leave where 1 − H/ln K > α_t = base + (1 − base)·exp(m_min − m_t), with m_t the mean
    H/ln K after step t of the images that are right then, and m_min its minimum over all steps but
    the last; nobody leaves where no image is right. Source: Wang et al., AAAI 2025, as their code
    has it.
    """
    right = evidence.right[:-1]
    number = right.sum(axis=1)
    entropies = np.where(right, np.exp(-evidence.scores), 0).sum(axis=1)
    means = entropies / np.maximum(number, 1)
    known = number > 0
    lowest = means[known].min() if known.any() else 0.0
    with np.errstate(divide="ignore"):  # α = 1 at the step of the lowest mean
        rows = _BASES[:, None] - np.log(-np.expm1(np.minimum(lowest - means, 0)))
    rows = np.where(known & np.isfinite(rows), rows, NEVER)
    too_loose = [_loses(evidence, row) > allowed for row in rows]
    return _distinct(rows[: too_loose.index(True)] if True in too_loose else rows)


def _loses(evidence: Evidence, row: Array) -> float:
    return evidence.lost(evidence.exits(tuple(row.tolist()))) / evidence.images


def _distinct(rows: Array) -> list[Thresholds]:
    return list(dict.fromkeys(tuple(row.tolist()) for row in rows))


def _tightened(row: Array, evidence: Evidence) -> Array:
    """Thresholds by factor f, (factors, T − 1): α + (f − 1)·max(α, lowest tenth of the scores).

    Without that tenth a threshold near 0 would stay there.
    """
    tenth = np.quantile(evidence.scores, 0.1, axis=1, method="lower")
    tight: Array = row + (_FACTORS[:, None] - 1) * np.maximum(row, tenth)
    tight = np.minimum(tight, NEVER)
    return np.ceil(tight).astype(np.int64) if row.dtype.kind == "i" else tight


def _priced(evidence: Evidence) -> Array:
    """Thresholds at falling prices of a lost image, (prices, T − 1).

    From a price at which one lost image costs more than all steps of all images, down to half a
    step.
    """
    steps, images = evidence.scores.shape
    octaves = np.log2(2 * images * (steps + 1))
    prices = 0.5 * 2.0 ** np.linspace(octaves, 0, int(_PRICES_PER_OCTAVE * octaves) + 2)
    return _Descent(evidence, prices).run()


class _Span:
    """Steps that share a threshold.

    Args:
        evidence: Of the images to choose on.
        first: Its first step, counted from 0.
        end: The step behind its last one.

    Attributes:
        first: As given.
        end: As given.
        grid: Thresholds to choose from, from loose to tight.
        steps: The step after which each image would leave, counted from 1, (grid, images); 0 if
            it would stay.
        lost: Whether it would be lost by that, bool (grid, images).
    """

    def __init__(self, evidence: Evidence, first: int, end: int) -> None:
        self.first, self.end = first, end
        scores = evidence.scores[first:end]
        tried = np.quantile(scores, np.linspace(0, 1, _GRID), method="lower")
        self.grid: Array = np.unique(np.append(tried, [0, NEVER]).astype(scores.dtype))
        clear = scores > self.grid[:, None, None]
        at = clear.argmax(axis=1) + first
        self.steps: Int64 = np.where(clear.any(axis=1), at + 1, 0)
        right = evidence.right[at, np.arange(evidence.images)]
        self.lost: Array = (self.steps > 0) & evidence.right[-1] & ~right


class _Descent:
    """Coordinate descent for many prices at once.

    Args:
        evidence: Of the images to choose on.
        prices: Of one lost image, in steps.
    """

    def __init__(self, evidence: Evidence, prices: Float64) -> None:
        self._prices, self._images = prices, evidence.images
        self._timesteps = len(evidence.right)
        number = min(_SPANS, self._timesteps - 1)
        edges = np.rint(np.linspace(0, self._timesteps - 1, number + 1)).astype(int).tolist()
        self._spans = [_Span(evidence, a, b) for a, b in pairwise(edges)]
        tightest = [len(span.grid) - 1 for span in self._spans]
        self._chosen: Int64 = np.tile(np.array(tightest), (len(prices), 1))

    def run(self) -> Array:
        """The thresholds when no span can be improved any more, (prices, T − 1)."""
        for _ in range(_SWEEPS):
            before = self._chosen.copy()
            self._sweep()
            if np.array_equal(before, self._chosen):
                break
        spans = zip(self._spans, self._chosen.T, strict=True)
        columns = [np.repeat(s.grid[c][:, None], s.end - s.first, axis=1) for s, c in spans]
        return np.concatenate(columns, axis=1)

    def _sweep(self) -> None:
        """Every span once, the last one first, so that what comes after a span is settled."""
        arrives = self._arrivals()
        later = np.full((len(self._prices), self._images), float(self._timesteps))
        for index in range(len(self._spans) - 1, -1, -1):
            span = self._spans[index]
            leaving = span.steps + self._prices[:, None, None] * span.lost
            cost = np.where(span.steps > 0, leaving, later[:, None, :])
            total = (cost * arrives[index][:, None, :]).sum(axis=2)
            # Of equals the last: the tightest.
            best = total.shape[1] - 1 - np.argmin(total[:, ::-1], axis=1)
            self._chosen[:, index] = best
            later = cost[np.arange(len(best)), best]

    def _arrivals(self) -> list[Array]:
        """Whether images are still there when a span begins, bool (prices, images) for each."""
        gone = np.zeros((len(self._prices), self._images), bool)
        arrives = []
        for span, chosen in zip(self._spans, self._chosen.T, strict=True):
            arrives.append(~gone)
            gone = gone | (span.steps[chosen] > 0)
        return arrives
