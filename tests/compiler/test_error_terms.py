from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.error_terms import (
    PARTS,
    Drive,
    Terms,
    firing_terms,
    input_terms,
    pool_terms,
    readout_terms,
)
from spikec.compiler.mmse import transfer
from spikec.compiler.populations import AdaFire, Fire, Input, Readout

RULES = [
    (Fire.PLAIN, False),
    (Fire.RETRACT, False),
    (Fire.SIGNED, False),
    (Fire.PLAIN, True),
    (Fire.SIGNED, True),
]
STEP = 0.02
VMAX = 2**23 - 1


def neurons(rule: Fire = Fire.PLAIN, windowed: bool = False, phi: int = 2) -> AdaFire:
    """Three channels of five neurons; one unit of current is worth 0.02."""
    theta = np.array([[50], [73], [120]])
    return AdaFire(
        name="n",
        shape=(3, 5),
        threshold=theta,
        bias=np.array([[3], [-4], [0]]),
        initial=theta // 2 + np.arange(5),
        phi=phi,
        fire=rule,
        windowed=windowed,
        scale=theta * STEP,
    )


def currents(timesteps: int, seed: int = 0, images: int = 400) -> np.ndarray:
    random = np.random.default_rng(seed)
    mean = random.normal(10, 60, (1, images, 3, 5))
    return np.rint(mean + random.normal(0, 80, (timesteps, images, 3, 5))).astype(np.int32)


def terms_of(
    population: AdaFire, current: np.ndarray, vmax: int = VMAX, ceiling: float | None = None
) -> Terms:
    """With a float layer that is half a unit off, and activations that differ by noise."""
    timesteps = len(current)
    charge = current.sum(axis=0, dtype=np.int64)
    exact = charge * STEP / timesteps + 0.01
    noise = np.random.default_rng(9).normal(0, 0.3, exact.shape)
    activation = exact + noise
    if population.fire is not Fire.SIGNED:
        activation = np.clip(activation, 0, ceiling)
    drive = Drive(activation, exact, charge, np.array([[0.05], [0.0], [-0.05]]))
    fired = ReferenceBackend().fire(population, current, timesteps, vmax)
    return firing_terms(population, drive, fired, timesteps, ceiling)


@pytest.mark.parametrize("timesteps", [1, 4, 16])
@pytest.mark.parametrize(("rule", "windowed"), RULES)
def test_signed_parts_add_up_to_the_error_of_every_neuron(
    rule: Fire, windowed: bool, timesteps: int
) -> None:
    population, current = neurons(rule, windowed), currents(timesteps)
    terms = terms_of(population, current)
    assert tuple(terms.parts) == PARTS
    spikes = ReferenceBackend().fire(population, current, timesteps, VMAX).spikes
    error = spikes.sum(axis=0) * population.scale / timesteps - terms.activation
    total = sum(terms.parts[name] for name in PARTS)
    assert np.abs(total - error).max() < 1e-12
    assert terms.residual < 1e-12
    assert np.allclose(terms.own, error - terms.parts["propagated"], atol=1e-12)


@pytest.mark.parametrize("timesteps", [1, 4, 16])
@pytest.mark.parametrize(("rule", "windowed"), RULES)
def test_unevenness_is_what_constant_drive_would_not_have_given(
    rule: Fire, windowed: bool, timesteps: int
) -> None:
    population, current = neurons(rule, windowed), currents(timesteps, 1)
    terms = terms_of(population, current)
    theta = population.threshold.astype(np.int64)
    charge = current.sum(axis=0, dtype=np.int64) + timesteps * population.bias + population.initial
    # The drive that brings this charge to a neuron which starts at θ/2; a quarter of a unit more,
    # so that no float stands between two counts.
    drive = (charge + 0.25 - theta / 2) * STEP / timesteps
    steady = transfer(
        drive,
        population.scale / timesteps,
        population.phi * timesteps,
        signed=rule is Fire.SIGNED,
    )
    assert np.allclose(terms.parts["unevenness"], terms.mean - steady, atol=1e-12)
    assert not terms.parts["saturation"].any()
    if windowed or timesteps == 1:
        assert not terms.parts["unevenness"].any()
        assert terms.over == terms.under == 0
    else:
        assert terms.over == (terms.parts["unevenness"] > 1e-9).sum()
        assert terms.under == (terms.parts["unevenness"] < -1e-9).sum()
        assert terms.under > 0


def test_retraction_ends_over_firing_but_for_what_it_cannot_send_back() -> None:
    plain = terms_of(neurons(Fire.PLAIN, phi=1), currents(8, 2))
    retract = terms_of(neurons(Fire.RETRACT, phi=1), currents(8, 2))
    assert plain.over > 200
    assert retract.over < 0.1 * plain.over


