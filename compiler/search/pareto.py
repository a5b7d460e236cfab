"""The best choice per layer where costs and losses add up over layers: a Pareto programme.

Layer by layer, the sums that can be had are kept as a frontier: no kept sum costs as much as
another and loses as much. Source: paper 2 (AAAI 2025), Pareto frontier search. The frontier is
bounded here: of the sums whose costs share one of 4096 bins of width w, the one with the lowest
loss stays, and *true* costs are compared with the budget. An answer is therefore always within
the budget, and no worse than the optimum at budget − L·w for L layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Float64, Int64

_BINS = 4096


@dataclass(frozen=True)
class Offer:
    """One choice of one layer.

    Attributes:
        cost: What is bounded; any sign.
        loss: What should be small; any sign.
    """

    cost: float
    loss: float


@dataclass(frozen=True, eq=False)
class Front:
    """The sums that can be had, costs ascending, losses descending.

    Attributes:
        costs: (sums,).
        losses: (sums,).
        picks: Which offer of each layer makes up each sum, (sums, layers).
        names: The layers, in the order of ``picks``.
    """

    costs: Float64
    losses: Float64
    picks: Int64
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.costs)

    def picked(self, at: int) -> dict[str, int]:
        """The offer of every layer by name, for the sum at a position."""
        return dict(zip(self.names, map(int, self.picks[at]), strict=True))


def least_cost(offers: Mapping[str, Sequence[Offer]]) -> float:
    """The smallest sum of costs; a budget below it cannot be kept."""
    return float(sum(min(offer.cost for offer in layer) for layer in offers.values()))


def pareto_front(offers: Mapping[str, Sequence[Offer]], budget: float, bins: int = _BINS) -> Front:
    """All sums worth having whose cost is within a budget, about one per bin.

    Args:
        offers: What each layer can choose from, by name; at least one each.
        budget: Bound on the sum of costs, inclusive.
        bins: Bound on the number of sums that are kept.

    Returns:
        Empty if nothing fits. Its last sum has the smallest loss.
    """
    names = tuple(offers)
    lowest = [min(offer.cost for offer in offers[name]) for name in names]
    highest = [max(offer.cost for offer in offers[name]) for name in names]
    rest = [*np.cumsum(lowest[::-1])[::-1], 0.0]
    width = (min(budget, sum(highest)) - sum(lowest)) / bins
    front = Front(np.zeros(1), np.zeros(1), np.zeros((1, 0), np.int64), names)
    for at, name in enumerate(names):
        front = _extended(front, offers[name], budget - rest[at + 1])
        # Bins lie on what is spent beyond the least, so that they mean the same in every layer.
        front = _thinned(front, sum(lowest[: at + 1]), width)
    return front


def _extended(front: Front, offers: Sequence[Offer], budget: float) -> Front:
    """Every sum with every offer, as far as the rest of the budget allows."""
    costs = np.add.outer(front.costs, [offer.cost for offer in offers])
    losses = np.add.outer(front.losses, [offer.loss for offer in offers])
    slack = 1e-12 * max(abs(budget), float(np.abs(costs).max(initial=0.0)))
    base, pick = np.nonzero(costs <= budget + slack)
    picks = np.concatenate([front.picks[base], pick[:, None]], axis=1)
    return Front(costs[base, pick], losses[base, pick], picks, front.names)


def _thinned(front: Front, least: float, width: float) -> Front:
    """Without sums that another one beats, and one per bin: the lowest loss, then cost."""
    order = np.lexsort((front.losses, front.costs))
    losses = front.losses[order]
    best = np.minimum.accumulate(np.append(np.inf, losses))[:-1]
    order = order[losses < best]
    if width > 0 and len(order):
        bins = np.floor((front.costs[order] - least) / width)
        order = order[np.append(bins[1:] != bins[:-1], True)]  # losses fall: the last one is lowest
    return Front(front.costs[order], front.losses[order], front.picks[order], front.names)
