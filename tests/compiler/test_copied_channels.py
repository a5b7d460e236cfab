"""Copies of channels leave the network as it is."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch, silenced

from spikec.compiler.ann import Ann
from spikec.compiler.copied_channels import can_copy, with_copies
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons

OPTIONS = CompileOptions(timesteps=4, phi=1)
INPUTS = np.random.default_rng(1).normal(0, 1, (6, 3, 6, 6)).astype(np.float32)
COPIES = np.array([0, 1, 0, 3, 1, 0])
"""Channels 2 and 5 carry copies of channel 0, and channel 4 one of channel 1."""
FREE = [2, 4, 5]
WIDER = np.array([0, 0, 2, 3, 4, 5, 0, 3, 3, 5])
"""Channel 1 carries a copy, and four more behind the six."""
MORE = np.array([0, 1, 2, 3, 4, 5, 0, 3, 3, 5])
"""Four more carry copies."""


def read_by(name: str) -> Sketch:
    """A layer of six channels, read in different ways."""
    sketch = Sketch(3, 6, 6).conv("stem", 6).add("r", "Relu")
    match name:
        case "matrix":
            sketch.conv("deep", 4)
        case "each channel by itself":
            sketch.conv("deep", 6, groups=6)
        case "groups":
            sketch.conv("deep", 4, groups=2)
        case "a residual sum":
            sketch.conv("deep", 6).add("sum", "Add", ["deep", "r"])
        case "a dense layer":
            sketch.add("flat", "Flatten", shape=(216,)).gemm("deep", 5)
        case "a mean":
            sketch.add("mean", "GlobalAveragePool", shape=(6, 1, 1))
    return sketch.add("q", "Relu") if name != "a mean" else sketch


READERS = ("matrix", "each channel by itself", "groups", "a residual sum", "a dense layer")


def outputs(graph: Graph) -> np.ndarray:
    (found,) = Ann().activations(graph, [graph.output], [INPUTS])
    return found[graph.output]


@pytest.mark.parametrize("name", [*READERS, "a mean"])
def test_copies_in_silent_channels_leave_the_network_as_it_is(name: str) -> None:
    graph = silenced(place_neurons(OPTIONS).apply(read_by(name).graph()), "stem", FREE)
    copied = with_copies(graph, {"r": COPIES})
    assert np.abs(outputs(copied) - outputs(graph)).max() < 1e-5 * np.abs(outputs(graph)).max()
    (values,) = Ann().activations(copied, ["r"], [INPUTS])
    assert np.array_equal(values["r"], values["r"][:, COPIES])
    neuron = copied["r"].neuron
    assert neuron is not None
    assert neuron.copy_of is not None
    assert np.array_equal(neuron.copy_of, COPIES)


def test_copies_of_a_dense_layer_leave_the_network_as_it_is() -> None:
    sketch = Sketch(3, 6, 6).add("flat", "Flatten", shape=(108,)).gemm("stem", 6).add("r", "Relu")
    graph = place_neurons(OPTIONS).apply(sketch.gemm("deep", 4).add("q", "Relu").graph())
    graph = silenced(graph, "stem", FREE)
    assert can_copy(graph, graph["r"])
    expected = outputs(graph)
    found = outputs(with_copies(graph, {"r": COPIES}))
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", [*READERS, "a mean"])
def test_new_channels_leave_the_network_as_it_is(name: str) -> None:
    graph = silenced(place_neurons(OPTIONS).apply(read_by(name).graph()), "stem", [1])
    copied = with_copies(graph, {"r": WIDER})
    assert np.abs(outputs(copied) - outputs(graph)).max() < 1e-5 * np.abs(outputs(graph)).max()
    (values,) = Ann().activations(copied, ["r"], [INPUTS])
    assert np.array_equal(values["r"], values["r"][:, WIDER])
    assert copied["r"].shape == (10, 6, 6)


def made_by(name: str) -> Sketch:
    """A population q of six channels, whose current comes from different things."""
    sketch = Sketch(3, 6, 6).conv("stem", 6).add("r", "Relu")
    match name:
        case "each channel by itself":
            sketch.conv("d", 6, groups=6)
        case "a residual sum":
            sketch.conv("d", 6).add("sum", "Add", ["d", "r"])
        case "a sum of two layers":
            sketch.conv("d", 6).conv("e", 6, source="r").add("sum", "Add", ["d", "e"])
        case "a sum with a shift of channels":
            sketch.add("shift", "Transpose", ["r"], perm=(0, 1, 3, 2))
            sketch.conv("d", 6, source="r").add("sum", "Add", ["d", "shift"])
        case "a sum of three":
            sketch.conv("d", 6).add("sum1", "Add", ["d", "r"])
            sketch.conv("e", 6, source="r").add("sum", "Add", ["sum1", "e"])
    return sketch.add("q", "Relu").conv("deep", 4).add("last", "Relu")


MADE = (
    "each channel by itself",
    "a residual sum",
    "a sum of two layers",
    "a sum with a shift of channels",
    "a sum of three",
)


@pytest.mark.parametrize("name", MADE)
def test_channels_of_sums_and_depthwise_layers_are_copied_too(name: str) -> None:
    graph = place_neurons(OPTIONS).apply(made_by(name).graph())
    assert can_copy(graph, graph["q"])
    both = with_copies(graph, {"r": np.append(np.arange(6), [1, 5]), "q": MORE})
    alone = with_copies(graph, {"q": MORE})
    for copied in (both, alone):
        assert np.abs(outputs(copied) - outputs(graph)).max() < 1e-5 * np.abs(outputs(graph)).max()
        (values,) = Ann().activations(copied, ["q"], [INPUTS])
        assert np.abs(values["q"] - values["q"][:, MORE]).max() < 1e-5 * values["q"].max()


def test_channels_with_values_below_zero_are_copied_too() -> None:
    """Bottlenecks: a matrix, each channel by itself, and a sum of one with one before it."""
    sketch = Sketch(3, 6, 6).conv("stem", 6).add("r", "Relu").conv("narrow", 6, kernel=1)
    sketch.conv("wide", 9, kernel=1).add("w", "Relu").conv("back", 6, kernel=1)
    sketch.add("sum", "Add", ["back", "narrow"]).conv("d", 6, groups=6).conv("deep", 4)
    graph = place_neurons(OPTIONS).apply(sketch.add("last", "Relu").graph())
    signed = ("narrow", "sum", "d")
    expected = outputs(graph)
    for names in (*((name,) for name in signed), signed, ("sum", "w"), signed[::-1]):
        copied = with_copies(graph, {n: MORE if n != "w" else np.arange(11) % 9 for n in names})
        assert np.abs(outputs(copied) - expected).max() < 1e-5 * np.abs(expected).max()
        for name in names:
            neuron = copied[name].neuron
            assert can_copy(graph, graph[name])
            assert neuron is not None
            assert neuron.copy_of is not None
            (values,) = Ann().activations(copied, [name], [INPUTS])
            close = np.abs(values[name] - values[name][:, neuron.copy_of]).max()
            assert close < 1e-5 * np.abs(values[name]).max()
            assert (values[name] < 0).any() == (name != "w")


def refused() -> dict[str, tuple[Sketch, str]]:
    stem = lambda: Sketch(3, 6, 6).conv("stem", 6).add("r", "Relu")  # noqa: E731
    pool = {"kernel_shape": (2, 2), "strides": (2, 2)}
    return {
        "a max pool counts it": (
            stem().add("p", "MaxPool", shape=(6, 3, 3), **pool).conv("d", 4).add("q", "Relu"),
            "r",
        ),
        "a max pool behind a map": (
            stem()
            .add("t", "Transpose", perm=(0, 1, 3, 2))
            .add("p", "MaxPool", shape=(6, 3, 3), **pool),
            "r",
        ),
        "its channels are apart in groups": (
            stem().conv("d", 6, groups=2).add("q", "Relu").conv("e", 2),
            "q",
        ),
        "its current is added to itself": (
            stem().conv("d", 6).add("sum", "Add", ["d", "d"]).add("q", "Relu").conv("e", 2),
            "q",
        ),
        "something else reads its current": (
            stem().conv("d", 6).add("q", "Relu").add("sum", "Add", ["d", "q"]).add("p", "Relu"),
            "q",
        ),
        "its channels are apart in groups, below zero too": (
            stem().conv("d", 6, groups=2).conv("e", 4).add("q", "Relu"),
            "d",
        ),
    }


@pytest.mark.parametrize("reason", refused())
def test_where_a_copy_would_change_the_network_there_is_none(reason: str) -> None:
    sketch, name = refused()[reason]
    graph = place_neurons(OPTIONS).apply(sketch.graph())
    assert graph[name].neuron is not None
    assert not can_copy(graph, graph[name])
