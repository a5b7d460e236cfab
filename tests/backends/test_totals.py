from __future__ import annotations

import numpy as np
from examples import examples
from hypothesis import given
from random_programs import Case, cases
from tiny_programs import tiny_program

from spikec.backends.base import totals_of
from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.backends.simulator.backend import Engine
from spikec.backends.simulator.dense.engine import DenseEngine
from spikec.backends.simulator.events.engine import EventEngine
from spikec.compiler.populations import AdaFire, Readout


@examples(15)
@given(cases())
def test_totals_are_the_sums_of_a_run_on_every_backend(case: Case) -> None:
    program, inputs = case.program, case.inputs
    run = ReferenceBackend().run(program, inputs)
    for backend in (ReferenceBackend(), SimulatorBackend(threads=1)):
        found = backend.totals(program, inputs)
        assert np.array_equal(found.outputs, run.readout[:, -1])
        for i, population in enumerate(program.populations):
            assert found.events[i] == run.populations[population.name].events.sum()
        for i, counts in enumerate(run.connections):
            assert found.synaptic_events[i] == counts.events.sum()
            assert found.synaptic_spikes[i] == counts.spikes.sum()


@examples(15)
@given(cases())
def test_recorded_payloads_are_those_of_a_run_on_every_backend(case: Case) -> None:
    program, inputs = case.program, case.inputs
    sending = [p.name for p in program.populations if not isinstance(p, Readout)]
    run = ReferenceBackend().run(program, inputs, record=frozenset(sending))
    whole = totals_of(program, run)
    engines = [SimulatorBackend(threads=1, engine=engine) for engine in (Engine.AUTO, Engine.DENSE)]
    for backend in (ReferenceBackend(), *engines):
        totals, trains = backend.recorded(program, inputs, sending[1:])
        assert list(trains) == sending[1:]
        for name, train in trains.items():
            assert np.array_equal(train.swapaxes(0, 1), run.spikes[name])
        for field in ("outputs", "events", "synaptic_events", "synaptic_spikes"):
            assert np.array_equal(getattr(totals, field), getattr(whole, field)), field


def test_recording_payloads_keeps_no_potentials() -> None:
    for backend in (DenseEngine(1, 2**30), EventEngine(1, 2**30)):
        program = tiny_program()
        inputs = np.zeros((2, *program.input.shape), np.int64)
        name = next(p.name for p in program.populations if isinstance(p, AdaFire))
        run = backend.run(program, inputs, record=frozenset({name}), membranes=False)
        assert set(run.spikes) == {name}
        assert not run.membranes
