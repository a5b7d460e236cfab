from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from spikec.compiler.exit_ladder import Evidence, formula_ladder, ladder
from spikec.compiler.exit_rule import NEVER


def evidence(images: int, timesteps: int, seed: int = 0) -> Evidence:
    """Margins that grow in time, and classes that are the surer the larger the margin."""
    random = np.random.default_rng(seed)
    scores = np.cumsum(random.integers(0, 40, (timesteps - 1, images)), axis=0)
    sure = random.random((timesteps, images)) < 0.5 + scores[[*range(timesteps - 1), -1]] / 60
    return Evidence(scores, sure)


def spent(known: Evidence, thresholds: tuple[float, ...]) -> tuple[int, int]:
    """Sum of all exit steps and number of images lost, image by image."""
    timesteps, images = known.right.shape
    steps = lost = 0
    for i in range(images):
        above = [t for t in range(timesteps - 1) if known.scores[t, i] > thresholds[t]]
        t = above[0] if above else timesteps - 1
        steps += t + 1
        lost += bool(known.right[-1, i] and not known.right[t, i])
    return steps, lost


def test_evidence_counts_as_a_plain_loop_does() -> None:
    known = evidence(30, 5)
    for thresholds in ((5, 20, 30, 50), (0, 0, 0, 0), (NEVER,) * 4):
        exits = known.exits(thresholds)
        assert (int(exits.sum()), known.lost(exits)) == spent(known, thresholds)


@pytest.mark.parametrize("seed", range(6))
def test_one_threshold_that_loses_nobody_is_the_best_there_is(seed: int) -> None:
    known = evidence(12, 2, seed)
    found = ladder(known, 0.0)[-1]
    every = [spent(known, (alpha,)) for alpha in (*range(41), NEVER)]
    assert spent(known, found) == (min(steps for steps, lost in every if not lost), 0)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_threshold_of_a_single_step_is_better(seed: int) -> None:
    known = evidence(25, 4, seed)
    found = ladder(known, 0.0)[-1]
    steps, lost = spent(known, found)
    assert lost == 0
    assert steps < 25 * 4
    for step, alpha in itertools.product(range(3), (*range(121), NEVER)):
        changed = (*found[:step], alpha, *found[step + 1 :])
        others, gone = spent(known, changed)
        assert gone or others >= steps


@pytest.mark.parametrize("unit", [1, 0.037])
def test_candidates_run_from_tight_to_loose_and_lose_no_more_than_allowed(unit: float) -> None:
    known = evidence(60, 6, 3)
    known = Evidence(known.scores * unit, known.right)
    rows = ladder(known, 0.1)
    assert len(rows) > 5
    steps = [spent(known, row)[0] for row in rows]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > steps[-1]
    assert spent(known, rows[-1])[1] <= 6
    assert spent(known, rows[-1])[0] < spent(known, ladder(known, 0.0)[-1])[0]


def test_images_that_are_always_right_all_leave_at_once() -> None:
    known = evidence(20, 4)
    known = Evidence(known.scores + 1, np.ones((4, 20), bool))
    assert (known.exits(ladder(known, 0.0)[-1]) == 1).all()


def test_a_score_of_zero_is_no_answer() -> None:
    known = Evidence(np.zeros((3, 8), np.int64), np.ones((4, 8), bool))
    assert (known.exits(ladder(known, 0.5)[-1]) == 4).all()


def test_the_published_formula_is_that_of_the_paper() -> None:
    known = evidence(40, 5, 7)
    certainty = 1 - np.exp(-known.scores / 50)
    rows = formula_ladder(Evidence(known.scores / 50, known.right), 1.0)
    means = []
    for t in range(4):
        right = [i for i in range(40) if known.right[t, i]]
        means.append(sum(1 - certainty[t, i] for i in right) / len(right))
    # 1 − base rises to 1, four to a decade.
    for base, row in ((1 - 1e-3, rows[-13]), (0.9, rows[-5]), (0.0, rows[-1])):
        alphas = [base + (1 - base) * math.exp(min(means) - m) for m in means]
        assert row.index(NEVER) == alphas.index(max(alphas)) == means.index(min(means))
        found = [1 - math.exp(-threshold) for threshold in row]
        assert found == pytest.approx(alphas, rel=1e-12)


def test_the_formula_lets_nobody_leave_where_nobody_is_right() -> None:
    right = np.ones((3, 10), bool)
    right[0] = False
    known = Evidence(np.full((2, 10), 2.5), right)
    assert formula_ladder(known, 1.0)[-1][0] == NEVER


def test_three_spans_of_time_have_one_threshold_each() -> None:
    row = ladder(evidence(80, 11, 5), 0.05)[-1]
    assert len(row) == 10
    spans = [{*row[:3]}, {*row[3:7]}, {*row[7:]}]
    assert [len(span) for span in spans] == [1, 1, 1]
    assert len(set.union(*spans)) > 1
