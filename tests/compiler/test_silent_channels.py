"""Silent channels are those that no image can activate."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch, silenced

from spikec.compiler.ann import Ann
from spikec.compiler.calibration import Calibration
from spikec.compiler.frontier import sources_of
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.silent_channels import Range, reach, silent_channels

IMAGES = np.random.default_rng(0).normal(0, 1, (64, 3, 8, 8)).astype(np.float32)
POOL = {"kernel_shape": (2, 2), "strides": (2, 2)}


def placed(graph: Graph) -> Graph:
    return place_neurons(CompileOptions(timesteps=4)).apply(graph)


def stem() -> Sketch:
    return Sketch(3, 8, 8).conv("stem", 8).add("r", "Relu")


def with_bias(graph: Graph, name: str, channel: int, bias: float) -> Graph:
    def edit(node: Node) -> Node:
        if node.name != name:
            return node
        values = node.params[2].copy()
        values[channel] = bias
        return node.updated(params={**node.params, 2: values})

    return graph.mapped(edit)


def activation(graph: Graph, images: np.ndarray, name: str) -> np.ndarray:
    (found,) = Ann().activations(graph, [name], [images])
    return found[name]


def test_channels_without_weights_are_silent_and_others_are_not() -> None:
    graph = placed(silenced(stem().conv("a", 6).add("q", "Relu").graph(), "stem", [1, 5]))
    found = silent_channels(graph, Calibration(IMAGES, Ann()), ["r", "q"])
    assert np.flatnonzero(found["r"]).tolist() == [1, 5]
    assert not found["q"].any()


def test_a_channel_that_another_image_activates_is_not_silent() -> None:
    graph = placed(with_bias(stem().conv("a", 6).add("q", "Relu").graph(), "a", 2, -12.0))
    assert activation(graph, IMAGES, "q")[:, 2].max() <= 0
    assert activation(graph, 12 * IMAGES, "q")[:, 2].max() > 0
    assert not silent_channels(graph, Calibration(IMAGES, Ann()), ["q"])["q"].any()


def test_weights_that_could_make_next_to_nothing_are_none() -> None:
    """A channel with weights of 1e-6 that a bias keeps below zero, or not by a little."""
    graph = silenced(stem().conv("a", 6).graph(), "stem", [3])
    tiny = graph["stem"].params[1].copy()
    tiny[3] = 1e-6

    def edit(node: Node) -> Node:
        return node.updated(params={**node.params, 1: tiny}) if node.name == "stem" else node

    graph = placed(with_bias(graph.mapped(edit), "stem", 3, -2e-5))
    ranges = {"x": Range(np.full(3, -5.0), np.full(3, 5.0))}
    assert reach(graph, graph["r"], Ann(), ranges)[3] == pytest.approx(27 * 5e-6 - 2e-5, rel=1e-3)
    assert silent_channels(graph, Calibration(IMAGES, Ann()), ["r"])["r"].tolist()[3]


def test_a_layer_in_which_nothing_fires_is_silent_as_a_whole() -> None:
    graph = placed(silenced(stem().conv("a", 6).graph(), "stem", list(range(8))))
    assert silent_channels(graph, Calibration(IMAGES, Ann()), ["r"])["r"].all()
    assert silent_channels(graph, Calibration(IMAGES, Ann()), []) == {}


def test_each_weight_takes_the_end_of_its_source_that_drives_most() -> None:
    """Weights 2, −3 and 1 on values in −1…4, −2…5 and 0…0.5: 8 + 6 + 0.5, and a bias of −7."""
    weights = np.array([2.0, -3.0, 1.0]).reshape(1, 3, 1, 1).astype(np.float32)
    params = {1: weights, 2: np.array([-7.0], np.float32)}
    sketch = Sketch(3, 8, 8).add("c", "Conv", params=params, shape=(1, 8, 8), kernel_shape=(1, 1))
    graph = placed(sketch.add("r", "Relu").conv("a", 2).graph())
    ranges = {"x": Range(np.array([-1.0, -2.0, 0.0]), np.array([4.0, 5.0, 0.5]))}
    assert reach(graph, graph["r"], Ann(), ranges) == pytest.approx([7.5])


@pytest.mark.parametrize(
    ("sketch", "exact"),
    [
        (stem().conv("a", 8).add("sum", "Add", ["a", "r"]).add("q", "Relu"), False),
        (stem().conv("d", 8, groups=8).add("q", "Relu"), False),
        (stem().conv("d", 6, stride=2, groups=2).add("q", "Relu"), False),
        (
            stem().add("m", "AveragePool", shape=(8, 4, 4), **POOL).conv("a", 5).add("q", "Relu"),
            False,
        ),
        (
            stem().conv("a", 5).add("m", "AveragePool", shape=(5, 4, 4), **POOL).add("q", "Relu"),
            False,
        ),
        (
            stem()
            .add("g", "GlobalAveragePool", shape=(8, 1, 1))
            .add("f", "Flatten", shape=(8,))
            .gemm("h", 5)
            .add("q", "Relu"),
            True,
        ),
        (stem().add("f", "Flatten", shape=(512,)).gemm("h", 5).add("q", "Relu"), True),
        (
            stem()
            .add("s", "Transpose", shape=(8, 8, 8), perm=(0, 2, 3, 1))
            .conv("a", 5)
            .add("q", "Relu"),
            False,
        ),
    ],
    ids=["sum", "depthwise", "groups", "pool", "pooled", "global", "flat", "mixed"],
)
def test_no_input_in_the_range_gets_further(sketch: Sketch, exact: bool) -> None:
    """Sources at either end of their range, at random and as the weights want it."""
    graph = placed(sketch.gemm("o", 3, "q").graph() if exact else sketch.conv("o", 3, "q").graph())
    node = graph["q"]
    random = np.random.default_rng(1)
    (name,) = {*sources_of(graph, node)} & {"r"}
    shape = graph[name].known_shape()
    high = random.uniform(0.5, 2, shape[0])
    bound = reach(graph, node, Ann(), {"r": Range(np.zeros(shape[0]), high)})
    top = np.broadcast_to(high.reshape(-1, 1, 1), shape).astype(np.float32)
    ends = np.concatenate([np.ones((1, *shape)), random.integers(0, 2, (500, *shape))])
    region = Ann().region(graph, ["r"], [graph.sources("q")[0]])
    drive = region({"r": (ends * top).astype(np.float32)})[graph.sources("q")[0]]
    found = drive.max(axis=(0, *range(2, drive.ndim)))
    assert (found <= bound + 1e-4).all()
    assert (bound < 40 * np.abs(drive).max()).all()
    if exact:
        per_input = [region({"r": one})[graph.sources("q")[0]] for one in _each(shape, top)]
        silence = region({"r": np.zeros((1, *shape), np.float32)})[graph.sources("q")[0]]
        best = silence + np.maximum(np.array(per_input) - silence, 0).sum(axis=0)
        assert bound == pytest.approx(best[0], rel=1e-4)


def _each(shape: tuple[int, ...], top: np.ndarray) -> list[np.ndarray]:
    """One value at a time at its top."""
    found = []
    for index in np.ndindex(*shape):
        one = np.zeros((1, *shape), np.float32)
        one[0][index] = top[index]
        found.append(one)
    return found
