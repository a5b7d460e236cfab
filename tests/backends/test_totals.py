from __future__ import annotations

import numpy as np
from examples import examples
from hypothesis import given
from random_programs import Case, cases

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend


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
