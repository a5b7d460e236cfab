from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch

from spikec.backends.reference import ReferenceBackend
from spikec.compiler import neuron_search
from spikec.compiler.ir import Node, Quantized
from spikec.compiler.neuron_search import NeuronSearch
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.paths import current_paths
from spikec.compiler.populations import AdaFire
from spikec.compiler.quantization import quantize

OPTIONS = CompileOptions(timesteps=8, phi=1, bias_rounds=6)
CHANNELS = 3
VMAX = 2**23 - 1


def population(
    options: CompileOptions = OPTIONS, channels: int = CHANNELS
) -> tuple[Node, Quantized]:
    """A Relu with threshold 1.0 and a step of 0.01."""
    sketch = Sketch(1, 2, 2).conv("c", channels, kernel=1).add("r", "Relu").conv("out", 2)
    graph = place_neurons(options).apply(sketch.graph())
    weights = np.full((channels, 1, 1, 1), 1.27, np.float32)
    graph = graph.mapped(
        lambda node: node.updated(params={1: weights}) if node.name == "c" else node
    )
    neuron = graph["r"].neuron
    assert neuron is not None
    node = graph["r"].updated(neuron=replace(neuron, threshold=np.ones(channels)))
    quantized = quantize(
        node, current_paths(graph, "r"), {"x": np.ones((1, 1, 1))}, np.zeros((1, 1, 1)), options
    )
    assert np.allclose(quantized.step, 0.01)
    return node, quantized


def searched(
    current: np.ndarray, target: np.ndarray, options: CompileOptions = OPTIONS, misled: int = 0
) -> tuple[AdaFire, np.ndarray, np.ndarray]:
    """The population found, and its and the untouched one's squared error per channel."""
    node, quantized = population(options, target.shape[1])

    def fire(trial: AdaFire, images: int) -> np.ndarray:
        backend = ReferenceBackend()
        return backend.fire(trial, current[:, :images], options.timesteps, VMAX).spikes

    def error(chosen: AdaFire) -> np.ndarray:
        mean = fire(chosen, len(target)).sum(axis=0) * chosen.scale / options.timesteps
        return ((mean - target) ** 2).mean(axis=(0, 2, 3))

    search = NeuronSearch(node, quantized, target, fire, options, misled=misled)
    found = search.run().population
    assert isinstance(found, AdaFire)
    assert isinstance(quantized.population, AdaFire)
    return found, error(found), error(quantized.population)


def drives(seed: int = 0, images: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.2, 0.4, (images, CHANNELS, 2, 2))


def steady(drive: np.ndarray, timesteps: int = 8) -> np.ndarray:
    return np.repeat(np.rint(drive / 0.01).astype(np.int32)[None], timesteps, axis=0)


def uneven(early: float) -> tuple[np.ndarray, np.ndarray]:
    """Current of 8 steps, so much higher in the first four and lower in the others; its target."""
    drive = drives(images=24)
    wave = np.repeat([early, -early], 4).reshape(8, 1, 1, 1, 1)
    current = np.rint((drive[None] + wave) / 0.01).astype(np.int32)
    return current, np.maximum(drive, 0).astype(np.float32)


def test_a_shift_between_program_and_network_is_taken_back() -> None:
    drive = drives()
    shift = np.array([0.15, -0.1, 0.0]).reshape(3, 1, 1)
    target = np.maximum(drive + shift, 0).astype(np.float32)
    found, after, before = searched(steady(drive), target)
    assert (after[:2] < 0.5 * before[:2]).all()
    moved = (8 * found.bias + found.initial).reshape(3)
    assert moved[0] > moved[2] > moved[1]


def test_charge_that_comes_too_early_is_waited_for() -> None:
    found, after, before = searched(*uneven(early=1.2))
    assert (after < 0.6 * before).all()
    assert (found.initial < 0).all()


def test_no_channel_is_made_worse() -> None:
    drive = drives(3)
    target = np.maximum(drive, 0).astype(np.float32)
    _, after, before = searched(steady(drive), target)
    assert (after <= before + 1e-12).all()


