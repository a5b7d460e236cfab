"""Copies are made of the channels whose rounding costs most."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import Sketch, silenced

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler import copy_assignment
from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.copies import starts
from spikec.compiler.copy_assignment import assigned, copy_channels, widened
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.frontend.load import load_graph
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program
from spikec.compiler.rounding_costs import RoundingCosts

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
    graph = network()
    (exact,) = Ann().activations(graph, [graph.output], [images(128, seed=1)])
    return distance(program, exact[graph.output])


def distance(program: Program, exact: np.ndarray) -> float:
    """Squared error of the outputs on the same images as the ANN's."""
    quantised = np.rint(images(128, seed=1) / program.input.scale).clip(-127, 127)
    run = SimulatorBackend().run(program, quantised.astype(np.int32))
    found = run.readout[:, -1] * program.readout.scale / program.timesteps
    return float(((found - exact) ** 2).mean())


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


def test_added_neurons_go_where_they_save_most_per_neuron() -> None:
    """The layers' costs 8 and 6 would be 2 and 1.5 with a copy; that of b takes a third of it."""
    copies = {"a": np.arange(3), "b": np.arange(2)}
    costs = {"a": np.array([8.0, 0.0, 0.5]), "b": np.array([0.0, 6.0])}
    sizes = {"a": 12, "b": 4}
    add = {extra: widened(copies, costs, sizes, extra) for extra in (3, 4, 8, 15, 16, 20, 28)}
    assert {n: each.tolist() for n, each in add[3].items()} == {"a": [0, 1, 2], "b": [0, 1]}
    assert add[4]["b"].tolist() == [0, 1, 1]
    # The second copy of b saves 6/4 − 6/9 = 0.83 by 4 neurons, the first of a 6 by 12.
    assert (add[8]["a"].tolist(), add[8]["b"].tolist()) == ([0, 1, 2], [0, 1, 1, 1])
    assert add[15]["b"].tolist() == [0, 1, 1, 1, 1]
    assert (add[16]["a"].tolist(), add[16]["b"].tolist()) == ([0, 1, 2, 0], [0, 1, 1])
    assert add[20]["b"].tolist() == [0, 1, 1, 1]
    # A third carrier in a saves 8/4 − 8/9 = 1.11 by 12, a fourth of b 6/9 − 6/16 = 0.29 by 4.
    assert add[28]["a"].tolist() == [0, 1, 2, 0]
    assert add[28]["b"].tolist() == [0, 1, 1, 1, 1, 1]


def test_what_silent_channels_carry_already_counts_when_neurons_are_added() -> None:
    """Three carry channel 0: one more saves 9/9 − 9/16 = 0.44; one more of channel 1 saves 0.75."""
    copies = {"a": np.array([0, 1, 0, 0])}
    found = widened(copies, {"a": np.array([9.0, 1.0, 0.0, 0.0])}, {"a": 5}, 10)
    assert found["a"].tolist() == [0, 1, 0, 0, 1, 0]


@pytest.mark.parametrize("choices", [{}, {"fire": "retract", "windowed": False}])
def test_with_more_neurons_the_output_is_closer_on_unseen_images(
    model: onnx.ModelProto, choices: dict[str, object]
) -> None:
    programs = [compiled(model, extra_neurons=extra, **choices) for extra in (0, 0.3, 1.0)]
    errors = [error(program) for program in programs]
    assert errors[0] > 1.3 * errors[1] > 1.5 * errors[2]
    before = neurons(programs[0])
    for extra, program in zip((0.3, 1.0), programs[1:], strict=True):
        added = neurons(program) - before
        assert 0.9 * extra * before < added <= extra * before
        assert program.provenance["added_neurons"] == str(added)


def neurons(program: Program) -> int:
    """Of all populations that fire."""
    return sum(int(np.prod(p.shape)) for p in program.populations if isinstance(p, AdaFire))


def test_programs_with_more_neurons_give_the_integers_of_the_reference(
    model: onnx.ModelProto,
) -> None:
    inputs = np.random.default_rng(2).integers(-127, 128, (3, 3, 8, 8))
    for choices in ({}, {"windowed": False, "fire": "retract"}, {"reuse_silent": True}):
        program = compiled(model, extra_neurons=0.5, **choices)
        assert program.digest == compiled(model, extra_neurons=0.5, **choices).digest
        backends = (SimulatorBackend(), ReferenceBackend())
        one, other = (backend.run(program, inputs).readout for backend in backends)
        assert np.array_equal(one, other)


