"""What rounding costs: channel by channel, and shared out from a layer's cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch

from spikec.compiler.ann import Ann
from spikec.compiler.calibration import Calibration
from spikec.compiler.influences import influences
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.rounding_costs import RoundingCosts

OPTIONS = CompileOptions(timesteps=4, phi=2)
IMAGES = np.random.default_rng(1).normal(0, 1, (48, 3, 8, 8)).astype(np.float32)


def network() -> Graph:
    """A rectified layer with a skip connection around another, and a signed one."""
    sketch = Sketch(3, 8, 8).conv("stem", 8).add("r", "Relu").conv("a", 8).add("ra", "Relu")
    sketch.conv("b", 8, kernel=1).add("sum", "Add", ["b", "r"]).add("q", "Relu")
    sketch.conv("narrow", 6, kernel=1).conv("wide", 8).add("last", "Relu")
    sketch.add("mean", "GlobalAveragePool", shape=(8, 1, 1)).add("flat", "Flatten", shape=(8,))
    graph = place_neurons(OPTIONS).apply(sketch.gemm("scores", 5).graph())
    return graph.mapped(read_unevenly)


def read_unevenly(node: Node) -> Node:
    """Each channel is read louder than the one before it."""
    if node.op != "Conv" or node.name == "stem":
        return node
    loudness = np.geomspace(0.3, 3, node.params[1].shape[1]).reshape(1, -1, 1, 1)
    weights = (node.params[1] * loudness).astype(np.float32)
    return node.updated(params={**node.params, 1: weights})


def costs(name: str) -> RoundingCosts:
    graph = network()
    return RoundingCosts(graph, graph[name], Calibration(IMAGES, Ann()), OPTIONS)


@pytest.mark.parametrize("name", ["r", "ra", "q", "narrow"])
def test_one_channel_costs_the_same_either_way(name: str) -> None:
    layer, channels = costs(name), network()[name].known_shape()[0]
    alone = layer.found(np.ones(channels, np.bool_))
    assert (alone > 0).all()
    for channel in (0, channels - 1):
        live = np.arange(channels) == channel
        shared = layer.shared(live, np.full(channels, 7.0))
        assert shared[channel] == pytest.approx(alone[channel], rel=1e-6)
        assert np.count_nonzero(shared) == 1


@pytest.mark.parametrize("name", ["r", "ra", "q", "narrow"])
def test_what_a_layer_costs_is_shared_out_about_as_its_channels_cost_alone(name: str) -> None:
    layer, influence = costs(name), influences(network())[name]
    live = np.ones(len(influence), np.bool_)
    alone, shared = layer.found(live), layer.shared(live, influence)
    assert 0.5 < shared.sum() / alone.sum() < 2
    assert np.corrcoef(np.log(alone), np.log(shared))[0, 1] > 0.8


def test_what_is_told_exactly_costs_nothing() -> None:
    dead = np.zeros(8, np.bool_)
    assert not costs("ra").shared(dead, np.ones(8)).any()
    assert not costs("ra").found(dead).any()


def test_values_below_zero_are_told_by_signed_neurons() -> None:
    """Rounded at zero alone they would cost far more; eight levels each way tell them well."""
    graph = network()
    node = graph["narrow"]
    assert node.neuron is not None
    rectified = node.updated(neuron=replace(node.neuron, fire=OPTIONS.fire))
    cut = RoundingCosts(graph, rectified, Calibration(IMAGES, Ann()), OPTIONS)
    live = np.ones(6, np.bool_)
    assert costs("narrow").found(live).sum() < 0.1 * cut.found(live).sum()
