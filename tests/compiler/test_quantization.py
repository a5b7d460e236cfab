from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch

from spikec.compiler.connections import Conv, Dense, Gather, Identity, SumPool
from spikec.compiler.errors import BoundError
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.paths import current_paths
from spikec.compiler.populations import AdaFire, Readout
from spikec.compiler.quantization import Setting, quantize, with_setting

OPTIONS = CompileOptions(timesteps=8, phi=4)


def placed(sketch: Sketch) -> Graph:
    return place_neurons(OPTIONS).apply(sketch.graph())


def with_threshold(graph: Graph, name: str, threshold: np.ndarray) -> Node:
    node = graph[name]
    assert node.neuron is not None
    return node.updated(neuron=replace(node.neuron, threshold=threshold))


def residual() -> Graph:
    sketch = Sketch(3, 6, 6).conv("stem", 4).add("r", "Relu").conv("a", 4).add("ra", "Relu")
    return placed(
        sketch.conv("b", 4).add("sum", "Add", ["b", "r"]).add("out", "Relu").conv("head", 2)
    )


def quantized_residual() -> tuple[Graph, Quantized, dict[str, np.ndarray]]:
    graph = residual()
    scales = {"ra": np.linspace(0.1, 0.4, 4), "r": np.linspace(1.0, 2.0, 4)}
    spread = {name: scale.reshape(4, 1, 1) for name, scale in scales.items()}
    node = with_threshold(graph, "out", np.linspace(0.5, 1.5, 4))
    bias = np.linspace(-0.3, 0.3, 4).reshape(4, 1, 1)
    return graph, quantize(node, current_paths(graph, "out"), spread, bias, OPTIONS), scales


def test_integer_weights_are_the_scaled_real_ones_within_half_a_step() -> None:
    graph, quantized, scales = quantized_residual()
    step = quantized.step.reshape(-1)
    for connection in quantized.connections:
        (factor,) = connection.factors
        unit = step * 2.0**connection.exponent
        if isinstance(factor, Conv):
            real = graph["b"].params[1] * scales["ra"][None, :, None, None]
            error = factor.weights * unit[:, None, None, None] - real
            assert (np.abs(error) <= 0.5001 * unit[:, None, None, None]).all()
        else:
            assert isinstance(factor, Identity)
            assert (np.abs(factor.weights * unit - scales["r"]) <= 0.5001 * unit).all()


def test_every_connection_uses_the_full_width_of_its_weights() -> None:
    _, quantized, _ = quantized_residual()
    for connection in quantized.connections:
        (factor,) = connection.factors
        assert isinstance(factor, Conv | Identity)
        largest = np.abs(factor.weights.astype(int)).reshape(4, -1).max(axis=1)
        assert largest.max() <= 127
        assert np.median(largest) >= 64


def test_the_rounding_of_a_threshold_is_in_the_scale() -> None:
    _, quantized, _ = quantized_residual()
    population = quantized.population
    assert isinstance(population, AdaFire)
    assert np.array_equal(population.scale, population.threshold * quantized.step)
    real = np.linspace(0.5, 1.5, 4).reshape(4, 1, 1)
    assert (np.abs(population.scale - real) <= 0.5001 * quantized.step).all()


def test_a_whole_threshold_is_not_rounded_and_weights_keep_their_width() -> None:
    graph, rounded, scales = quantized_residual()
    spread = {name: scale.reshape(4, 1, 1) for name, scale in scales.items()}
    node = with_threshold(graph, "out", np.linspace(0.5, 1.5, 4))
    paths = current_paths(graph, "out")
    made = quantize(node, paths, spread, rounded.bias, OPTIONS, whole=True)
    np.testing.assert_allclose(made.population.scale.ravel(), np.linspace(0.5, 1.5, 4), rtol=1e-14)
    assert isinstance(made.population, AdaFire)
    larger = made.step / rounded.step
    assert (larger >= 1).all()
    assert (larger <= 1 + 1 / made.population.threshold).all()
    for connection in made.connections:
        (factor,) = connection.factors
        assert isinstance(factor, Conv | Identity)
        largest = np.abs(factor.weights.astype(int)).reshape(4, -1).max(axis=1)
        assert largest.max() <= 127
        assert np.median(largest) >= 64


def test_bias_and_initial_potential_add_up_to_the_real_bias_and_half_a_threshold() -> None:
    _, quantized, _ = quantized_residual()
    population = quantized.population
    assert isinstance(population, AdaFire)
    total = 8 * population.bias + population.initial - population.threshold // 2
    assert (np.abs(total * quantized.step - 8 * quantized.bias) <= 0.5001 * quantized.step).all()


def other_setting(factor: float, delay: float, correction: float) -> tuple[AdaFire, AdaFire]:
    """The population of the residual block before and after a setting."""
    graph, quantized, _ = quantized_residual()
    node = with_threshold(graph, "out", np.linspace(0.5, 1.5, 4))
    setting = Setting(np.full(4, factor), np.full(4, delay), np.full(4, correction))
    other = with_setting(node, quantized, setting, OPTIONS)
    assert other.connections == quantized.connections
    assert isinstance(quantized.population, AdaFire)
    assert isinstance(other.population, AdaFire)
    return quantized.population, other.population


