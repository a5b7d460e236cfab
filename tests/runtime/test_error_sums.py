from __future__ import annotations

import numpy as np
import pytest

from spikec.compiler.error_terms import Terms
from spikec.runtime.error_sums import EffectSums, LayerSums


def terms(*, images: int = 2) -> Terms:
    """Two channels of two neurons: parts of +3 and −1, in channel 1 of −2 and 0."""
    parts = {
        "rounding": np.array([[[3.0, 3.0], [-2.0, -2.0]]] * images),
        "unevenness": np.array([[[-1.0, -1.0], [0.0, 2.0]]] * images),
    }
    activation = np.full((images, 2, 2), 5.0)
    return Terms(activation, activation + sum(parts.values()), parts, over=1, under=2)


def test_sums_become_means_relative_to_the_activation() -> None:
    sums = LayerSums("n", "adafire", 4)
    sums.take(terms(images=2))
    sums.take(terms(images=1))
    layer = sums.result()
    # Errors 2, 2, −2, 0 per image against activations of 5.
    assert layer.mean_square == 25.0
    assert layer.total == pytest.approx(12 / 4 / 25)
    assert layer.own == layer.total
    assert layer.parts == pytest.approx({"rounding": 26 / 4 / 25, "unevenness": 6 / 4 / 25})
    assert layer.cross == pytest.approx((12 - 32) / 4 / 25)
    assert layer.bias == pytest.approx(0.5 / 5)
    assert layer.part_bias == pytest.approx({"rounding": 0.5 / 5, "unevenness": 0.0})
    # Channel means are 2 and −1: 2·4 + 2·1 of the 12.
    assert layer.offset == pytest.approx(10 / 12)
    assert layer.over_share == pytest.approx(4 / 6)
    assert (layer.over, layer.under) == (2 / 12, 4 / 12)
    assert layer.residual < 1e-12


def test_parts_that_do_not_add_up_would_be_seen() -> None:
    wrong = terms()
    wrong.parts["rounding"] = wrong.parts["rounding"] + 0.5
    sums = LayerSums("n", "adafire", 4)
    sums.take(wrong)
    assert sums.result().residual == pytest.approx(0.5 / 5)


def test_a_silent_layer_has_errors_of_zero_and_no_division_by_it() -> None:
    silent = np.zeros((3, 2, 2))
    sums = LayerSums("n", "adafire", 4)
    sums.take(Terms(silent, silent, {"rounding": silent}))
    layer = sums.result()
    assert (layer.total, layer.bias, layer.offset, layer.over_share) == (0, 0, 0, 0)


def test_an_effect_is_divergence_and_changed_decisions() -> None:
    exact, other = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.5, 0.25]])
    sums = EffectSums()
    sums.take(exact, other, (exact, other))
    sums.take(exact, exact, (exact, exact))
    effect = sums.result()
    assert effect.divergence == pytest.approx(0.25 * np.log(2) / 2)
    assert effect.changed == 0.5
    assert effect.size == effect.divergence
    assert effect.output_error == pytest.approx(
        2 * np.log(2) ** 2 / (2 * (np.log(2) ** 2 + 2 * np.log(4) ** 2))
    )


def test_huge_scores_diverge_without_overflow() -> None:
    exact, other = np.array([[1e4, 0.0]]), np.array([[0.0, 1e4]])
    sums = EffectSums()
    sums.take(exact, other, (exact, other))
    assert sums.result().divergence == pytest.approx(1e4)


def test_without_classes_there_is_the_output_error_only() -> None:
    sums = EffectSums()
    sums.take(np.ones((2, 3)), 1.5 * np.ones((2, 3)), None)
    effect = sums.result()
    assert (effect.divergence, effect.changed) == (None, None)
    assert effect.size == effect.output_error == 0.25
