from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.ann import Ann
from spikec.compiler.calibration import Calibration
from spikec.compiler.fixed_point import largest
from spikec.compiler.ir import Graph, Node
from spikec.compiler.lower import lower
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.calibrate_bias import calibrate_bias
from spikec.compiler.passes.calibrate_potential import calibrate_potential
from spikec.compiler.passes.calibrate_thresholds import calibrate_thresholds
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.passes.quantize_weights import quantize_weights
from spikec.compiler.populations import AdaFire


def pixels(options: CompileOptions, calibration: Calibration) -> Graph:
    """x → Relu 'r' of a weight of 1 → head; θ = 1 in 12,700 units of 1/12,700."""
    sketch = Sketch(1, 2, 2).conv("c", 1, kernel=1).add("r", "Relu").conv("head", 1, kernel=1)
    graph = place_neurons(options).apply(sketch.graph())
    weights = {1: np.ones((1, 1, 1, 1), np.float32), 2: np.zeros(1, np.float32)}
    graph = graph.mapped(
        lambda node: node.updated(params=weights) if node.name in ("c", "head") else node
    )
    thresholds = {"x": np.array([1.27]), "r": np.array([1.0])}

    def with_threshold(node: Node) -> Node:
        if node.name not in thresholds or node.neuron is None:
            return node
        return node.updated(neuron=replace(node.neuron, threshold=thresholds[node.name]))

    return quantize_weights(calibration, options).apply(graph.mapped(with_threshold))


def population(graph: Graph) -> AdaFire:
    quantized = graph["r"].quantized
    assert quantized is not None
    assert isinstance(quantized.population, AdaFire)
    return quantized.population


def with_initial(graph: Graph, initial: np.ndarray) -> Graph:
    def change(node: Node) -> Node:
        if node.name != "r" or node.quantized is None:
            return node
        moved = replace(population(graph), initial=initial.astype(np.int32))
        return node.updated(quantized=replace(node.quantized, population=moved))

    return graph.mapped(change)


def test_potentials_that_are_wrong_by_whole_spikes_are_set_right() -> None:
    options = CompileOptions(timesteps=8, phi=4)
    values = np.random.default_rng(0).uniform(0.5, 1.2, (40, 1, 2, 2)).astype(np.float32)
    calibration = Calibration(values, Ann())
    graph = pixels(options, calibration)
    right = population(graph)
    wrong = np.array([[[2, -3], [0, 1]]]) * right.threshold
    calibrated = calibrate_potential(calibration, ReferenceBackend(), options).apply(
        with_initial(graph, right.initial + wrong)
    )
    # What is left is the mean of so many rounding errors, each within half a spike.
    found = population(calibrated)
    assert found.initial.shape == (1, 2, 2)
    assert (np.abs(found.initial - right.initial) < 0.2 * right.threshold).all()


def test_the_shift_is_t_times_the_mean_error_on_images_that_do_not_judge() -> None:
    options = CompileOptions(timesteps=4, phi=1)
    calibration = Calibration(np.full((8, 1, 2, 2), 0.8, np.float32), Ann())
    graph = pixels(options, calibration)
    before = population(graph)
    # v0 = 0 instead of θ/2: ⌊4·0.8⌋ = 3 spikes, s̄ = 0.75, error 0.05. Then v0 = 0.2: 4·0.8 + 0.2
    # gives 3 spikes again, and nothing has fallen. With v0 = −θ: 2 spikes, error 0.3, v0 = 0.2.
    unmoved = with_initial(graph, 0 * before.initial)
    potential = calibrate_potential(calibration, ReferenceBackend(), options)
    assert not population(potential.apply(unmoved)).initial.any()
    moved = population(potential.apply(with_initial(graph, -before.threshold)))
    assert moved.initial.ravel() == pytest.approx(0.2 * before.threshold.ravel()[0], abs=30)


def test_a_map_that_does_not_help_on_other_images_is_not_kept() -> None:
    options = CompileOptions(timesteps=1, phi=1)
    # 0.4 gives no spike from θ/2; a start 0.4 higher gives one and a larger error.
    calibration = Calibration(np.full((12, 1, 2, 2), 0.4, np.float32), Ann())
    graph = pixels(options, calibration)
    calibrated = calibrate_potential(calibration, ReferenceBackend(), options).apply(graph)
    assert population(calibrated) is population(graph)


def test_one_image_moves_nothing() -> None:
    options = CompileOptions(timesteps=4)
    calibration = Calibration(np.full((1, 1, 2, 2), 0.4, np.float32), Ann())
    graph = pixels(options, calibration)
    calibrated = calibrate_potential(calibration, ReferenceBackend(), options).apply(graph)
    assert calibrated["r"].quantized is graph["r"].quantized
    assert calibrated["head"].quantized is graph["head"].quantized


def test_potentials_stay_within_the_membrane() -> None:
    options = CompileOptions(timesteps=4, phi=1, membrane_bits=16)
    calibration = Calibration(np.full((8, 1, 2, 2), 0.8, np.float32), Ann())
    graph = pixels(options, calibration)
    low = np.full((1, 1, 1), -largest(16))
    calibrated = calibrate_potential(calibration, ReferenceBackend(), options).apply(
        with_initial(graph, low)
    )
    assert (np.abs(population(calibrated).initial) <= largest(16)).all()


def test_errors_fall_on_unseen_images_that_share_a_pattern() -> None:
    options = CompileOptions(timesteps=4, phi=15, weight_bits=3)
    random = np.random.default_rng(3)
    pattern = random.normal(0.5, 1, (1, 2, 6, 6))
    images = (pattern + random.normal(0, 0.3, (96, 2, 6, 6))).astype(np.float32)
    calibration, unseen = Calibration(images[:64], Ann()), images[64:]
    sketch = Sketch(2, 6, 6).conv("a", 4).add("ra", "Relu").conv("b", 4).add("rb", "Relu")
    graph = place_neurons(options).apply(sketch.conv("head", 2).graph())
    backend = ReferenceBackend()
    graph = calibrate_thresholds(calibration, options).apply(graph)
    graph = quantize_weights(calibration, options).apply(graph)
    graph = calibrate_bias(calibration, backend, options).apply(graph)
    moved = calibrate_potential(calibration, backend, options).apply(graph)
    (expected,) = Ann().activations(graph, ["ra", "rb"], [unseen])
    for name in ("ra", "rb"):
        before, after = (_error(each, name, unseen, expected[name]) for each in (graph, moved))
        assert after < 0.7 * before


def _error(graph: Graph, name: str, images: np.ndarray, expected: np.ndarray) -> float:
    program = lower(graph, CompileOptions(timesteps=4))
    units = np.rint(images / program.input.scale).clip(-127, 127).astype(np.int64)
    run = ReferenceBackend().run(program, units, record=frozenset([name]))
    mean = run.spikes[name].sum(axis=1) * program.population(name).scale / 4
    return float(((mean - expected) ** 2).mean())