def test_a_correction_moves_nothing_but_bias_and_initial_potential() -> None:
    before, after = other_setting(1.0, 0.0, 0.25)
    step = before.scale / before.threshold
    assert np.array_equal(before.threshold, after.threshold)
    moved = 8 * (after.bias - before.bias) + after.initial - before.initial
    assert (np.abs(moved * step - 8 * 0.25) <= 1.001 * step).all()


def test_a_delay_lowers_the_start_and_returns_the_charge_over_the_run() -> None:
    before, after = other_setting(1.0, 2.0, 0.0)
    assert np.array_equal(before.threshold, after.threshold)
    lowered = before.initial - after.initial
    assert (np.abs(lowered - 2 * before.threshold) <= 8).all()
    assert (np.abs(8 * (after.bias - before.bias) - lowered) <= 1).all()


def test_a_factor_scales_threshold_and_start() -> None:
    before, after = other_setting(0.5, 0.0, 0.0)
    assert (np.abs(after.threshold - before.threshold / 2) <= 1).all()
    assert np.allclose(after.scale / after.threshold, before.scale / before.threshold)
    remainder = before.initial - before.threshold // 2
    assert np.array_equal(after.initial, after.threshold // 2 + remainder)


def test_settings_are_combined_channel_by_channel() -> None:
    ours = Setting.neutral(3)
    other = Setting(np.full(3, 2.0), np.full(3, 1.0), np.full(3, 0.5))
    mixed = ours.where(np.array([True, False, True]), other)
    assert mixed.factor.tolist() == [2.0, 1.0, 2.0]
    assert mixed.delay.tolist() == [1.0, 0.0, 1.0]
    assert mixed.correction.tolist() == [0.5, 0.0, 0.5]


def test_a_read_out_has_one_scale_for_all_classes() -> None:
    graph = placed(Sketch(6).gemm("a", 5).add("r", "Relu").gemm("b", 3))
    scale = np.linspace(0.1, 0.5, 5)
    quantized = quantize(graph["b"], current_paths(graph, "b"), {"r": scale}, np.zeros(1), OPTIONS)
    assert isinstance(quantized.population, Readout)
    assert quantized.population.scale.shape == (1,)
    (connection,) = quantized.connections
    (factor,) = connection.factors
    assert isinstance(factor, Dense)
    real = graph["b"].params[1] * scale
    unit = quantized.step[0] * 2.0**connection.exponent
    assert np.abs(factor.weights * unit - real).max() <= 0.5001 * unit
    assert np.abs(factor.weights).max() == 127


def test_pools_and_index_maps_come_before_the_weights_with_their_divisor_in_them() -> None:
    pool = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1)}
    sketch = Sketch(3, 4, 4).conv("a", 4).add("r", "Relu")
    sketch.add("p", "AveragePool", shape=(4, 2, 2), ceil_mode=0, count_include_pad=0, **pool)
    graph = placed(sketch.add("f", "Flatten", shape=(16,), axis=1).gemm("g", 3))
    quantized = quantize(
        graph["g"],
        current_paths(graph, "g"),
        {"r": np.full((4, 1, 1), 0.5)},
        np.zeros(1),
        OPTIONS,
    )
    (connection,) = quantized.connections
    assert [type(factor) for factor in connection.factors] == [SumPool, Gather, Dense]
    dense = connection.factors[-1]
    assert isinstance(dense, Dense)
    unit = quantized.step[0] * 2.0**connection.exponent
    assert np.abs(dense.weights * unit - graph["g"].params[1] * 0.5 / 4).max() <= 0.5001 * unit


def test_a_bias_beyond_the_membrane_is_refused_by_the_node() -> None:
    graph = residual()
    scales = {name: np.full((4, 1, 1), 0.1) for name in ("ra", "r")}
    node = with_threshold(graph, "out", np.full(4, 1.0))
    with pytest.raises(BoundError) as caught:
        quantize(node, current_paths(graph, "out"), scales, np.full((1, 1, 1), 1e6), OPTIONS)
    assert caught.value.where.node == "out"


def test_weights_that_vanish_beside_the_threshold_are_zero() -> None:
    graph = residual()
    scales = {name: np.full((4, 1, 1), 1e-12) for name in ("ra", "r")}
    node = with_threshold(graph, "out", np.full(4, 1.0))
    quantized = quantize(node, current_paths(graph, "out"), scales, np.zeros((1, 1, 1)), OPTIONS)
    assert isinstance(quantized.population, AdaFire)
    assert quantized.population.threshold.max() <= 2**15
    for connection in quantized.connections:
        (factor,) = connection.factors
        assert isinstance(factor, Conv | Identity)
        assert not factor.weights.any()


def test_a_channel_without_weights_still_has_a_step_and_a_threshold() -> None:
    sketch = Sketch(3, 6, 6).conv("a", 4).add("r", "Relu").conv("b", 2)
    graph = placed(sketch)
    weights = graph["a"].params[1].copy()
    weights[1] = 0
    graph = graph.mapped(
        lambda node: node.updated(params={**node.params, 1: weights}) if node.name == "a" else node
    )
    node = with_threshold(graph, "r", np.full(4, 0.7))
    quantized = quantize(
        node,
        current_paths(graph, "r"),
        {"x": np.full((3, 1, 1), 0.02)},
        np.zeros((1, 1, 1)),
        OPTIONS,
    )
    assert (quantized.step > 0).all()
    assert isinstance(quantized.population, AdaFire)
    assert (quantized.population.threshold > 0).all()
