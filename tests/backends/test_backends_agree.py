"""Reference and simulator emit the same integers."""

from __future__ import annotations

import os
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_programs import Case, cases

from spikec.backends.base import BackendRun
from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.populations import AdaFire, MaxPool, Readout
from spikec.compiler.program import Program

EXAMPLES = 600 if os.environ.get("SPIKEC_FULL") == "1" else 60
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=os.environ.get("SPIKEC_FULL") != "1",
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def names(program: Program) -> frozenset[str]:
    return frozenset(population.name for population in program.populations)


def assert_equal(actual: BackendRun, expected: BackendRun) -> None:
    """Every spike, membrane, read-out potential and count."""
    np.testing.assert_array_equal(actual.readout, expected.readout)
    for kind in ("spikes", "membranes"):
        ours, theirs = getattr(actual, kind), getattr(expected, kind)
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            np.testing.assert_array_equal(ours[name], values, f"{kind} of {name}")
    assert actual.populations.keys() == expected.populations.keys()
    pairs = [(actual.populations[name], counts) for name, counts in expected.populations.items()]
    for ours, theirs in [*pairs, *zip(actual.connections, expected.connections, strict=True)]:
        for field in fields(theirs):
            np.testing.assert_array_equal(
                getattr(ours, field.name), getattr(theirs, field.name), field.name
            )


@thorough
@given(cases())
def test_the_simulator_equals_the_reference(case: Case) -> None:
    record = names(case.program)
    expected = ReferenceBackend().run(case.program, case.inputs, record=record)
    assert_equal(SimulatorBackend(1).run(case.program, case.inputs, record=record), expected)


@thorough
@given(cases())
def test_results_do_not_depend_on_threads_chunks_and_batches(case: Case) -> None:
    record = names(case.program)
    expected = SimulatorBackend(1).run(case.program, case.inputs, record=record)
    small = SimulatorBackend(3, memory_limit=1)
    assert_equal(small.run(case.program, case.inputs, record=record), expected)
    single = SimulatorBackend(1).run(case.program, case.inputs[-1:], record=record)
    np.testing.assert_array_equal(single.readout, expected.readout[-1:])
    for name, spikes in single.spikes.items():
        np.testing.assert_array_equal(spikes, expected.spikes[name][-1:])


@thorough
@given(cases())
def test_single_populations_compute_what_a_whole_run_computes(case: Case) -> None:
    program, backend = case.program, SimulatorBackend(2)
    run = ReferenceBackend().run(program, case.inputs, record=names(program))
    trains = {name: spikes.swapaxes(0, 1) for name, spikes in run.spikes.items()}
    for population in program.populations[1:]:
        into = program.into(population.name)
        current = backend.currents(population, into, {c.source: trains[c.source] for c in into})
        if isinstance(population, Readout):
            total = (current.astype(np.int64) + population.bias).cumsum(axis=0)
            np.testing.assert_array_equal(total.swapaxes(0, 1), run.readout)
            continue
        assert isinstance(population, AdaFire | MaxPool)
        for verbs in (backend, ReferenceBackend()):
            fired = verbs.fire(population, current, program.timesteps, program.vmax)
            np.testing.assert_array_equal(fired.spikes, trains[population.name])
            counts = run.populations[population.name]
            np.testing.assert_array_equal(fired.saturations, counts.saturations)
            if isinstance(population, AdaFire):
                last = run.membranes[population.name][:, -1]
                np.testing.assert_array_equal(fired.membrane, last)


@pytest.mark.parametrize("backend", [ReferenceBackend(), SimulatorBackend()])
def test_every_backend_has_its_name(backend: ReferenceBackend | SimulatorBackend) -> None:
    assert backend.name in ("reference", "simulator")
