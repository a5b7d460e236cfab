from __future__ import annotations

import numpy as np
import pytest

from spikec.compiler.errors import OptionError
from spikec.compiler.search.bench import Trial
from spikec.compiler.search.choices import Choice, Mode
from spikec.compiler.search.selection import Catalogue, first_accepted, with_few_windows

NOISE = np.random.default_rng(0).normal(size=100)
NOISE -= NOISE.mean()


def trial(energy: float, loss: float, noise: float = 0.0) -> Trial:
    """A trial with this mean loss; its noise is not shared with others."""
    return Trial(loss + noise * NOISE, np.ones(100), energy)


BASE = trial(10.0, 0.1)


def catalogue(**trials: dict[Choice, Trial]) -> Catalogue:
    return Catalogue(trials, BASE)


def test_within_an_energy_the_smallest_loss_is_chosen_by_name() -> None:
    found = catalogue(
        second={Choice(4): BASE, Choice(1): trial(7, 0.2)},
        first={Choice(4): BASE, Choice(1): trial(7, 0.5)},
    ).within_energy(7.5, "budget")
    assert found.choices == {"second": Choice(1), "first": Choice(4)}
    assert (found.energy, found.loss) == (pytest.approx(7), pytest.approx(0.2))


def test_an_energy_that_cannot_be_had_says_the_least_and_the_shortfall() -> None:
    offers = catalogue(a={Choice(4): BASE, Choice(1): trial(7, 0.2)})
    with pytest.raises(OptionError) as caught:
        offers.within_energy(5.0, "the energy budget")
    text = str(caught.value)
    assert "the energy budget of 5e+06 µJ" in text
    assert "the least that can be had is 7e+06 µJ, 2e+06 µJ more" in text


def test_within_a_summed_loss_the_least_energy_is_chosen() -> None:
    offers = catalogue(
        a={Choice(4): BASE, Choice(4, compression=2): trial(8, 0.15)},
        b={Choice(4): BASE, Choice(4, compression=2): trial(9, 0.11)},
    )
    assert offers.within_loss(1.06, "loss").choices == {
        "a": Choice(4),
        "b": Choice(4, compression=2),
    }
    assert offers.within_loss(1.31, "loss").energy == pytest.approx(7)


def test_a_summed_loss_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(OptionError, match=r"summed loss of 0.09 .* is 0.1, 0.01 more"):
        catalogue(a={Choice(4): BASE}).within_loss(0.9, "a summed loss")


def test_ties_that_stand_for_the_base_keep_what_the_base_keeps() -> None:
    cheap, dear = Choice(4, compression=2), Choice(4)
    tied = catalogue(a={dear: BASE, cheap: trial(7, 0.11, noise=1.0)})
    assert tied.within_loss(1.0, "loss").choices == {"a": cheap}
    with pytest.raises(OptionError, match=r"is 0\.11, 0\.011 more"):
        tied.within_loss(0.99, "loss")


def test_a_difference_within_its_error_is_a_tie_and_the_cheaper_choice_wins() -> None:
    cheap, dear = Choice(1), Choice(4)
    tied = catalogue(a={dear: BASE, cheap: trial(7, 0.11, noise=1.0)})
    assert [each.choices["a"] for each in tied.ladder()] == [cheap]
    clear = catalogue(a={dear: BASE, cheap: trial(7, 0.11, noise=0.01)})
    assert [each.choices["a"] for each in clear.ladder()] == [cheap, dear]


def test_a_dearer_choice_that_loses_more_is_dropped() -> None:
    found = catalogue(a={Choice(4): BASE, Choice(3): trial(11, 0.2), Choice(2): trial(9, 0.2)})
    assert [each.choices["a"] for each in found.ladder()] == [Choice(2), Choice(4)]


def test_only_the_layers_that_gain_most_keep_their_windows() -> None:
    window = Choice(4, Mode.WINDOWED)
    trials = {
        name: {Choice(4): BASE, window: trial(10, loss)}
        for name, loss in {"a": 0.09, "b": 0.02, "c": 0.05, "d": 0.2}.items()
    }
    few = with_few_windows(trials, 2)
    assert [name for name, found in few.items() if window in found] == ["b", "c"]
    assert all(Choice(4) in found for found in few.values())
    assert not any(window in found for found in with_few_windows(trials, -1).values())


@pytest.mark.parametrize("first", range(9))
def test_bisection_finds_the_first_accepted_position(first: int) -> None:
    asked: list[int] = []

    def accepts(at: int) -> bool:
        asked.append(at)
        return at >= first

    assert first_accepted(8, accepts) == (first if first < 8 else None)
    assert len(asked) <= 4
