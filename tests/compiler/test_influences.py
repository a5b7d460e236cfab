"""Errors of channels, followed to the output through squares of weights."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch

from spikec.compiler.ann import Ann
from spikec.compiler.influences import influences
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons


def placed(sketch: Sketch, **choices: object) -> Graph:
    options = CompileOptions(timesteps=4, phi=1, **choices)  # type: ignore[arg-type]
    return place_neurons(options).apply(sketch.graph())


def test_through_dense_layers_they_are_products_of_squared_weights() -> None:
    graph = placed(
        Sketch(5).gemm("a", 6).add("ra", "Relu").gemm("b", 7).add("rb", "Relu").gemm("c", 3)
    )
    found = influences(graph)
    b, c = (np.asarray(graph[name].params[1], np.float64) ** 2 for name in "bc")
    assert list(found) == ["rb", "ra"]
    np.testing.assert_allclose(found["rb"], c.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["ra"], (c @ b).sum(axis=0), rtol=1e-12)


def measured(graph: Graph, name: str, channel: int) -> float:
    """Summed squared error of the outputs when a channel's neurons are off by ±1 at random."""
    shape = graph[name].known_shape()
    random = np.random.default_rng(channel)
    region = Ann().region(graph, [name], [graph.output])
    values = np.full((2000, *shape), 50, np.float32)  # far above what a rectifier cuts
    exact = region({name: values})[graph.output]
    values[:, channel] += random.choice([-1, 1], values[:, channel].shape).astype(np.float32)
    change = (region({name: values})[graph.output] - exact).astype(np.float64)
    return float((change**2).sum(axis=1).mean())


def read(by: str) -> Graph:
    sketch = Sketch(4, 6, 6).conv("s", 5).add("r", "Relu")
    match by:
        case "a mean":
            sketch.add("mean", "GlobalAveragePool", shape=(5, 1, 1)).add("f", "Flatten", shape=(5,))
        case "each position":
            sketch.add("f", "Flatten", shape=(180,))
        case "a pool":
            pool = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0,) * 4}
            sketch.add("p", "AveragePool", shape=(5, 3, 3), **pool).add("f", "Flatten", shape=(45,))
    return placed(sketch.gemm("scores", 3))


@pytest.mark.parametrize("by", ["a mean", "each position", "a pool"])
def test_they_are_what_random_errors_do(by: str) -> None:
    graph = read(by)
    found = influences(graph)["r"]
    for channel in range(5):
        assert found[channel] == pytest.approx(measured(graph, "r", channel), rel=0.1)


def test_through_a_convolution_and_around_it_both_ways_count() -> None:
    """Of each position: a column of the kernels, and the way past them."""
    sketch = Sketch(4, 6, 6).conv("s", 5).add("r", "Relu").conv("d", 5)
    sketch.add("sum", "Add", ["d", "r"]).add("q", "Relu").conv("e", 3, kernel=1)
    graph = placed(sketch.add("last", "Relu").conv("scores", 2, kernel=1))
    found = influences(graph)
    d, e, last = (np.asarray(graph[n].params[1], np.float64) ** 2 for n in ("d", "e", "scores"))
    behind = (last[:, :, 0, 0] @ e[:, :, 0, 0]).sum(axis=0)
    np.testing.assert_allclose(found["q"], behind, rtol=1e-12)
    np.testing.assert_allclose(found["r"], behind @ d.sum(axis=(2, 3)) + behind, rtol=1e-12)


def test_channels_of_one_threshold_count_alike() -> None:
    """A transposition mixes channels: the sum over all is kept."""
    sketch = Sketch(4, 6, 6).conv("s", 6).add("r", "Relu")
    graph = placed(sketch.add("t", "Transpose", perm=(0, 3, 2, 1)).conv("scores", 3, kernel=1))
    neuron = graph["r"].neuron
    assert neuron is not None
    assert not neuron.per_channel
    weights = np.asarray(graph["scores"].params[1], np.float64) ** 2
    np.testing.assert_allclose(influences(graph)["r"], np.full(6, weights.sum() / 6), rtol=1e-12)


def test_a_max_pool_passes_one_of_the_values_that_it_compares() -> None:
    sketch = Sketch(4, 6, 6).conv("s", 5).add("r", "Relu")
    sketch.add("p", "MaxPool", shape=(5, 3, 3), kernel_shape=(2, 2), strides=(2, 2), pads=(0,) * 4)
    graph = placed(sketch.conv("scores", 3, kernel=1))
    weights = np.asarray(graph["scores"].params[1], np.float64) ** 2
    np.testing.assert_allclose(influences(graph)["r"], weights.sum(axis=(0, 2, 3)), rtol=1e-12)
