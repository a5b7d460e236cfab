"""Silent channels are those that no image can activate."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch, silenced

from spikec.compiler.ann import Ann
from spikec.compiler.bounds import Interval
from spikec.compiler.calibration import Calibration
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.silent_channels import reach, silent_channels

IMAGES = np.random.default_rng(0).normal(0, 1, (64, 3, 8, 8)).astype(np.float32)
POOL = {"kernel_shape": (2, 2), "strides": (2, 2)}


def placed(graph: Graph) -> Graph:
    return place_neurons(CompileOptions(timesteps=4)).apply(graph)


def stem() -> Sketch:
    return Sketch(3, 8, 8).conv("stem", 8).add("r", "Relu")


def changed(graph: Graph, name: str, slot: int, channel: int, value: float) -> Graph:
    """The graph in which a channel's weights (slot 1) or bias (slot 2) are one number."""
    params = dict(graph[name].params)
    params[slot] = params[slot].copy()
    params[slot][channel] = value
    other = graph[name].updated(params=params)
    return graph.mapped(lambda node: other if node.name == name else node)


def activation(graph: Graph, images: np.ndarray, name: str) -> np.ndarray:
    (found,) = Ann().activations(graph, [name], [images])
    return found[name]


def test_channels_without_weights_are_silent_and_others_are_not() -> None:
    graph = placed(silenced(stem().conv("a", 6).add("q", "Relu").graph(), "stem", [1, 5]))
    found = silent_channels(graph, Calibration(IMAGES, Ann()), ["r", "q"])
    assert np.flatnonzero(found["r"]).tolist() == [1, 5]
    assert not found["q"].any()


def test_a_channel_that_another_image_activates_is_not_silent() -> None:
    graph = placed(changed(stem().conv("a", 6).add("q", "Relu").graph(), "a", 2, 2, -12.0))
    assert activation(graph, IMAGES, "q")[:, 2].max() <= 0
    assert activation(graph, 12 * IMAGES, "q")[:, 2].max() > 0
    assert not silent_channels(graph, Calibration(IMAGES, Ann()), ["q"])["q"].any()


def test_weights_that_could_make_next_to_nothing_are_none() -> None:
    """A channel with weights of 1e-6 that a bias keeps below zero, or not by a little."""
    faint = changed(stem().conv("a", 6).graph(), "stem", 1, 3, 1e-6)
    graph = placed(changed(faint, "stem", 2, 3, -2e-5))
    ranges = {"x": Interval(np.full(3, -5.0), np.full(3, 5.0))}
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
    ranges = {"x": Interval(np.array([-1.0, -2.0, 0.0]), np.array([4.0, 5.0, 0.5]))}
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
    (drive_of,) = graph.sources("q")
    shape = graph["r"].known_shape()
    random = np.random.default_rng(1)
    high = random.uniform(0.5, 2, shape[0])
    bound = reach(graph, graph["q"], Ann(), {"r": Interval(np.zeros(shape[0]), high)})
    region = Ann().region(graph, ["r"], [drive_of])

    def drives(ends: np.ndarray) -> np.ndarray:
        """Currents while each value is at its top, or at a part of it."""
        values = ends.reshape(-1, *shape) * high.reshape(-1, 1, 1)
        return region({"r": values.astype(np.float32)})[drive_of]

    size = int(np.prod(shape))
    drive = drives(np.concatenate([np.ones((1, size)), random.integers(0, 2, (500, size))]))
    found = drive.max(axis=(0, *range(2, drive.ndim)))
    assert (found <= bound + 1e-4).all()
    assert (bound < 40 * np.abs(drive).max()).all()
    if exact:
        silence = drives(np.zeros((1, size)))
        best = silence[0] + np.maximum(drives(np.eye(size)) - silence, 0).sum(axis=0)
        assert bound == pytest.approx(best, rel=1e-4)
