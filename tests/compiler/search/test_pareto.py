from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.search.pareto import Offer, least_cost, pareto_front

Offers = dict[str, list[Offer]]

LAYERS = st.lists(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=4),
    min_size=1,
    max_size=5,
)


def offers_of(layers: list[list[tuple[float, float]]]) -> Offers:
    return {f"layer{i}": [Offer(*pair) for pair in layer] for i, layer in enumerate(layers)}


def all_sums(offers: Offers) -> list[tuple[float, float]]:
    return [
        (sum(o.cost for o in picks), sum(o.loss for o in picks))
        for picks in product(*offers.values())
    ]


@settings(deadline=None, derandomize=True)
@given(LAYERS, st.floats(0, 1))
def test_with_a_bin_per_sum_the_answer_is_the_optimum(
    layers: list[list[tuple[float, float]]], share: float
) -> None:
    offers = offers_of(layers)
    sums = all_sums(offers)
    low, high = min(c for c, _ in sums), max(c for c, _ in sums)
    budget = low + share * (high - low) + 1e-9
    front = pareto_front(offers, budget, bins=2**40)
    best = min(loss for cost, loss in sums if cost <= budget)
    assert front.losses[-1] == pytest.approx(best, abs=1e-6)


@settings(deadline=None, derandomize=True)
@given(LAYERS, st.floats(0, 1), st.integers(1, 8))
def test_with_few_bins_it_is_within_budget_and_no_worse_than_the_optimum_of_a_smaller_one(
    layers: list[list[tuple[float, float]]], share: float, bins: int
) -> None:
    offers = offers_of(layers)
    sums = all_sums(offers)
    low, high = min(c for c, _ in sums), max(c for c, _ in sums)
    budget = low + share * (high - low) + 1e-9
    front = pareto_front(offers, budget, bins=bins)
    assert front.costs[-1] <= budget + 1e-9
    width = (min(budget, high) - low) / bins
    smaller = [loss for cost, loss in sums if cost <= budget - len(offers) * width - 1e-9]
    assert all(front.losses[-1] <= loss + 1e-9 for loss in smaller)


@settings(deadline=None, derandomize=True)
@given(LAYERS)
def test_sums_are_those_of_the_picks_and_ordered(layers: list[list[tuple[float, float]]]) -> None:
    offers = offers_of(layers)
    front = pareto_front(offers, np.inf)
    for at in range(len(front)):
        picked = [offers[name][pick] for name, pick in front.picked(at).items()]
        assert front.costs[at] == pytest.approx(sum(o.cost for o in picked), abs=1e-9)
        assert front.losses[at] == pytest.approx(sum(o.loss for o in picked), abs=1e-9)
    assert (np.diff(front.costs) > 0).all()
    assert (np.diff(front.losses) < 0).all()


def test_a_budget_below_the_least_cost_leaves_nothing() -> None:
    offers = {"a": [Offer(1, 5), Offer(2, 0)], "b": [Offer(3, 0)]}
    assert least_cost(offers) == 4
    assert len(pareto_front(offers, 3.9)) == 0
    assert pareto_front(offers, 4).picked(0) == {"a": 0, "b": 0}


def test_the_frontier_is_bounded_by_its_bins() -> None:
    random = np.random.default_rng(0)
    offers = {
        str(layer): [Offer(c, -c + 0.01 * e) for c, e in random.random((10, 2))]
        for layer in range(30)
    }
    front = pareto_front(offers, np.inf, bins=256)
    assert 100 < len(front) <= 257
