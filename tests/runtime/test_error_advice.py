from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_programs import (
    CONNECTIONS,
    HIDDEN,
    INPUT,
    KERNEL,
    POPULATIONS,
    tiny_program,
    with_population,
)

from spikec.compiler.connections import Connection, Conv
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import Fire
from spikec.compiler.program import Program
from spikec.runtime.error_advice import Advice, advised, causes, dearest
from spikec.runtime.error_sums import Effect, LayerError

PARTS = ("propagated", "weights", "correction", "clipping", "rounding", "saturation", "unevenness")


def layer(name: str = "hidden", cost: float = 0.1, **parts: float) -> LayerError:
    """An error of these parts, 0 in all others."""
    effect = Effect(cost, cost, 0.0)
    everything = dict.fromkeys(PARTS, 0.0) | parts
    total = sum(everything.values())
    return LayerError(
        name=name,
        kind="adafire",
        neurons=32,
        mean_square=1.0,
        total=total,
        own=total - everything["propagated"],
        parts=everything,
        cross=0.0,
        bias=0.0,
        part_bias=dict.fromkeys(PARTS, 0.0),
        residual=0.0,
        offset=0.0,
        over=0.2,
        under=0.1,
        over_share=0.9,
        saturations=3.0,
        own_effect=effect,
        effect=effect,
    )


def only(program: Program, error: LayerError, **options: object) -> Advice:
    chosen = CompileOptions(**options)  # type: ignore[arg-type]
    (advice,) = advised(program, [error], chosen)
    return advice


def test_the_dearest_are_those_whose_own_error_moves_the_output() -> None:
    layers = [
        layer(name, cost) for name, cost in zip("abcde", (0.1, 0.5, 1e-6, 0.3, 0.2), strict=True)
    ]
    assert [each.name for each in dearest(layers)] == ["b", "d", "e"]
    assert not dearest([layer("c", 1e-6)])


def test_without_classes_the_output_error_ranks() -> None:
    one, two = (
        replace(layer(n), own_effect=Effect(e, None, None)) for n, e in (("a", 1), ("b", 2))
    )
    assert [each.name for each in dearest([one, two])] == ["b", "a"]


@pytest.mark.parametrize("cause", ["clipping", "rounding"])
def test_more_levels_help_against_clipping_and_rounding(cause: str) -> None:
    advice = only(tiny_program(), layer(**{cause: 0.06, "weights": 0.02}))
    assert (advice.cause, advice.option) == (cause, "--phi 6")
    assert advice.share == pytest.approx(0.75)
    assert "12 levels" in advice.reason


def test_a_shared_threshold_is_divided_first() -> None:
    shared = with_population("hidden", threshold=HIDDEN.threshold[:1])
    assert only(shared, layer(rounding=0.1)).option == "--threshold-per channel"


def test_a_payload_that_cannot_grow_leaves_time_steps() -> None:
    full = with_population("hidden", phi=255)
    assert only(full, layer(rounding=0.1)).option == "-T 8"


def test_spikes_that_come_too_early_can_be_taken_back_or_waited_for() -> None:
    early = layer(unevenness=0.1)
    assert only(tiny_program(), early).option == "--fire retract"
    assert "20.0 %" in only(tiny_program(), early).reason
    signed = with_population("hidden", fire=Fire.SIGNED)
    assert only(signed, early).option == "--windowed"


def test_charge_that_comes_too_late_needs_larger_payloads() -> None:
    late = replace(layer(unevenness=0.1), over_share=0.2)
    assert only(tiny_program(), late).option == "--phi 6"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("none", "--weight-calibration fit"),
        ("fit", "--weight-calibration gradient"),
        ("gradient", "--images N"),
    ],
)
def test_weights_are_fitted_one_step_further(given: str, advice: str) -> None:
    found = only(tiny_program(), layer(weights=0.01), weight_calibration=given)
    assert found.option == advice
    assert "10.00 %" in found.reason


def test_weights_that_no_fit_reaches_have_to_learn() -> None:
    """Each channel by itself has no matrix, and a read-out has no neurons."""
    kernel = Conv(KERNEL, (1, 1), (1, 1, 1, 1), (1, 1), groups=2)
    populations = (replace(INPUT, shape=(2, 4, 4)), *POPULATIONS[1:])
    connections = (Connection("image", "hidden", (kernel,)), *CONNECTIONS[1:])
    depthwise = tiny_program(populations=populations, connections=connections)
    for program, name in ((depthwise, "hidden"), (tiny_program(), "scores")):
        found = only(program, layer(name, weights=0.01))
        assert found.option == "--weight-calibration gradient"
        assert "a matrix in front of neurons" in found.reason


def test_where_spikes_have_no_payload_copies_are_named() -> None:
    for fire in (Fire.PLAIN, Fire.SIGNED):
        binary = with_population("hidden", phi=1, fire=fire)
        found = only(binary, layer(rounding=0.1))
        assert found.option == "--phi 2"
        assert "--extra-neurons 0.25" in found.reason
    assert "--extra-neurons" not in only(tiny_program(), layer(rounding=0.1)).reason


def test_a_saturated_membrane_needs_bits() -> None:
    assert "membrane_bits" in only(tiny_program(), layer(saturation=0.1)).option


def test_a_constant_offset_asks_for_calibration_images() -> None:
    error = replace(layer(rounding=0.1), offset=0.5)
    found = advised(tiny_program(), [error], CompileOptions())
    assert [each.cause for each in found] == ["rounding", "offset"]
    assert found[1].option == "--images N"
    without = advised(tiny_program(), [error], CompileOptions(bias_rounds=0))
    assert without[1].option == "bias_rounds=6"


def test_causes_are_own_effects_divided_by_squares() -> None:
    layers = [
        layer("a", 0.6, rounding=0.02, unevenness=0.01, correction=0.7),
        layer("b", 0.2, rounding=0.5, propagated=9.0),
        layer("c", 0.0),
    ]
    assert causes(layers) == pytest.approx({"rounding": 0.75, "unevenness": 0.25})
    assert next(iter(causes(layers))) == "rounding"
    assert causes([layer("c")]) == {}


def test_an_input_needs_bits() -> None:
    assert only(tiny_program(), layer("image", rounding=0.1)).option == "input_bits=9"


def test_a_correction_is_no_cause_beside_others() -> None:
    advice = only(tiny_program(), layer(correction=0.1, rounding=0.03, clipping=0.01))
    assert advice.cause == "rounding"
    assert advice.share == pytest.approx(0.75)


def test_what_calibration_added_is_named() -> None:
    advice = only(tiny_program(), layer(correction=0.1))
    assert advice.cause == "correction"
    assert "calibration" in advice.reason
