"""Copies of a channel leave the network as it is and round it finer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch, silenced
from hypothesis import given
from hypothesis import strategies as st

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.ann import Ann
from spikec.compiler.copies import can_copy, carriers, starts, together, with_copies
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.populations import AdaFire, Fire

OPTIONS = CompileOptions(timesteps=4, phi=1)
INPUTS = np.random.default_rng(1).normal(0, 1, (6, 3, 6, 6)).astype(np.float32)
COPIES = np.array([0, 1, 0, 3, 1, 0])
"""Channels 2 and 5 carry copies of channel 0, and channel 4 one of channel 1."""
FREE = [2, 4, 5]


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


@given(st.lists(st.integers(0, 3), min_size=4, max_size=9), st.integers(-9, 999))
def test_all_carriers_together_round_as_one_of_a_smaller_threshold(
    others: list[int], eighths: int
) -> None:
    copy_of = np.array([0, 1, 2, 3, *others])
    k, start = carriers(copy_of), starts(copy_of)
    for channel in range(4):
        members = copy_of == channel
        assert k[channel] == members.sum()
        x = eighths / 8 + 0.013
        assert np.floor(x + start[members]).sum() == np.floor(k[channel] * x + 0.5)


@pytest.mark.parametrize("windowed", [False, True])
def test_binary_copies_fire_at_every_step_what_one_neuron_of_more_payload_fires(
    *, windowed: bool
) -> None:
    """Three neurons of threshold 3θ started θ apart; in a window, in all."""
    random = np.random.default_rng(0)
    current = random.integers(-40, 90, (12, 5, 4), dtype=np.int32)
    ones = np.ones(4)
    theta = np.array([50, 61, 20, 33], np.int32)
    zeros = np.zeros(4, np.int32)
    one = AdaFire("n", (4,), theta, zeros, theta // 2, 3, Fire.PLAIN, windowed, ones)
    backend = ReferenceBackend()
    expected = backend.fire(one, current, 12, 2**23 - 1).spikes
    found = np.zeros_like(expected)
    for j in range(3):
        initial = theta // 2 + j * theta
        part = replace(one, threshold=3 * theta, initial=initial, phi=1)
        found += backend.fire(part, current, 12, 2**23 - 1).spikes
    if windowed:
        expected, found = expected.sum(axis=0), found.sum(axis=0)
    assert np.array_equal(found, expected)


def test_values_of_copies_become_their_mean() -> None:
    values = np.arange(12.0).reshape(1, 6, 2)
    found = together(values.copy(), COPIES)
    assert found[0, :, 0].tolist() == [14 / 3, 5.0, 14 / 3, 6.0, 5.0, 14 / 3]
    assert together(values, None) is values


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
        "its current is a sum": (
            stem().conv("d", 6).add("sum", "Add", ["d", "r"]).add("q", "Relu").conv("e", 2),
            "q",
        ),
        "its channels are apart": (
            stem().conv("d", 6, groups=6).add("q", "Relu").conv("e", 2),
            "q",
        ),
        "it has values below zero": (stem().conv("d", 3).conv("e", 4).add("q", "Relu"), "d"),
    }


@pytest.mark.parametrize("reason", refused())
def test_where_a_copy_would_change_the_network_there_is_none(reason: str) -> None:
    sketch, name = refused()[reason]
    graph = place_neurons(OPTIONS).apply(sketch.graph())
    assert graph[name].neuron is not None
    assert not can_copy(graph, graph[name])
