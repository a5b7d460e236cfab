"""Integers follow the neurons that they depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch
from searches import quantized

from spikec.compiler.frontier import population_nodes
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import AdaFire, MaxPool
from spikec.compiler.search.choices import compressed
from spikec.compiler.search.requantize import again, followed, requantized
from spikec.compiler.search_options import SearchOptions

OPTIONS = CompileOptions(timesteps=4, phi=3, search=SearchOptions(phi=True))


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Four layers, a maximum behind the second, and a shortcut from the first to the fourth."""
    sketch = Sketch(2, 6, 6).conv("a", 4).add("ra", "Relu").conv("b", 4).add("rb", "Relu")
    sketch.add("pool", "MaxPool", kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    sketch.conv("c", 4).add("rc", "Relu").conv("d", 4)
    sketch.add("both", "Add", ["d", "ra"]).add("rd", "Relu").conv("head", 2)
    return quantized(sketch.graph(), OPTIONS)[0]


def compression(graph: Graph, name: str, ratio: float) -> tuple[Node, list[Node], Quantized]:
    """A layer compressed, all behind it, and its new integers."""
    nodes = population_nodes(graph)
    at = [node.name for node in nodes].index(name)
    own = nodes[at].neuron
    assert own is not None
    node = nodes[at].updated(neuron=compressed(own, ratio))
    scales = {n.name: n.quantized.population.scale for n in nodes if n.quantized is not None}
    return node, list(nodes[at + 1 :]), again(graph, node, scales, OPTIONS)


def test_those_that_read_a_layer_follow_it_and_no_others(graph: Graph) -> None:
    _, behind, integers = compression(graph, "ra", 1.7)
    assert set(followed(graph, behind, "ra", integers, OPTIONS)) == {"ra", "rb", "rd"}


def test_those_behind_a_maximum_follow_as_it_hands_scales_on(graph: Graph) -> None:
    _, behind, integers = compression(graph, "rb", 1.7)
    found = followed(graph, behind, "rb", integers, OPTIONS)
    assert set(found) == {"rb", "pool", "rc"}
    pool = found["pool"].population
    assert isinstance(pool, MaxPool)
    np.testing.assert_array_equal(pool.scale.ravel(), integers.population.scale.ravel())


def test_those_that_read_are_what_all_would_be_and_the_rest_differs_by_rounding(
    graph: Graph,
) -> None:
    node, behind, integers = compression(graph, "ra", 1.7)
    found = followed(graph, behind, "ra", integers, OPTIONS)
    changed = graph.mapped(lambda other: node if other.name == "ra" else other)
    whole = requantized(changed, frozenset({"ra"}), OPTIONS)
    for other in behind:
        expected, own = whole[other.name].quantized, other.quantized
        assert expected is not None
        assert own is not None
        made = found.get(other.name, own)
        if other.name == "rb":
            assert isinstance(made.population, AdaFire)
            assert isinstance(expected.population, AdaFire)
            assert np.array_equal(made.population.threshold, expected.population.threshold)
            (weights,) = made.connections[0].factors
            (others,) = expected.connections[0].factors
            assert np.array_equal(weights.weights, others.weights)  # type: ignore[union-attr]
        assert made.population.scale == pytest.approx(expected.population.scale, rel=1 / 32)


def test_the_same_integers_move_nothing_behind_those_that_read(graph: Graph) -> None:
    nodes = population_nodes(graph)
    own = nodes[1].quantized
    assert own is not None
    same = followed(graph, nodes[2:], "ra", replace(own), OPTIONS)
    assert set(same) == {"ra", "rb", "rd"}
    for name, made in same.items():
        before = graph[name].quantized
        assert before is not None
        assert np.array_equal(made.population.scale, before.population.scale)
