from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_programs import SCORES, tiny_program, with_population

from spikec.compiler.errors import ProgramError
from spikec.compiler.exit_rule import NEVER, ExitRule, ExitScore, exit_scores
from spikec.compiler.program_file import load

SCALE = 0.01
POTENTIALS = np.random.default_rng(0).integers(-900, 900, (40, 5, 4))
RULE = ExitRule(ExitScore.MARGIN, (NEVER, 40, 0))


def by_hand(score: str, row: list[int]) -> float:
    """The score of one image, with Python's own numbers."""
    if score == "margin":
        second, first = sorted(row)[-2:]
        return first - second
    weights = [math.exp(v * SCALE) for v in row]
    shares = [weight / sum(weights) for weight in weights]
    if score == "confidence":
        return -math.log(1 - max(shares))
    return -math.log(-sum(p * math.log(p) for p in shares) / math.log(len(row)))


@pytest.mark.parametrize("score", list(ExitScore))
def test_scores_are_those_of_plain_python(score: ExitScore) -> None:
    found = exit_scores(score, POTENTIALS, SCALE)
    expected = [[by_hand(score, row.tolist()) for row in image] for image in POTENTIALS]
    if score is ExitScore.MARGIN:
        assert found.tolist() == expected
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_probability_near_one_still_has_an_order() -> None:
    clear = np.array([[0, 5000, 9000], [0, 5000, 9001], [0, 5000, 10**8]])
    for score in (ExitScore.CONFIDENCE, ExitScore.ENTROPY):
        first, second, third = exit_scores(score, clear, SCALE)
        assert first < second < third < NEVER
    # 1 − p is e⁻⁴⁰ and a share of e⁻⁵⁰ of that.
    assert exit_scores(ExitScore.CONFIDENCE, clear[:1], SCALE)[0] == pytest.approx(40)
    assert exit_scores(ExitScore.ENTROPY, np.zeros((1, 4), np.int64), SCALE)[0] == 0


@pytest.mark.parametrize("score", list(ExitScore))
def test_a_score_does_not_depend_on_the_images_beside_it(score: ExitScore) -> None:
    whole = exit_scores(score, POTENTIALS, SCALE)
    single = [[exit_scores(score, v[None], SCALE)[0] for v in image] for image in POTENTIALS]
    assert np.array_equal(whole, np.array(single))


@pytest.mark.parametrize("score", list(ExitScore))
def test_an_image_leaves_at_the_first_step_above_the_threshold(score: ExitScore) -> None:
    margin = score is ExitScore.MARGIN
    alphas = (700, 600, NEVER, 400) if margin else (7.0, 5.0, NEVER, 2.5)
    rule = ExitRule(score, alphas)
    expected = []
    for image in POTENTIALS:
        scores = [by_hand(score, row.tolist()) for row in image]
        above = [t for t, alpha in enumerate(alphas, 1) if scores[t - 1] > alpha]
        expected.append(above[0] if above else 5)
    assert {*expected} == {1, 2, 4, 5}
    assert rule.exits(POTENTIALS[:, :4], SCALE).tolist() == expected
    early = rule.exits(POTENTIALS[:, :1], SCALE)
    late = rule.exits(POTENTIALS[:, 1:4], SCALE, done=1)
    assert np.where(early == 1, early, late).tolist() == expected
    assert (rule.exits(POTENTIALS[:, :0], SCALE, done=3) == 4).all()
    assert rule.steps == (1, 2, 4)


@pytest.mark.parametrize(
    ("score", "thresholds"),
    [
        ("margin", (1.5,)), ("margin", (-1,)), ("margin", (2**62 + 1,)), ("margin", (True,)),
        ("confidence", (1e19,)), ("entropy", (float("nan"),)), ("entropy", (-0.1,)),
        ("entropy", ("a",)), ("certainty", (0.5,)), ("margin", 3),
    ],
)  # fmt: skip
def test_thresholds_that_no_score_can_meet_are_refused(score: Any, thresholds: Any) -> None:
    with pytest.raises(ProgramError):
        ExitRule(score, thresholds)


def test_a_rule_has_to_fit_the_program() -> None:
    assert tiny_program(exit_rule=RULE).exit_rule == RULE
    with pytest.raises(ProgramError, match="2 exit thresholds for T = 4"):
        tiny_program(exit_rule=ExitRule(ExitScore.MARGIN, (1, 2)))
    populations = with_population("scores", scale=np.ones(3)).populations
    with pytest.raises(ProgramError, match="3 scales") as caught:
        tiny_program(populations=populations, exit_rule=RULE)
    assert caught.value.where.node == "scores"
    unknown: Any = "margin"
    with pytest.raises(ProgramError, match="no ExitRule"):
        tiny_program(exit_rule=unknown)


@pytest.mark.parametrize("shape", [(1,), (3, 4), (1, 1)])
def test_a_rule_needs_one_class_axis(shape: tuple[int, ...]) -> None:
    program = tiny_program()
    ones = [1] * len(shape)
    readout = replace(SCORES, shape=shape, bias=np.zeros(ones, int), scale=np.ones(ones))
    rule = ExitRule(ExitScore.ENTROPY, (0.5,) * 3)
    with pytest.raises(ProgramError):
        replace(program, populations=(*program.populations[:-1], readout), exit_rule=rule)


def test_a_program_without_a_rule_keeps_its_digest() -> None:
    # Taken before there were exit rules.
    known = "52173c03e07b15be953e2bce5f290ac6b4a716377e351173cdbf22fcb45ffb27"
    assert tiny_program().digest == known
    assert tiny_program(exit_rule=RULE).digest != known


@pytest.mark.parametrize("rule", [RULE, ExitRule(ExitScore.CONFIDENCE, (0.1, 40.5, NEVER))])
def test_a_saved_rule_comes_back_and_counts_in_the_digest(rule: ExitRule, tmp_path: Path) -> None:
    program = tiny_program(exit_rule=rule)
    program.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.exit_rule == rule
    assert again.digest == program.digest
    again.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    other = ExitRule(rule.score, (0, *rule.thresholds[1:]))
    assert tiny_program(exit_rule=other).digest != program.digest
