"""ExitRule: when the answer for an image is clear enough to stop before the last step.

After step t the read-out holds v_t, the sum of the logits of t steps in integers. A score of v_t
says how clear the answer is; an image leaves at the first step t < T whose score lies above the
threshold α_t, else at T. The margin is the difference of two accumulators: a chip that sums logits
can compute it. Confidence and entropy need exponentials of real numbers; they are compared as
logarithms of the doubt that is left, since after some steps most probabilities are rounded to 1.

Source: Wang et al., AAAI 2025 (input-aware adaptive time steps), for confidence and entropy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.errors import ProgramError, Where
from spikec.compiler.populations import Readout, Shape

NEVER = 2**62
"""No score exceeds it: as a threshold it lets no image leave."""


class ExitScore(StrEnum):
    """What is compared with a threshold, of the potentials v of K classes."""

    MARGIN = "margin"
    """Largest v minus second largest v, an integer."""
    CONFIDENCE = "confidence"
    """−ln(1 − p), with p the largest probability of softmax(v·scale)."""
    ENTROPY = "entropy"
    """−ln(H/ln K), with H the entropy of softmax(v·scale): 1 − H/ln K is the certainty."""


@dataclass(frozen=True)
class ExitRule:
    """A score and what it has to exceed after each step but the last.

    Attributes:
        score: What is compared.
        thresholds: α_1 … α_(T−1), from 0 to NEVER, for a margin whole numbers.

    Raises:
        ProgramError: An unknown score, or thresholds of another type or range.
    """

    score: ExitScore
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.score not in tuple(ExitScore):
            problem = f"the score of the exit rule is {self.score!r}"
            raise ProgramError(f"{problem}, not one of {', '.join(ExitScore)}")
        object.__setattr__(self, "score", ExitScore(self.score))
        if not isinstance(self.thresholds, tuple | list):
            raise ProgramError(f"the exit thresholds are {self.thresholds!r}, not a sequence")
        object.__setattr__(self, "thresholds", tuple(map(self._checked, self.thresholds)))

    def _checked(self, threshold: float) -> float:
        whole = self.score is ExitScore.MARGIN
        kind = "whole numbers" if whole else "numbers"
        number = isinstance(threshold, int if whole else int | float)
        if not number or isinstance(threshold, bool) or not 0 <= threshold <= NEVER:
            problem = f"an exit threshold is {threshold!r}; for the score {self.score} they are"
            raise ProgramError(f"{problem} {kind} from 0 to {NEVER}")
        return threshold if whole else float(threshold)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps at which images may leave, counted from 1, the last one aside."""
        return tuple(t for t, alpha in enumerate(self.thresholds, 1) if alpha < NEVER)

    def exits(self, potentials: Int64, scale: float, done: int = 0) -> Int64:
        """The step after which each image leaves, int64 (images,); one step more if none is clear.

        Args:
            potentials: v of the read-out after steps ``done`` + 1, ``done`` + 2, …, the last of
                them T − 1 or earlier, (images, steps, classes).
            scale: Of the read-out.
            done: Steps before them.
        """
        scores = exit_scores(self.score, potentials, scale).T
        thresholds = np.asarray(self.thresholds, scores.dtype)[done : done + len(scores)]
        return done + first_exits(scores, thresholds)


def first_exits(scores: Array, thresholds: Array) -> Int64:
    """The first step whose score exceeds its threshold, else one step more, int64 (images,).

    Args:
        scores: After steps 1, 2, …, (steps, images).
        thresholds: Of these steps, (steps,).
    """
    clear = scores > thresholds[:, None]
    last = np.ones((1, scores.shape[1]), bool)
    first: Int64 = np.argmax(np.concatenate([clear, last]), axis=0).astype(np.int64) + 1
    return first


def exit_scores(score: ExitScore, potentials: Int64, scale: float) -> Array:
    """Scores of read-out potentials: int64 for the margin, else float64.

    Args:
        score: Which.
        potentials: Sums of logits, (…, classes).
        scale: Real value of one unit.

    Returns:
        The shape of ``potentials`` without the last axis.
    """
    ordered = np.sort(potentials, axis=-1)
    if score is ExitScore.MARGIN:
        margin: Int64 = ordered[..., -1] - ordered[..., -2]
        return margin
    # Differences to the largest potential; the second largest is taken out of every sum, so that
    # nothing is lost where the exponentials are too small for a float.
    others = (ordered[..., :-1] - ordered[..., -1:]) * scale
    second = others[..., -1]
    weights = np.exp(np.ascontiguousarray(others - second[..., None]))
    sums = weights.sum(axis=-1)
    rest = sums * np.exp(second)
    total = 1 + rest
    if score is ExitScore.CONFIDENCE:
        confidence: Float64 = np.log1p(rest) - second - np.log(sums)
        return confidence
    surprise = sums * np.divide(np.log1p(rest), rest, out=np.ones_like(rest), where=rest > 0)
    entropy = second + np.log(surprise - (weights * others).sum(axis=-1) / total)
    certainty: Float64 = np.maximum(math.log(math.log(potentials.shape[-1])) - entropy, 0)
    return certainty


def number_of_scores(shape: Shape) -> int | None:
    """K of an output with one axis longer than 1, the class axis; None for any other output."""
    longer = [length for length in shape if length > 1]
    return longer[0] if len(longer) == 1 else None


def check_exit_rule(rule: ExitRule | None, readout: Readout, timesteps: int) -> None:
    """ProgramError unless a rule, if there is one, fits the read-out and the time steps."""
    if rule is None:
        return
    where = Where(readout.name)
    if not isinstance(rule, ExitRule):
        raise ProgramError(f"the exit rule is {rule!r}, no ExitRule", where)
    if number_of_scores(readout.shape) is None:
        problem = f"the output has shape {readout.shape}; an exit rule needs one score for each"
        raise ProgramError(f"{problem} of two or more classes", where)
    if readout.scale.size != 1:
        problem = f"{readout.scale.size} scales: an exit rule compares classes, which need one"
        raise ProgramError(problem, where)
    if len(rule.thresholds) != timesteps - 1:
        problem = f"{len(rule.thresholds)} exit thresholds for T = {timesteps}, one is needed for"
        raise ProgramError(f"{problem} each step but the last", where)
