from __future__ import annotations

from typing import Any

import pytest

from spikec.compiler.errors import OptionError
from spikec.compiler.options import CompileOptions
from spikec.compiler.search_options import SearchOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phi_min", 0),
        ("phi_min", True),
        ("phi_max", 256),
        ("phi_max", 2.0),
        ("latency", 0),
        ("images", 1),
        ("held_out_images", 0),
        ("energy_ratio", -0.1),
        ("energy_ratio", float("nan")),
        ("energy_budget", "1"),
        ("accuracy_loss", 101),
        ("compression_ratio", float("inf")),
        ("sensitivity", "taste"),
        ("modes", ("plain", "loud")),
    ],
)
def test_an_option_out_of_range_is_refused_by_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        SearchOptions(phi=True, compression=True, **{name: value})
    text = str(caught.value)
    assert name in text
    assert repr(value[-1] if isinstance(value, tuple) else value) in text
    assert caught.value.hint


def test_two_budgets_contradict_each_other() -> None:
    with pytest.raises(OptionError, match="energy_ratio and accuracy_loss are two budgets"):
        SearchOptions(phi=True, energy_ratio=0.5, accuracy_loss=1.0)


def test_a_budget_without_a_search_is_refused() -> None:
    with pytest.raises(OptionError, match="accuracy_loss is a budget of a search"):
        SearchOptions(accuracy_loss=1.0)


def test_the_largest_phi_is_not_below_the_smallest() -> None:
    with pytest.raises(OptionError, match="phi_max is 2, below phi_min, 3"):
        SearchOptions(phi=True, phi_min=3, phi_max=2)


def test_by_default_nothing_is_searched_and_no_image_held_out() -> None:
    options = CompileOptions(calibration_images=10)
    assert not options.search.active
    assert options.drawn_images == 10
    searched = CompileOptions(calibration_images=10, search=SearchOptions(phi=True))
    assert searched.search.active
    assert searched.drawn_images == 10 + searched.search.held_out_images
