"""A network that is windowed throughout equals an integer-quantised ANN, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_models import small_cnn

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.frontend.load import load_graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.populations import AdaFire, Readout
from spikec.compiler.program import Program


def compiled(timesteps: int, phi: int) -> Program:
    options = CompileOptions(timesteps=timesteps, phi=phi, windowed=True)
    images = np.random.default_rng(0).normal(0, 1, (32, 2, 8, 8)).astype(np.float32)
    return compile_graph(load_graph(small_cnn()), images, options, SimulatorBackend()).program


def quantised_ann(program: Program, inputs: np.ndarray) -> np.ndarray:
    """Integer activations in φT + 1 levels, layer by layer, without any time step."""
    steps = program.timesteps
    activations = {program.input.name: inputs * steps}
    for population in program.populations[1:]:
        connections = program.into(population.name)
        levels = {c.source: activations[c.source][None] for c in connections}
        sums = ReferenceBackend().currents(population, connections, levels)[0].astype(np.int64)
        assert isinstance(population, AdaFire | Readout)
        sums = sums + steps * population.bias.astype(np.int64)
        if isinstance(population, Readout):
            return sums
        charge = sums + population.initial
        activations[population.name] = np.clip(
            charge // population.threshold, 0, population.phi * steps
        )
    raise AssertionError("a program ends in a read-out")


@pytest.mark.parametrize(("timesteps", "phi"), [(1, 1), (4, 1), (8, 3), (16, 15)])
def test_the_read_out_is_that_of_the_quantised_ann(timesteps: int, phi: int) -> None:
    program = compiled(timesteps, phi)
    inputs = np.random.default_rng(1).integers(-127, 128, (5, 2, 8, 8))
    run = SimulatorBackend().run(program, inputs)
    assert not any(counts.saturations.any() for counts in run.populations.values())
    assert np.array_equal(run.readout[:, -1], quantised_ann(program, inputs))
