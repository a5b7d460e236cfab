"""Integers follow the neurons that they depend on."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch
from searches import quantized

from spikec.compiler.connections import Connection, Weighted
from spikec.compiler.frontier import population_nodes
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import MaxPool
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


@pytest.mark.parametrize("ratio", [1.0, 1.7, 9.0])
def test_those_that_read_keep_their_scales_and_weights_up_to_a_step(
    graph: Graph, ratio: float
) -> None:
    node, behind, integers = compression(graph, "ra", ratio)
    found = followed(graph, behind, "ra", integers, OPTIONS)
    changed = graph.mapped(lambda other: node if other.name == "ra" else other)
    everywhere = requantized(changed, frozenset({"ra"}), OPTIONS)
    for name, rounding in {"rb": 0.0, "rd": 1 / 32}.items():  # rd also reads rc, rounded anew
        before, expected, made = graph[name].quantized, everywhere[name].quantized, found[name]
        assert before is not None
        assert expected is not None
        np.testing.assert_allclose(made.population.scale, before.population.scale, rtol=1e-12)
        for one, other in zip(made.connections, expected.connections, strict=True):
            sides = [real(quantized, c) for quantized, c in ((made, one), (expected, other))]
            steps = made.step * 2.0**one.exponent + expected.step * 2.0**other.exponent
            allowed = 0.5001 * column(steps) + rounding * np.abs(sides[1])
            assert bool((np.abs(sides[0] - sides[1]) <= allowed).all())


def real(quantized: Quantized, connection: Connection) -> np.ndarray:
    """Weights in units of the activation, (channels, weights)."""
    (weighted,) = (factor for factor in connection.factors if isinstance(factor, Weighted))
    rows = weighted.weights.reshape(len(weighted.weights), -1)
    return rows * column(quantized.step) * 2.0**connection.exponent


def column(steps: np.ndarray) -> np.ndarray:
    return steps.reshape(-1, 1)
