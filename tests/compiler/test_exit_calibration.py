from __future__ import annotations

import json
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
import pytest
from graphs import Sketch
from onnx_models import small_cnn

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.ann import Ann, run_model
from spikec.compiler.encoding import input_integers
from spikec.compiler.errors import CalibrationError, OptionError
from spikec.compiler.exit_calibration import ExitCalibration, upper_bound
from spikec.compiler.exit_rule import NEVER, ExitRule, ExitScore
from spikec.compiler.frontend.load import Loaded, load_graph
from spikec.compiler.options import EXIT_RULES, CompileOptions
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.report import Compiled

IMAGES = np.random.default_rng(0).normal(0, 1, (120, 2, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_graph(small_cnn())


def compiled(
    loaded: Loaded, images: int = 120, labels: np.ndarray | None = None, **options: Any
) -> Compiled:
    chosen = CompileOptions(**{"timesteps": 6, "phi": 1, "exit_loss": 10.0} | options)
    return compile_graph(loaded, IMAGES[:images], chosen, SimulatorBackend(1), labels=labels)


def facts(result: Compiled) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.program.provenance["exits"])
    return found


@pytest.mark.parametrize(("lost", "judged"), [(0, 1), (0, 300), (1, 20), (7, 50), (49, 50)])
def test_the_bound_is_where_so_few_lost_images_become_rare(lost: int, judged: int) -> None:
    share = Fraction(upper_bound(lost, judged))
    ways = [comb(judged, k) * share**k * (1 - share) ** (judged - k) for k in range(lost + 1)]
    assert float(sum(ways)) == pytest.approx(0.05, rel=1e-6)


def test_the_bound_of_no_lost_image_is_three_in_n() -> None:
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert upper_bound(0, 299) <= 0.01 < upper_bound(0, 298)
    assert upper_bound(5, 5) == 1


@pytest.mark.parametrize("rule", EXIT_RULES)
def test_a_program_gets_the_rule_that_was_asked_for(loaded: Loaded, rule: str) -> None:
    result = compiled(loaded, exit_rule=rule, exit_proven=True)
    found = result.program.exit_rule
    assert found is not None
    assert found.score == ("entropy" if rule == "iat" else rule)
    assert len(found.thresholds) == 5
    assert facts(result)["proven"]
    assert facts(result)["mean_timesteps"] < 6
    assert not result.warnings


def test_without_a_loss_there_is_no_rule_and_the_digest_is_that_of_ever(loaded: Loaded) -> None:
    program = compiled(loaded, exit_loss=None).program
    assert program.exit_rule is None
    assert "exits" not in program.provenance


def test_the_reference_tells_the_same_story_of_the_judging_images(loaded: Loaded) -> None:
    result = compiled(loaded, exit_loss=12.0, exit_proven=True)
    program = result.program
    assert program.exit_rule is not None
    drawn = IMAGES[np.random.default_rng(0).permutation(120)]
    judging = drawn[np.random.default_rng(0).permutation(120)[60:]]
    readout = ReferenceBackend().run(program, input_integers(program.input, judging)).readout
    classes = run_model(small_cnn(), judging).argmax(axis=1)
    left, lost = [0] * 6, 0
    for v, right in zip(readout, classes, strict=True):
        margins = [int(np.sort(row)[-1] - np.sort(row)[-2]) for row in v]
        t = next((t for t in range(5) if margins[t] > program.exit_rule.thresholds[t]), 5)
        left[t] += 1
        lost += bool(v[5].argmax() == right != v[t].argmax())
    assert facts(result)["histogram"] == left
    assert facts(result)["lost_images"] == lost
    assert facts(result)["loss_bound_95"] <= 12.0
    assert facts(result)["right_by"] == "the ANN"


def test_a_larger_loss_lets_images_leave_earlier(loaded: Loaded) -> None:
    means = [facts(compiled(loaded, exit_loss=x))["mean_timesteps"] for x in (1.0, 4.0, 40.0)]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[-1]


def test_labels_say_which_images_are_lost(loaded: Loaded) -> None:
    drawn = np.random.default_rng(0).permutation(120)
    classes = run_model(small_cnn(), IMAGES).argmax(axis=1)
    by_ann, by_labels = compiled(loaded), compiled(loaded, labels=classes[drawn])
    assert by_ann.program.digest == by_labels.program.digest
    assert facts(by_labels)["right_by"] == "labels"
    wrong = compiled(loaded, labels=(classes[drawn] + 1) % 5)
    assert facts(wrong)["lost_images"] == 0 < facts(by_ann)["lost_images"]


@pytest.mark.parametrize("loss", [2.0, 5.0, 12.0, 30.0])
def test_the_loss_itself_stays_within_what_is_allowed(loaded: Loaded, loss: float) -> None:
    found = facts(compiled(loaded, exit_loss=loss))
    assert found["lost_images"] <= loss / 100 * 60
    proven = facts(compiled(loaded, exit_loss=max(loss, 5.0), exit_proven=True))
    assert proven["loss_bound_95"] <= max(loss, 5.0)
    if loss >= 5.0:
        assert found["mean_timesteps"] <= proven["mean_timesteps"]


def test_a_proof_that_takes_more_images_is_refused(loaded: Loaded) -> None:
    with pytest.raises(CalibrationError, match="cannot prove a loss of 1 points") as caught:
        compiled(loaded, exit_loss=1.0, exit_proven=True)
    assert "if none of 60 is lost, it may still be 4.87" in str(caught.value)
    assert "598 calibration images" in caught.value.hint
    assert caught.value.where.node == "x"


def test_windows_are_warned_of(loaded: Loaded) -> None:
    result = compiled(loaded, windowed=True)
    assert any("windowed" in text for text in result.warnings)


def test_where_no_step_is_safe_all_images_stay(loaded: Loaded) -> None:
    class Late(SimulatorBackend):
        """Whose read-outs stay 0 until the last step."""

        def readouts(self, *arguments: Any) -> np.ndarray:
            found = super().readouts(*arguments)
            return np.concatenate([0 * found[:-1], found[-1:]])

    options = CompileOptions(timesteps=6, phi=1, exit_loss=6.0)
    result = compile_graph(loaded, IMAGES, options, Late(1))
    assert result.program.exit_rule == ExitRule(ExitScore.MARGIN, (NEVER,) * 5)
    assert any("no image may leave before step 6" in text for text in result.warnings)
    assert json.loads(result.program.provenance["warnings"]) == list(result.warnings)


def test_equal_seeds_give_equal_rules_whatever_the_threads(loaded: Loaded) -> None:
    options = CompileOptions(timesteps=6, phi=1, exit_loss=10.0, exit_rule="entropy")
    first, again = (
        compile_graph(loaded, IMAGES, options, SimulatorBackend(threads)).program
        for threads in (1, 3)
    )
    assert first.exit_rule == again.exit_rule
    assert first.digest == again.digest


def test_too_few_calibration_images_are_refused_before_anything_is_compiled(
    loaded: Loaded,
) -> None:
    with pytest.raises(CalibrationError, match="19 calibration images are too few") as caught:
        compiled(loaded, images=19, exit_loss=1.0)
    assert "598" in caught.value.hint


@pytest.mark.parametrize(
    ("labels", "problem"),
    [(np.zeros(119, int), "119 labels"), (np.full(120, 5), "from 5 to 5"), (-np.ones(120), "-1")],
)
def test_labels_that_do_not_fit_are_refused(
    loaded: Loaded, labels: np.ndarray, problem: str
) -> None:
    with pytest.raises(CalibrationError, match=problem):
        compiled(loaded, labels=labels)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_output_without_a_class_axis_is_refused_by_name(channels: int) -> None:
    graph = Sketch(1, 4, 4).conv("c", 2).add("r", "Relu").conv("out", channels).graph()
    images = np.zeros((30, 1, 4, 4), np.float32)
    with pytest.raises(OptionError, match="exit_loss is given, and the output has") as caught:
        ExitCalibration(graph, images, None, CompileOptions(exit_loss=1.0))
    assert caught.value.where.node == "out"


def test_nothing_is_asked_of_a_network_without_exits() -> None:
    graph = Sketch(1, 4, 4).conv("c", 2).add("r", "Relu").conv("out", 1).graph()
    result: Any = object()
    exits = ExitCalibration(graph, np.zeros((1, 1, 4, 4), np.float32), None, CompileOptions())
    assert exits.applied(result, SimulatorBackend(1), Ann()) is result
