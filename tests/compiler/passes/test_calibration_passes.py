from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.ann import Ann
from spikec.compiler.calibration import Calibration
from spikec.compiler.errors import InvariantError
from spikec.compiler.frontier import (
    Frontier,
    last_readers,
    misled_behind,
)
from spikec.compiler.invariants import integers_set, thresholds_set
from spikec.compiler.ir import Graph, Node
from spikec.compiler.lower import lower
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.calibrate_bias import calibrate_bias
from spikec.compiler.passes.calibrate_thresholds import calibrate_thresholds
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.passes.quantize_weights import quantize_weights
from spikec.compiler.populations import AdaFire
from spikec.compiler.regions import Region
from spikec.compiler.walk import images_within_memory

OPTIONS = CompileOptions(timesteps=4, phi=4, bias_rounds=4)


def residual() -> Graph:
    sketch = Sketch(3, 6, 6).conv("stem", 4).add("r", "Relu").conv("a", 4).add("ra", "Relu")
    sketch.conv("b", 4).add("sum", "Add", ["b", "r"]).add("out", "Relu").conv("head", 2)
    return place_neurons(OPTIONS).apply(sketch.graph())


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    images = np.random.default_rng(0).normal(0, 1, (32, 3, 6, 6)).astype(np.float32)
    return Calibration(images, Ann())


def activations(graph: Graph, calibration: Calibration, name: str) -> np.ndarray:
    return np.concatenate([batch[name] for batch in calibration.activations(graph, [name])])


def test_thresholds_lie_within_the_activations_and_the_input_is_not_clipped(
    calibration: Calibration,
) -> None:
    graph = calibrate_thresholds(calibration, OPTIONS).apply(residual())
    thresholds_set(graph)
    for name in ("r", "ra", "out"):
        neuron = graph[name].neuron
        assert neuron is not None
        assert neuron.threshold is not None
        peak = activations(graph, calibration, name).max(axis=(0, 2, 3))
        cap = neuron.threshold * OPTIONS.phi
        assert ((cap > 0.2 * peak) & (cap <= 1.05 * peak)).all()
    source = graph["x"].neuron
    assert source is not None
    assert source.threshold is not None
    assert np.allclose(source.threshold, np.abs(calibration.images).max(axis=(0, 2, 3)))


def test_quantising_needs_thresholds(calibration: Calibration) -> None:
    (placed, thresholds) = quantize_weights(calibration, OPTIONS).requires
    placed(residual())
    with pytest.raises(InvariantError) as caught:
        thresholds(residual())
    assert caught.value.where.node == "x"


def test_scales_of_sources_are_folded_into_the_weights_behind_them(
    calibration: Calibration,
) -> None:
    graph = calibrate_thresholds(calibration, OPTIONS).apply(residual())
    graph = quantize_weights(calibration, OPTIONS).apply(graph)
    integers_set(graph)
    source, sink = graph["ra"].quantized, graph["out"].quantized
    assert source is not None
    assert sink is not None
    (connection,) = (c for c in sink.connections if c.source == "ra")
    (factor,) = connection.factors
    unit = sink.step.reshape(4, 1, 1, 1) * 2.0**connection.exponent
    real = graph["b"].params[1] * source.population.scale.reshape(1, 4, 1, 1)
    assert (np.abs(factor.weights * unit - real) <= 0.5001 * unit).all()  # type: ignore[union-attr]


def test_a_walk_ends_in_a_program_whose_means_are_the_networks(calibration: Calibration) -> None:
    graph = calibrate_thresholds(calibration, OPTIONS).apply(residual())
    graph = quantize_weights(calibration, OPTIONS).apply(graph)
    calibrated = calibrate_bias(calibration, ReferenceBackend(), OPTIONS).apply(graph)
    for name in ("r", "ra", "out"):
        expected = activations(graph, calibration, name)
        before, after = (_time_means(g, calibration, name) for g in (graph, calibrated))
        assert ((after - expected) ** 2).mean() < ((before - expected) ** 2).mean()
        means = expected.mean(axis=(0, 2, 3))
        assert np.abs(after.mean(axis=(0, 2, 3)) - means).max() < 0.03 * means.max()


def _time_means(graph: Graph, calibration: Calibration, name: str) -> np.ndarray:
    program = lower(graph, OPTIONS)
    units = np.rint(calibration.images / program.input.scale).astype(np.int64)
    run = ReferenceBackend().run(program, units, record=frozenset([name]))
    population = program.population(name)
    assert isinstance(population, AdaFire)
    return np.asarray(run.spikes[name].sum(axis=1) * population.scale / OPTIONS.timesteps)


def test_a_regions_bias_is_what_its_layers_give_to_silence(calibration: Calibration) -> None:
    graph = residual()
    bias = Region(graph, "out", calibration.ann).bias()
    assert bias.shape == (4, 1, 1)
    assert np.allclose(bias.ravel(), graph["b"].params[2])


def test_a_padded_layer_behind_a_shift_has_a_bias_per_neuron(calibration: Calibration) -> None:
    sketch = Sketch(3, 6, 6).conv("stem", 4).add("r", "Relu").batch_norm("bn").conv("c", 5)
    graph = place_neurons(OPTIONS).apply(sketch.graph())
    region = Region(graph, "c", calibration.ann)
    assert region.sources == ("r",)
    assert region.bias().shape == (5, 6, 6)


def test_the_frontier_forgets_what_nobody_reads_any_more() -> None:
    graph = residual()
    assert last_readers(graph) == {"x": "r", "r": "out", "ra": "out", "out": "head"}
    frontier = Frontier(graph)
    for name in ("x", "r", "ra"):
        frontier.advance(name, np.zeros(1), np.zeros(1))
    assert set(frontier.spikes) == {"r", "ra"}
    frontier.advance("out", np.zeros(1), np.zeros(1))
    assert set(frontier.spikes) == {"out"}
    frontier.advance("head", np.zeros(1), None)
    assert not frontier.spikes


def test_populations_behind_are_counted_along_the_longest_chain_that_fires_early() -> None:
    graph = residual()
    assert misled_behind(graph) == {"x": 3, "r": 2, "ra": 1, "out": 0, "head": 0}

    def with_window(node: Node) -> Node:
        if node.name != "ra" or node.neuron is None:
            return node
        return node.updated(neuron=replace(node.neuron, windowed=True))

    windowed = misled_behind(graph.mapped(with_window))
    assert windowed == {"x": 2, "r": 1, "ra": 1, "out": 0, "head": 0}


def test_a_pool_that_counts_passes_on_what_it_is_misled_by() -> None:
    sketch = Sketch(1, 8, 8).conv("c", 4).add("r", "Relu")
    sketch.add("p", "MaxPool", shape=(4, 4, 4), kernel_shape=(2, 2), strides=(2, 2)).conv("d", 4)
    graph = place_neurons(OPTIONS).apply(sketch.add("q", "Relu").conv("head", 2).graph())
    assert misled_behind(graph) == {"x": 2, "r": 1, "p": 1, "q": 0, "head": 0}


def test_twice_the_memory_carries_twice_the_images() -> None:
    graph = residual()
    few, many = (
        images_within_memory(graph, CompileOptions(memory_bytes=size)) for size in (2**24, 2**25)
    )
    assert many == pytest.approx(2 * few, abs=1)
