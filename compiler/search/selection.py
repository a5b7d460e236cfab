"""From trials to an assignment: what each layer offers, and the budgets that bound the sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spikec.compiler.errors import OptionError
from spikec.compiler.search.bench import Trial
from spikec.compiler.search.choices import Choice, Mode
from spikec.compiler.search.pareto import Front, Offer, least_cost, pareto_front

Trials = Mapping[str, Mapping[Choice, Trial]]
"""Every trial by layer; all layers but one are as in the base."""

_PROBED = 64
"""Sums of a front among which the cheapest good enough one is looked for: 6 runs."""
_NEGLIGIBLE = 1e-3
"""A difference below this share of the base's loss is a tie as well."""


@dataclass(frozen=True)
class Sum:
    """What a choice of every layer adds up to.

    Attributes:
        choices: By layer.
        energy: Predicted, J per image.
        loss: Predicted, mean divergence per image.
    """

    choices: Mapping[str, Choice]
    energy: float
    loss: float


class Catalogue:
    """The choices of every layer that are worth having.

    A choice is dropped if a cheaper one loses no more, or more by no more than the standard error
    of the difference: that is a tie, and the cheaper choice wins.
    """

    def __init__(
        self, trials: Trials, base: Trial, bases: Mapping[str, Trial] | None = None
    ) -> None:
        """A catalogue.

        Args:
            trials: By layer and choice; those of one layer on the same images.
            base: The program that all trials differ from in one layer.
            bases: The same on the images of a layer's trials, where those are not all.
        """
        self._base, self._bases = base, bases or {}
        self._trials = {name: self._kept(found) for name, found in trials.items()}

    def _kept(self, found: Mapping[Choice, Trial]) -> dict[Choice, Trial]:
        kept: list[tuple[Choice, Trial]] = []
        for choice, trial in sorted(found.items(), key=lambda each: (each[1].energy, each[0])):
            if kept:
                excess, error = kept[-1][1].excess(trial)
                if not excess > max(error, _NEGLIGIBLE * self._base.loss):
                    continue
            kept.append((choice, trial))
        return dict(kept)

    def within_energy(self, budget: float, subject: str) -> Sum:
        """The sum with the smallest loss whose energy is within a budget in J per image.

        Raises:
            OptionError: There is none; says the least energy, the budget and the shortfall.
        """
        offers = self._offers(Offer)
        left = budget - self._base.energy
        front = pareto_front(offers, left)
        if not len(front):
            least = least_cost(offers) + self._base.energy
            raise _beyond(subject, _joules(budget), _joules(least), _joules(least - budget))
        return self._sum(front, len(front) - 1)

    def within_loss(self, ratio: float, subject: str) -> Sum:
        """The sum with the least energy whose Σ S over layers is at most ratio · Σ S of the base.

        From 1 on every ratio can be kept: choices that tie with the base stand for it, though they
        may lose a little more. Source: paper 2 (AAAI 2025), sensitivity spike compression.

        Raises:
            OptionError: There is none; says the least loss, the budget and the shortfall.
        """
        offers = self._offers(lambda energy, loss: Offer(self._base.loss + loss, energy))
        budget, least = ratio * self._base.loss * len(offers), least_cost(offers)
        front = pareto_front(offers, max(budget, least) if ratio >= 1 else budget)
        if not len(front):
            raise _beyond(subject, f"{budget:.4g}", f"{least:.4g}", f"{least - budget:.4g}")
        return self._sum(front, len(front) - 1)

    def ladder(self) -> tuple[Sum, ...]:
        """Sums from the cheapest to the one with the smallest loss, evenly over the energy."""
        offers = self._offers(Offer)
        front = pareto_front(offers, np.inf)
        goals = np.linspace(front.costs[0], front.costs[-1], _PROBED)
        steps = np.unique(np.searchsorted(front.costs, goals, side="right") - 1)
        return tuple(self._sum(front, int(at)) for at in steps)

    def _offers(self, offer: Callable[[float, float], Offer]) -> dict[str, list[Offer]]:
        return {
            name: [offer(*self._excess(name, trial)) for trial in kept.values()]
            for name, kept in self._trials.items()
        }

    def _excess(self, name: str, trial: Trial) -> tuple[float, float]:
        """By how much a trial of a layer exceeds the base in energy and in loss."""
        base = self._bases.get(name, self._base)
        return trial.energy - base.energy, trial.loss - base.loss

    def _sum(self, front: Front, at: int) -> Sum:
        picked = {name: list(self._trials[name])[pick] for name, pick in front.picked(at).items()}
        found = [self._excess(name, self._trials[name][choice]) for name, choice in picked.items()]
        return Sum(
            picked,
            self._base.energy + sum(energy for energy, _ in found),
            self._base.loss + sum(loss for _, loss in found),
        )


def with_few_windows(trials: Trials, most: int) -> dict[str, dict[Choice, Trial]]:
    """The trials, windows left out but in so many layers: where they lower the loss most."""

    def gain(found: Mapping[Choice, Trial]) -> float:
        windows = [trial.loss for choice, trial in found.items() if choice.mode is Mode.WINDOWED]
        others = [t.loss for choice, t in found.items() if choice.mode is not Mode.WINDOWED]
        return min(others) - min(windows) if windows and others else -np.inf

    ranked = sorted(trials, key=lambda name: -gain(trials[name]))
    allowed = set(ranked[: max(0, most)])
    return {
        name: {c: t for c, t in found.items() if name in allowed or c.mode is not Mode.WINDOWED}
        for name, found in trials.items()
    }


def first_accepted(count: int, accepts: Callable[[int], bool]) -> int | None:
    """The first of so many positions that is accepted, by bisection; None if the last is not.

    Those behind an accepted one are taken for accepted: they are dearer and lose less.
    """
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if accepts(middle):
            high = middle
        else:
            low = middle + 1
    return high if high < count else None


def _joules(value: float) -> str:
    return f"{value * 1e6:.4g} µJ"


def _beyond(subject: str, budget: str, least: str, short: str) -> OptionError:
    return OptionError(
        f"{subject} of {budget} cannot be kept: the least that can be had is {least}, {short} more",
        hint="raise the budget, or allow more choices",
    )
