from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import Case, cases

from spikec.backends.base import totals_of
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.populations import Readout
from spikec.compiler.search.suffix import cut_behind


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cases(), st.data())
def test_a_suffix_on_recorded_spikes_gives_and_counts_what_the_whole_program_does(
    case: Case, data: st.DataObject
) -> None:
    backend, program = ReferenceBackend(), case.program
    names = [p.name for p in program.populations if not isinstance(p, Readout)]
    before = names[: data.draw(st.integers(1, len(names)))]
    run = backend.run(program, case.inputs, record=frozenset(before))
    whole = totals_of(program, run)
    spikes = {name: train.swapaxes(0, 1) for name, train in run.spikes.items()}
    order = [p.name for p in program.populations]
    name = max(before, key=order.index)
    suffix = cut_behind(program, name, spikes)
    found = suffix.completed(backend.totals(suffix.program, suffix.inputs), whole)
    for field in ("outputs", "events", "synaptic_events", "synaptic_spikes"):
        assert np.array_equal(getattr(found, field), getattr(whole, field)), field
