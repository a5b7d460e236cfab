"""Channels that never fire carry copies of those whose rounding costs most."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import Sketch, silenced

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler import silent_channels
from spikec.compiler.ann import Ann
from spikec.compiler.calibration import Calibration
from spikec.compiler.copies import starts
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.frontend.load import load_graph
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program
from spikec.compiler.silent_channels import assigned, reuse_silent

SILENT = [1, 4, 6]


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 3, 8, 8)).astype(np.float32)


def network() -> Graph:
    """A residual network whose first layer has three silent channels, and a loud one."""
    sketch = Sketch(3, 8, 8).conv("stem", 8).add("r", "Relu").conv("a", 8).add("ra", "Relu")
    sketch.conv("b", 8).add("sum", "Add", ["b", "r"]).add("out", "Relu")
    sketch.conv("depth", 8, groups=8).add("rd", "Relu")
    sketch.add("mean", "GlobalAveragePool", shape=(8, 1, 1)).add("flat", "Flatten", shape=(8,))

    graph = silenced(sketch.gemm("scores", 4).graph(), "stem", SILENT)

    def louder(node: Node) -> Node:
        """Channel 5 of the first layer is read louder than the others."""
        if node.name != "a":
            return node
        weights = node.params[1].copy()
        weights[:, 5] *= 6
        return node.updated(params={**node.params, 1: weights})

    return graph.mapped(louder)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return from_graph(network(), ["scores"])


def compiled(model: onnx.ModelProto, **choices: object) -> Program:
    given = {"timesteps": 8, "phi": 1, "windowed": True, **choices}
    options = CompileOptions(**given)  # type: ignore[arg-type]
    loaded = load_graph(model, simplified=False)
    return compile_graph(loaded, images(64), options, SimulatorBackend()).program


def error(program: Program) -> float:
    """Squared error of the outputs on unseen images."""
    graph, inputs = network(), images(128, seed=1)
    (exact,) = Ann().activations(graph, [graph.output], [inputs])
    quantised = np.rint(inputs / program.input.scale).clip(-127, 127).astype(np.int32)
    run = SimulatorBackend().run(program, quantised)
    found = run.readout[:, -1] * program.readout.scale / program.timesteps
    return float(((found - exact[graph.output]) ** 2).mean())


def test_slots_go_where_they_lower_the_cost_most() -> None:
    """9 → 9/4 saves 6.75, 4 → 1 saves 3, 9/4 → 1 saves 1.25: the last slot goes to the first."""
    costs = np.array([9.0, 0.0, 4.0, 0.1, 0.0, 0.0, 0.0])
    assert assigned(costs, np.array([1, 4, 5])).tolist() == [0, 0, 2, 3, 2, 0, 6]
    assert assigned(costs, np.array([1, 4, 5, 6]))[6] == 2


def test_a_copy_that_saves_next_to_nothing_is_not_made() -> None:
    assert assigned(np.array([1.0, 0.0, 0.0]), np.array([1, 2])).tolist() == [0, 0, 0]
    assert assigned(np.zeros(3), np.array([1])).tolist() == [0, 1, 2]
    costs = np.array([100.0, 0.0, 1e-3])
    slots = assigned(np.append(costs, np.zeros(20)), np.arange(3, 23))
    assert (slots[3:] == 0).sum() == 5  # a sixth copy saves 1/36 − 1/49 of it, below 1 %
    assert slots[22] == 22


def test_silent_channels_carry_the_channel_that_is_read_loudest() -> None:
    options = CompileOptions(timesteps=8, phi=1, windowed=True)
    graph = place_neurons(options).apply(network())
    told: list[tuple[int, int]] = []
    reused = reuse_silent(
        graph, Calibration(images(64), Ann()), options, lambda *done: told.append(done)
    )
    copy_of = reused.copies["r"]
    live = [channel for channel in range(8) if channel not in SILENT]
    assert copy_of[live].tolist() == live
    assert copy_of[SILENT[0]] == 5
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"windowed": False},
        {"windowed": False, "fire": "retract"},
        {"timesteps": 2, "phi": 3},
    ],
)
def test_the_output_is_closer_on_unseen_images(
    model: onnx.ModelProto, choices: dict[str, object]
) -> None:
    without, reused = (
        error(compiled(model, reuse_silent=reuse, **choices)) for reuse in (False, True)
    )
    assert reused < without


def test_copies_fire_from_starts_of_their_own_and_the_program_says_whose_they_are(
    model: onnx.ModelProto,
) -> None:
    program = compiled(model, reuse_silent=True)
    told = json.loads(program.provenance["copies"])
    population = next(p for p in program.populations if p.name in told)
    assert isinstance(population, AdaFire)
    copy_of = np.array(told[population.name])
    threshold = np.broadcast_to(population.threshold, population.shape)[:, 0, 0]
    assert np.array_equal(threshold, threshold[copy_of])
    initial = np.broadcast_to(population.initial, population.shape)[:, 0, 0]
    start = starts(copy_of)
    members = copy_of == copy_of[SILENT[0]]
    gaps = np.diff(initial[members]) - np.diff(start[members]) * threshold[members][1:]
    assert np.abs(gaps).max() <= program.timesteps  # remainders of biases are in it
    inputs = np.random.default_rng(2).integers(-127, 128, (3, 3, 8, 8))
    one, other = (b.run(program, inputs).readout for b in (SimulatorBackend(), ReferenceBackend()))
    assert np.array_equal(one, other)


def test_a_network_without_silent_channels_stays_as_it_is() -> None:
    sketch = Sketch(3, 8, 8).conv("stem", 6).add("r", "Relu")
    model = from_graph(sketch.add("flat", "Flatten", shape=(384,)).gemm("s", 4).graph(), ["s"])
    without, reused = (compiled(model, reuse_silent=reuse) for reuse in (False, True))
    assert "copies" not in reused.provenance
    assert reused.digest == without.digest


def test_potentials_per_neuron_keep_copies_apart(model: onnx.ModelProto) -> None:
    program = compiled(model, reuse_silent=True, potential_calibration=True)
    assert error(program) < 1.1 * error(compiled(model, potential_calibration=True))


def test_a_stream_of_images_that_can_be_read_once_is_left_to_the_thresholds(
    model: onnx.ModelProto,
) -> None:
    options = CompileOptions(
        timesteps=8, phi=1, reuse_silent=True, calibration_images=32, threshold_images=64
    )
    batches = (images(64)[at : at + 16] for at in range(0, 64, 16))
    loaded = load_graph(model, simplified=False)
    program = compile_graph(loaded, batches, options, SimulatorBackend()).program
    assert "copies" in program.provenance


def test_of_a_network_too_large_for_the_bound_the_first_layer_is_measured_on_fewer_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = CompileOptions(timesteps=8, phi=1, windowed=True)
    graph = place_neurons(options).apply(network())
    measured: list[int] = []

    class Counting(silent_channels._Costs):
        def __init__(self, graph: Graph, node: Node, calibration: Calibration, *rest: Any) -> None:
            measured.append(len(calibration.images))
            super().__init__(graph, node, calibration, *rest)

    monkeypatch.setattr(silent_channels, "_Costs", Counting)
    for bound, images_used in ((1, 4), (2**60, 32)):
        monkeypatch.setattr(silent_channels, "_MULTIPLICATIONS", bound)
        reused = reuse_silent(graph, Calibration(images(64), Ann()), options)
        assert measured[-1] == images_used
        assert reused.copies["r"][SILENT[0]] == 5
