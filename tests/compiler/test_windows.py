"""Sums over all steps are those of the single steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import small_cnn

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler import walk
from spikec.compiler.connections import Connection, Dense
from spikec.compiler.frontend.load import load_graph
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.pipeline import compile_graph, convert
from spikec.compiler.populations import AdaFire, Fire
from spikec.compiler.program import Program
from spikec.compiler.search_options import SearchOptions
from spikec.compiler.windows import at_once, summed_current, sums_suffice

VMAX = 2**23 - 1


def neurons(count: int, *, fire: Fire = Fire.PLAIN, phi: int = 1, seed: int = 0) -> AdaFire:
    random = np.random.default_rng(seed)
    threshold, bias, initial = (
        random.integers(low, high, count, dtype=np.int32)
        for low, high in ((1, 200), (-50, 50), (-100, 100))
    )
    scale = np.ones(count)
    return AdaFire("n", (count,), threshold, bias, initial, phi, fire, windowed=True, scale=scale)


@settings(deadline=None)
@given(
    st.sampled_from([Fire.PLAIN, Fire.SIGNED]),
    st.sampled_from([(1, 1), (8, 1), (8, 3), (32, 1), (17, 15)]),
    st.integers(0, 2**32 - 1),
)
def test_one_step_fires_what_a_window_fires_in_all(
    fire: Fire, size: tuple[int, int], seed: int
) -> None:
    timesteps, phi = size
    population = neurons(24, fire=fire, phi=phi, seed=seed)
    shape = (timesteps, 5, 24)
    current = np.random.default_rng(seed).integers(-300, 300, shape, dtype=np.int32)
    window = ReferenceBackend().fire(population, current, timesteps, VMAX).spikes
    once = at_once(population, timesteps)
    for backend in (ReferenceBackend(), SimulatorBackend(threads=1)):
        summed = backend.fire(once, current.sum(axis=0, dtype=np.int32)[None], 1, VMAX).spikes
        assert np.array_equal(summed[0], window.sum(axis=0, dtype=np.int32))


def test_a_bias_that_fills_the_membrane_in_a_few_steps_fills_it_at_once() -> None:
    """Four times the bias is 2^32."""
    full = replace(neurons(8, phi=63), bias=np.full(8, 2**30, np.int32))
    silent = np.zeros((4, 1, 8), np.int32)
    window = ReferenceBackend().fire(full, silent, 4, VMAX)
    once = ReferenceBackend().fire(at_once(full, 4), silent[:1], 1, VMAX)
    assert np.array_equal(once.spikes[0], window.spikes.sum(axis=0, dtype=np.int32))
    assert np.array_equal(once.membrane, window.membrane)


@pytest.mark.parametrize(("weight", "exponent"), [(3, 0), (127, 14), (-127, 14)])
def test_summed_current_is_the_sum_of_all_steps(weight: int, exponent: int) -> None:
    """127·2^14·4 fits 32 bits by far; 200 steps of it do not, and stay at their largest."""
    timesteps, sink = 200, neurons(1)
    weights = np.full((1, 4), weight, np.int8)
    connection = Connection("s", "n", (Dense(weights),), exponent)
    payloads = np.random.default_rng(0).integers(0, 2, (timesteps, 3, 4), dtype=np.int8)
    payloads[:, 0] = 1
    exact = (payloads.sum(axis=(0, 2), dtype=np.int64) * weight) << exponent
    sums = {"s": payloads.sum(axis=0, dtype=np.int16)[None]}
    found = summed_current(SimulatorBackend(), sink, [connection], sums, timesteps)
    assert found.shape == (1, 3, 1)
    assert found.dtype == np.int32
    assert np.array_equal(found[0, :, 0], exact.clip(1 - 2**31, 2**31 - 1))


def graph_of(options: CompileOptions) -> Graph:
    return convert(load_graph(small_cnn()), options)


@pytest.mark.parametrize(
    ("options", "suffice"),
    [
        (CompileOptions(timesteps=8, phi=1, windowed=True), True),
        (CompileOptions(timesteps=17, phi=15, windowed=True), True),
        (CompileOptions(timesteps=32, phi=8, windowed=True), False),
        (CompileOptions(timesteps=8, phi=1), False),
        (CompileOptions(timesteps=8, windowed=True, weight_calibration="fit"), False),
        (CompileOptions(windowed=True, search=SearchOptions(phi=True, energy_ratio=0.5)), False),
    ],
)
def test_sums_suffice_where_no_one_reads_single_steps(
    options: CompileOptions, suffice: bool
) -> None:
    assert sums_suffice(graph_of(options), options) is suffice


def test_one_population_without_a_window_needs_single_steps() -> None:
    options = CompileOptions(timesteps=8, phi=1, windowed=True)
    graph = graph_of(options)
    (firing,) = [node.name for node in graph if node.neuron and node.neuron.kind == "adafire"]

    def plain(node: Node) -> Node:
        if node.name != firing or node.neuron is None:
            return node
        return node.updated(neuron=replace(node.neuron, windowed=False))

    assert not sums_suffice(graph.mapped(plain), options)


@pytest.mark.parametrize("potentials", [False, True])
@pytest.mark.parametrize(("timesteps", "phi"), [(8, 1), (4, 5)])
def test_calibration_on_sums_gives_the_program_of_calibration_on_steps(
    monkeypatch: pytest.MonkeyPatch, timesteps: int, phi: int, *, potentials: bool
) -> None:
    options = CompileOptions(
        timesteps=timesteps, phi=phi, windowed=True, potential_calibration=potentials
    )
    images = np.random.default_rng(0).normal(0, 1, (32, 2, 8, 8)).astype(np.float32)

    def program() -> Program:
        return compile_graph(load_graph(small_cnn()), images, options, SimulatorBackend()).program

    on_sums = program()
    monkeypatch.setattr(walk, "sums_suffice", lambda graph, options: False)
    assert program().digest == on_sums.digest


def test_sums_need_a_fraction_of_the_memory() -> None:
    windowed = CompileOptions(timesteps=32, phi=1, windowed=True, memory_bytes=2**26)
    plain = replace(windowed, windowed=False)
    many, few = (walk.images_within_memory(graph_of(each), each) for each in (windowed, plain))
    assert many > 6 * few