def test_where_channels_are_too_many_to_measure_their_layers_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Layer by layer about the same channels are copied as channel by channel, and as many."""
    options = CompileOptions(timesteps=8, phi=1, windowed=True, extra_neurons=1.0)
    graph = place_neurons(options).apply(network())
    calibration = Calibration(images(64), Ann())
    one_by_one = copy_channels(graph, calibration, options)

    class Shared(RoundingCosts):
        def found(self, live: Array) -> Float64:
            raise AssertionError("one channel was measured alone")

    monkeypatch.setattr(copy_assignment, "_MULTIPLICATIONS", 1)
    monkeypatch.setattr(copy_assignment, "RoundingCosts", Shared)
    together = copy_channels(graph, calibration, options)
    assert list(together.copies) == list(one_by_one.copies)
    added = [int(each.provenance["added_neurons"]) for each in (one_by_one, together)]
    assert added[1] == pytest.approx(added[0], rel=0.02)
    for name, copy_of in one_by_one.copies.items():
        counts = [np.bincount(found, minlength=8) for found in (copy_of, together.copies[name])]
        assert np.abs(counts[0] - counts[1]).sum() <= 0.25 * counts[0].sum()


def test_copies_of_bottlenecks_bring_the_output_closer_and_give_the_reference_s_integers() -> None:
    sketch = Sketch(3, 8, 8).conv("stem", 6).add("r", "Relu").conv("narrow", 4, kernel=1)
    sketch.conv("wide", 12, kernel=1).add("w", "Relu").conv("back", 4, kernel=1)
    sketch.add("sum", "Add", ["back", "narrow"])
    model = from_graph(sketch.add("f", "Flatten", shape=(256,)).gemm("s", 4).graph(), ["s"])
    (exact,) = Ann().activations(load_graph(model).graph, ["s"], [images(128, seed=1)])
    for choices in ({"timesteps": 1, "phi": 7}, {"windowed": False}):
        plain, wider = (compiled(model, extra_neurons=extra, **choices) for extra in (0, 1.0))
        assert {"narrow", "sum"} <= json.loads(wider.provenance["copies"]).keys()
        assert distance(wider, exact["s"]) < 0.5 * distance(plain, exact["s"])
        inputs = np.random.default_rng(2).integers(-127, 128, (3, 3, 8, 8))
        runs = [back.run(wider, inputs) for back in (SimulatorBackend(), ReferenceBackend())]
        assert np.array_equal(*(run.readout for run in runs))


def test_a_network_whose_populations_cannot_be_copied_stays_as_it_is() -> None:
    sketch = Sketch(3, 8, 8).conv("stem", 6).add("r", "Relu")
    sketch.add("p", "MaxPool", shape=(6, 4, 4), kernel_shape=(2, 2), strides=(2, 2))
    model = from_graph(sketch.add("flat", "Flatten", shape=(96,)).gemm("s", 4).graph(), ["s"])
    assert compiled(model, extra_neurons=1.0).digest == compiled(model).digest


def test_silent_channels_carry_the_channel_that_is_read_loudest() -> None:
    options = CompileOptions(timesteps=8, phi=1, windowed=True, reuse_silent=True)
    graph = place_neurons(options).apply(network())
    told: list[tuple[int, int]] = []
    reused = copy_channels(
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


def test_a_network_too_large_for_the_bound_is_measured_on_fewer_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = CompileOptions(timesteps=8, phi=1, windowed=True, reuse_silent=True)
    graph = place_neurons(options).apply(network())
    measured: list[int] = []

    class Counting(copy_assignment.RoundingCosts):
        def __init__(self, graph: Graph, node: Node, calibration: Calibration, *rest: Any) -> None:
            measured.append(len(calibration.images))
            super().__init__(graph, node, calibration, *rest)

    monkeypatch.setattr(copy_assignment, "RoundingCosts", Counting)
    for bound, images_used in ((1, 4), (2**60, 32)):
        monkeypatch.setattr(copy_assignment, "_MULTIPLICATIONS", bound)
        reused = copy_channels(graph, Calibration(images(64), Ann()), options)
        assert measured[-1] == images_used
        assert reused.copies["r"][SILENT[0]] == 5
