"""Reference and simulator emit the same integers, whatever the plan of the simulator."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace

import numpy as np
import pytest
from equal_runs import assert_equal, names, piece
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import Case, ample_cases, cases

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.backends.simulator.backend import Engine
from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.kernels import kernel_library
from spikec.backends.simulator.events.machine import Level, host_machine
from spikec.backends.simulator.events.session import EventSession
from spikec.compiler.errors import OptionError
from spikec.compiler.populations import AdaFire, MaxPool, Readout

FULL = os.environ.get("SPIKEC_FULL") == "1"
thorough = examples(500 if FULL else 25, fresh=FULL)
most_thorough = settings(thorough, max_examples=2000 if FULL else 40)


@dataclass(frozen=True)
class Choice:
    """What decides on a plan and its order besides the program."""

    level: Level | None = None
    narrow: bool = True
    threads: int = 1
    memory: int = 2**30
    cache: int | None = None  # bytes of the second level

    def engine(self) -> EventEngine:
        """The engine that has no other choice, kept with its kernels."""
        return _engine(self)


@functools.cache
def _engine(choice: Choice) -> EventEngine:
    engine = EventEngine(choice.threads, choice.memory, choice.level, narrow=choice.narrow)
    if choice.cache is not None:
        engine.library = kernel_library(replace(engine.library.machine, l2_bytes=choice.cache))
    return engine


def levels() -> list[Level | None]:
    """Those that this machine reaches."""
    found: list[Level | None] = [None]
    for level in Level:
        try:
            host_machine(level)
        except OptionError:
            continue
        found.append(level)
    return found


CHOICES = st.builds(
    Choice,
    st.sampled_from([None, None, *levels()]),
    st.sampled_from([True, True, False]),
    st.integers(1, 2),
    st.sampled_from([1, 2**16, 2**30]),
    st.sampled_from([None, None, 2**8, 2**14]),
)


@most_thorough
@given(ample_cases(), CHOICES)
def test_the_simulator_equals_the_reference(case: Case, choice: Choice) -> None:
    record = names(case.program)
    expected = ReferenceBackend().run(case.program, case.inputs, record=record)
    assert_equal(choice.engine().run(case.program, case.inputs, record=record), expected)


@thorough
@given(cases(), st.sampled_from([Engine.EVENTS, Engine.DENSE]))
def test_every_way_to_compute_equals_the_reference(case: Case, engine: Engine) -> None:
    record = names(case.program)
    backend = SimulatorBackend(1, engine=engine)
    expected = ReferenceBackend().run(case.program, case.inputs, record=record)
    assert_equal(backend.run(case.program, case.inputs, record=record), expected)


@thorough
@given(ample_cases())
def test_images_do_not_depend_on_threads_memory_and_neighbours(case: Case) -> None:
    record = names(case.program)
    expected = SimulatorBackend(1).run(case.program, case.inputs, record=record)
    small = SimulatorBackend(3, memory_limit=1)
    assert_equal(small.run(case.program, case.inputs, record=record), expected)
    mixed = np.arange(40) % len(case.inputs)  # a whole batch of 32, and a part of one
    many = SimulatorBackend(1).run(case.program, case.inputs[mixed])
    assert_equal(many, piece(expected, mixed, slice(None)))


@thorough
@given(ample_cases(), CHOICES, st.data())
def test_time_may_go_on_in_pieces_while_images_are_dropped(
    case: Case, choice: Choice, data: st.DataObject
) -> None:
    program, engine = case.program, choice.engine()
    if any(isinstance(p, AdaFire) and p.windowed for p in program.populations):
        return  # fires after the last step only
    run = engine.run(program, case.inputs)
    session = EventSession(engine.prepare(program, frozenset()), case.inputs, choice.threads)
    left = np.arange(len(case.inputs))
    while session.done < program.timesteps and len(left):
        start = session.done
        steps = data.draw(st.integers(1, program.timesteps - start))
        assert_equal(session.advance(steps), piece(run, left, slice(start, start + steps)))
        kept = data.draw(st.lists(st.booleans(), min_size=len(left), max_size=len(left)))
        session.keep(np.flatnonzero(kept))
        left = left[kept]
        assert session.images == len(left)


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