def test_a_window_never_waits() -> None:
    options = CompileOptions(timesteps=8, phi=1, windowed=True)
    drive = drives(4)
    found, _, _ = searched(steady(drive), np.maximum(drive, 0).astype(np.float32), options)
    assert (found.initial > -(found.threshold // 2)).all()


def test_no_rounds_leave_the_integers_alone() -> None:
    drive = drives(5)
    options = CompileOptions(timesteps=8, phi=1, bias_rounds=0)
    found, after, before = searched(steady(drive), np.zeros_like(drive, np.float32), options)
    assert np.array_equal(after, before)
    assert not found.bias.any()


def test_one_threshold_for_all_is_one_that_lowers_the_error_of_all_together() -> None:
    options = CompileOptions(timesteps=8, phi=1, threshold_per="layer")
    node, quantized = population(options)
    assert node.neuron is not None
    shared = node.updated(neuron=replace(node.neuron, per_channel=False, threshold=np.ones(1)))
    # Values to 3.0 for neurons that can tell 1.0: only larger thresholds carry them.
    drive = np.random.default_rng(7).uniform(0, 3.0, (12, CHANNELS, 2, 2))
    current = steady(drive)

    def fire(trial: AdaFire, images: int) -> np.ndarray:
        backend = ReferenceBackend()
        return backend.fire(trial, current[:, :images], options.timesteps, VMAX).spikes

    found = NeuronSearch(shared, quantized, drive.astype(np.float32), fire, options)
    result = found.run().population
    assert isinstance(result, AdaFire)
    assert len(set(result.threshold.ravel().tolist())) == 1
    assert result.threshold.ravel()[0] > 130


def test_a_threshold_of_another_method_is_not_moved() -> None:
    options = CompileOptions(timesteps=8, phi=1, threshold_method="maximum")
    drive = np.random.default_rng(8).uniform(0, 3.0, (12, CHANNELS, 2, 2))
    found, _, _ = searched(steady(drive), drive.astype(np.float32), options)
    assert (found.threshold == 100).all()


def half_way(options: CompileOptions, misled: int) -> tuple[float, int]:
    """On charge that comes too early: the error after 4 of 8 steps, and the lowest start."""
    current, target = uneven(early=0.4)
    found, _, _ = searched(current, target, options, misled)
    sent = ReferenceBackend().fire(found, current, 8, VMAX).spikes[:4].sum(axis=0)
    return float(((sent * found.scale / 4 - target) ** 2).mean()), int(found.initial.min())


@pytest.mark.parametrize(("exit_loss", "misled"), [(1.0, 0), (None, 10)])
def test_where_images_leave_early_or_others_fire_on_it_the_first_half_counts_too(
    exit_loss: float | None, misled: int
) -> None:
    patient, late = half_way(OPTIONS, 0)
    hasty, soon = half_way(replace(OPTIONS, exit_loss=exit_loss), misled)
    assert hasty < 0.7 * patient
    assert soon > late


def test_the_more_are_misled_the_more_the_first_half_counts_where_it_can_be_taken_back() -> None:
    options = replace(OPTIONS, fire="retract")
    none, few, many = (half_way(options, misled)[0] for misled in (0, 10, 40))
    assert many < few < 0.7 * none


def test_a_neuron_starts_higher_where_charge_comes_late_but_not_where_images_may_leave() -> None:
    late, target = uneven(early=-0.4)
    for options, higher in ((OPTIONS, True), (replace(OPTIONS, exit_loss=1.0), False)):
        found, _, _ = searched(late, target, options, misled=50)
        # What is paid back over the steps tells a delay from a correction of the bias.
        assert ((found.initial > 0.9 * found.threshold) & (found.bias < 0)).any() == higher


def test_a_window_is_not_read_before_its_end() -> None:
    options = CompileOptions(timesteps=8, phi=1, windowed=True)
    drive = drives(6)
    target = np.maximum(drive, 0).astype(np.float32)
    found, asked = (
        searched(steady(drive), target, each, misled)[0]
        for each, misled in ((options, 0), (replace(options, exit_loss=1.0), 9))
    )
    for field in ("threshold", "bias", "initial"):
        assert np.array_equal(getattr(found, field), getattr(asked, field))


@pytest.mark.parametrize(
    ("timesteps", "phi", "moves"), [(8, 1, True), (31, 1, True), (32, 1, False)]
)
def test_thresholds_for_unseen_images_are_not_judged_by_those_seen(
    timesteps: int, phi: int, moves: bool
) -> None:
    options = CompileOptions(timesteps=timesteps, phi=phi, windowed=True)
    # Values to 0.5 for neurons that can tell 1.0: for these images smaller thresholds are better.
    drive = np.random.default_rng(9).uniform(0, 0.5, (12, CHANNELS, 2, 2))
    found, _, _ = searched(steady(drive, timesteps), drive.astype(np.float32), options)
    assert (found.threshold.ravel() < 100).all() == moves
    assert moves or (found.threshold.ravel() == 100).all()


@pytest.mark.parametrize(("channels", "moves"), [(CHANNELS, False), (20 * 8, True)])
def test_thresholds_of_wide_layers_are_judged_on_more_images(
    monkeypatch: pytest.MonkeyPatch, channels: int, moves: bool
) -> None:
    monkeypatch.setattr(neuron_search, "_TRIAL_UPDATES", 1)
    # Neurons that can tell 1.0, and values to 2.0 that the first 16 images do not show.
    drive = np.zeros((20, channels, 2, 2))
    drive[16:] = np.random.default_rng(3).uniform(1, 2, (4, channels, 2, 2))
    found, _, _ = searched(steady(drive), drive.astype(np.float32))
    assert (found.threshold.ravel() > 100).all() == moves
    assert moves or (found.threshold.ravel() == 100).all()
