"""What a neuron search may change, and what the exchange of spikes between channels is for."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.ann import Ann
from spikec.compiler.calibration import Calibration
from spikec.compiler.ir import Graph
from spikec.compiler.lower import lower
from spikec.compiler.neuron_search import Freedom
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.calibrate_bias import calibrate_bias
from spikec.compiler.passes.calibrate_thresholds import calibrate_thresholds
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.passes.quantize_weights import quantize_weights
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program
from spikec.compiler.search.choices import compressed
from spikec.compiler.search.requantize import requantized

OPTIONS = CompileOptions(timesteps=8, phi=2, bias_rounds=4)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    images = np.random.default_rng(0).normal(0, 1, (64, 3, 8, 8)).astype(np.float32)
    return Calibration(images, Ann())


@pytest.fixture(scope="module")
def graph(calibration: Calibration) -> Graph:
    sketch = Sketch(3, 8, 8).conv("a", 8).add("ra", "Relu").conv("b", 8).add("rb", "Relu")
    done = place_neurons(OPTIONS).apply(sketch.conv("head", 2).graph())
    done = calibrate_thresholds(calibration, OPTIONS).apply(done)
    return quantize_weights(calibration, OPTIONS).apply(done)


def with_thresholds(graph: Graph, factor: float) -> Graph:
    changed = graph.mapped(
        lambda node: (
            node.updated(neuron=compressed(node.neuron, factor))
            if node.neuron is not None and node.name in ("ra", "rb")
            else node
        )
    )
    return requantized(changed, frozenset({"ra", "rb"}), OPTIONS)


def calibrated(graph: Graph, calibration: Calibration, freedom: Freedom) -> Graph:
    simulate = SimulatorBackend(threads=1)
    return calibrate_bias(calibration, simulate, OPTIONS, freedom=freedom).apply(graph)


def thresholds(graph: Graph, name: str) -> np.ndarray:
    neuron = graph[name].neuron
    assert neuron is not None
    assert neuron.threshold is not None
    return neuron.threshold


def spikes(program: Program, images: np.ndarray) -> int:
    units = np.rint(images / program.input.scale).astype(np.int16)
    run = SimulatorBackend(threads=1).run(program, units)
    return sum(int(run.populations[name].spikes.sum()) for name in ("ra", "rb"))


def test_biases_alone_leave_thresholds_and_delays(graph: Graph, calibration: Calibration) -> None:
    after = calibrated(graph, calibration, Freedom.BIAS)
    for name in ("ra", "rb"):
        assert np.array_equal(thresholds(after, name), thresholds(graph, name))
        neuron = after[name].neuron
        assert neuron is not None
        assert neuron.delay is not None
        assert not neuron.delay.any()


def test_what_a_full_search_chose_is_noted_and_quantises_to_the_same_integers(
    graph: Graph, calibration: Calibration
) -> None:
    before = with_thresholds(graph, 2.0)
    after = calibrated(before, calibration, Freedom.ALL)
    assert not np.array_equal(thresholds(after, "ra"), thresholds(before, "ra"))
    first = lower(after, OPTIONS).population("ra")
    again = lower(requantized(after, frozenset({"ra"}), OPTIONS), OPTIONS).population("ra")
    assert isinstance(first, AdaFire)
    assert isinstance(again, AdaFire)
    assert again.scale == pytest.approx(first.scale, rel=0.02)
    start, expected = again.initial / again.threshold, first.initial / first.threshold
    assert start == pytest.approx(expected, abs=0.1)


def test_an_exchange_undoes_no_compression_as_a_full_search_does(
    graph: Graph, calibration: Calibration
) -> None:
    small = with_thresholds(graph, 3.0)
    sent = {
        freedom: spikes(lower(calibrated(small, calibration, freedom), OPTIONS), calibration.images)
        for freedom in Freedom
    }
    assert sent[Freedom.EXCHANGE] < 1.05 * sent[Freedom.BIAS]
    assert sent[Freedom.ALL] > 1.2 * sent[Freedom.EXCHANGE]