def test_clipping_is_the_excess_over_the_cap_and_rounding_at_most_half_a_spike() -> None:
    timesteps, population = 4, neurons()
    terms = terms_of(population, currents(timesteps, 3))
    cap = population.phi * population.scale
    charge = currents(timesteps, 3).sum(axis=0) + timesteps * population.bias
    drive = (charge + population.initial - population.threshold // 2) * STEP / timesteps
    assert np.allclose(terms.parts["clipping"], -np.maximum(drive - cap, 0), atol=1e-12)
    grain = population.scale / timesteps
    assert (np.abs(terms.parts["rounding"]) <= 0.51 * grain).all()
    assert not terms.parts["rounding"][drive > cap].any()


def test_the_clip_of_the_network_itself_is_no_error() -> None:
    low = replace(neurons(), scale=np.full((3, 1), 50 * STEP), threshold=np.full((3, 1), 50))
    terms = terms_of(low, currents(4, 4), ceiling=2.0)
    assert (terms.activation <= 2.0).all()
    # φθ = 2 is the ceiling: nothing is clipped that the network would not clip.
    assert np.abs(terms.parts["clipping"]).max() < 1e-12


@pytest.mark.parametrize("delay", [1, 3])
def test_a_start_that_waits_moves_unevenness_and_nothing_before_it(delay: int) -> None:
    timesteps, population = 8, neurons(phi=1)
    theta = population.threshold
    # Multiples of T, so that the charge is returned exactly.
    held = delay * (theta // timesteps) * timesteps
    waiting = replace(
        population,
        initial=population.initial - held,
        bias=population.bias + held // timesteps,
    )
    straight, late = (terms_of(each, currents(timesteps, 5)) for each in (population, waiting))
    for name in PARTS[:-1]:
        assert np.array_equal(straight.parts[name], late.parts[name]), name
    assert late.over < straight.over


def test_a_saturated_membrane_has_a_part_of_its_own() -> None:
    population = neurons(Fire.PLAIN, True, phi=3)
    terms = terms_of(population, currents(16, 6), vmax=600)
    assert terms.saturations > 0
    assert terms.parts["saturation"].any()
    assert not terms.parts["unevenness"].any()
    assert terms.residual < 1e-12


def test_weights_and_correction_are_what_they_add_to_the_drive() -> None:
    population = neurons(Fire.SIGNED)
    terms = terms_of(population, currents(4, 7))
    float_bias = np.array([[0.05], [0.0], [-0.05]])
    assert np.allclose(terms.parts["weights"], float_bias - 0.01, atol=1e-12)
    integer_bias = (population.bias + np.arange(5) / 4) * STEP
    expected = np.broadcast_to(integer_bias - float_bias, (400, 3, 5))
    assert np.allclose(terms.parts["correction"], expected, atol=1e-12)


def test_an_input_clips_and_rounds() -> None:
    unit = np.ones(1)
    source = Input("x", (4,), 4, 0.5 * unit, unit, 0 * unit)
    activation = np.array([[0.2, 1.3, -5.0, 3.5]])
    terms = input_terms(source, activation, np.array([[0, 3, -7, 7]]))
    assert terms.parts["clipping"] == pytest.approx(np.array([[0, 0, 1.5, 0]]))
    assert terms.parts["rounding"] == pytest.approx(np.array([[-0.2, 0.2, 0, 0]]))
    assert np.array_equal(terms.own, terms.mean - activation)


def test_a_pool_passes_errors_on() -> None:
    exact, ideal = np.array([[1.0, 2.0]]), np.array([[1.5, 2.0]])
    terms = pool_terms(exact, ideal, ideal)
    assert terms.parts["propagated"].tolist() == [[0.5, 0.0]]
    assert not terms.own.any()


def test_a_read_out_neither_clips_nor_rounds() -> None:
    readout = Readout("y", (2,), np.array([3, -1]), np.array([0.1]))
    exact, ideal = np.array([[1.0, 2.0]]), np.array([[1.1, 1.8]])
    charge = np.array([[40, 90]])
    terms = readout_terms(readout, Drive(exact, ideal, charge, np.array([0.2, 0.0])), 4)
    assert terms.mean == pytest.approx(np.array([[5.2, 8.6]]) * 0.25)
    assert terms.parts["propagated"] == pytest.approx(np.array([[0.1, -0.2]]))
    assert terms.parts["weights"] == pytest.approx(np.array([[1.2 - 1.1, 2.25 - 1.8]]))
    assert terms.parts["correction"] == pytest.approx(np.array([[1.3 - 1.2, 2.15 - 2.25]]))
    assert terms.residual < 1e-12
