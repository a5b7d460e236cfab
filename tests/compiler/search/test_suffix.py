"""What lies behind a layer gives and counts what it does in the whole program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import Case, cases

from spikec.backends.base import totals_of
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.arrays import Array
from spikec.compiler.ir import Quantized
from spikec.compiler.populations import AdaFire, Input, Readout
from spikec.compiler.program import Program
from spikec.compiler.search.suffix import Suffix, nothing_counted
from spikec.compiler.simulation import Totals

FIELDS = ("outputs", "events", "synaptic_events", "synaptic_spikes")


def cut(case: Case, draw: st.DrawFn) -> tuple[int, Suffix, dict[str, Array], Totals]:
    """A place that sends, what lies behind it, all payloads, and totals of the whole."""
    backend, program = ReferenceBackend(), case.program
    sending = [p.name for p in program.populations if not isinstance(p, Readout)]
    run = backend.run(program, case.inputs, record=frozenset(sending))
    spikes = {name: train.swapaxes(0, 1) for name, train in run.spikes.items()}
    name = draw(st.sampled_from(sending))
    at = [p.name for p in program.populations].index(name)
    before = {p.name: spikes[p.name] for p in program.populations[:at]}
    return at, Suffix(program, name, before, backend), spikes, totals_of(program, run)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cases(), st.data())
def test_recorded_payloads_give_and_count_what_the_whole_program_does(
    case: Case, data: st.DataObject
) -> None:
    at, suffix, spikes, whole = cut(case, data.draw)
    sent = spikes[case.program.populations[at].name]
    found = suffix.totals(sent, whole)
    for field in FIELDS:
        assert np.array_equal(getattr(found, field), getattr(whole, field)), field


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cases(), st.data())
def test_other_integers_behind_the_layer_count_as_they_do_in_a_whole_program(
    case: Case, data: st.DataObject
) -> None:
    at, suffix, spikes, whole = cut(case, data.draw)
    later = case.program.populations[at + 1 :]
    chosen = data.draw(st.lists(st.sampled_from(later), unique_by=lambda p: p.name))
    changed = {p.name: quicker(p, case.program) for p in chosen}
    populations = [
        changed[p.name].population if p.name in changed else p for p in case.program.populations
    ]
    other = replace(case.program, populations=tuple(populations))
    expected = ReferenceBackend().totals(other, case.inputs)
    for _ in range(2):  # the rest is made once and run again
        found = suffix.totals(spikes[case.program.populations[at].name], whole, changed)
        for field in FIELDS:
            assert np.array_equal(getattr(found, field), getattr(expected, field)), field


def quicker(population: object, program: Program) -> Quantized:
    """The population with half the threshold, or with another bias."""
    one = np.ones(1)
    assert not isinstance(population, Input)
    match population:
        case AdaFire():
            halved = np.maximum(1, population.threshold // 2)
            population = replace(population, threshold=halved)
        case Readout():
            population = replace(population, bias=population.bias // 2)
    return Quantized(population, program.into(population.name), one, one)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(cases(), st.data())
def test_counts_from_nothing_tell_the_difference_between_two_variants(
    case: Case, data: st.DataObject
) -> None:
    at, suffix, spikes, whole = cut(case, data.draw)
    sent = spikes[case.program.populations[at].name]
    nothing = nothing_counted(case.program, len(case.inputs))
    silent = np.zeros_like(sent)
    for field in FIELDS[1:]:
        differences = [
            getattr(suffix.totals(sent, before), field)
            - getattr(suffix.totals(silent, before), field)
            for before in (whole, nothing)
        ]
        assert np.array_equal(*differences), field
    assert not nothing.events.any()
