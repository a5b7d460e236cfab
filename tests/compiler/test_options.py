from __future__ import annotations

from typing import Any

import pytest

from spikec.compiler.errors import OptionError
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import Fire


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timesteps", 0),
        ("timesteps", 2.5),
        ("timesteps", True),
        ("phi", 0),
        ("phi", 256),
        ("weight_bits", 9),
        ("input_bits", 1),
        ("membrane_bits", 33),
        ("calibration_images", 0),
        ("bias_rounds", -1),
        ("seed", -1),
        ("threshold_method", "median"),
        ("threshold_percentile", 0),
        ("threshold_percentile", 100.1),
        ("threshold_percentile", "99"),
        ("threshold_percentile", float("nan")),
        ("threshold_per", "neuron"),
        ("threshold_images", -1),
        ("potential_calibration", 1),
    ],
)
def test_an_option_out_of_range_is_refused_by_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        CompileOptions(**{name: value})
    assert name in caught.value.problem
    assert repr(value) in caught.value.problem
    assert caught.value.hint


@pytest.mark.parametrize("fire", ["signed", "burst", ""])
def test_a_rule_that_no_user_can_ask_for_is_refused(fire: Any) -> None:
    with pytest.raises(OptionError) as caught:
        CompileOptions(fire=fire)
    assert repr(fire) in caught.value.problem


def test_windowed_and_retract_contradict_each_other() -> None:
    with pytest.raises(OptionError):
        CompileOptions(windowed=True, fire=Fire.RETRACT)


def test_the_rule_may_be_given_by_name() -> None:
    rule: Any = "retract"
    assert CompileOptions(fire=rule).fire is Fire.RETRACT


def test_balancing_cannot_stream() -> None:
    with pytest.raises(OptionError, match="balancing"):
        CompileOptions(threshold_method="balancing", threshold_images=1000)


def test_a_percentile_that_no_method_reads_is_refused() -> None:
    with pytest.raises(OptionError, match="mmse reads none"):
        CompileOptions(threshold_percentile=99.0)
    chosen = CompileOptions(threshold_method="percentile", threshold_percentile=99.0)
    assert chosen.threshold_percentile == 99.0


@pytest.mark.parametrize("loss", [0, 0.0, -1, 100.5, True, "1", float("nan"), float("inf")])
def test_a_loss_is_more_than_nothing_and_at_most_everything(loss: Any) -> None:
    with pytest.raises(OptionError, match="exit_loss is"):
        CompileOptions(exit_loss=loss)
    assert CompileOptions(exit_loss=100).exit_loss == 100


def test_an_unknown_exit_rule_and_exits_from_a_single_step_are_refused() -> None:
    with pytest.raises(OptionError, match="exit_rule is 'soon'"):
        CompileOptions(exit_rule="soon")
    with pytest.raises(OptionError, match="T = 1"):
        CompileOptions(timesteps=1, exit_loss=1.0)
