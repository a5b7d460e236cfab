"""Sessions: time in pieces, images that leave, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from equal_runs import assert_equal, piece
from tiny_programs import tiny_program, with_population

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.backends.simulator.backend import Engine
from spikec.compiler.errors import InputError, OptionError
from spikec.compiler.populations import Fire

IMAGES = np.random.default_rng(0).integers(-127, 128, (9, 1, 4, 4))
PROGRAM = tiny_program(timesteps=12)
GOLDEN = ReferenceBackend().run(PROGRAM, IMAGES)
ENGINES = pytest.mark.parametrize("engine", [Engine.EVENTS, Engine.DENSE])


@ENGINES
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_pieces_of_time_are_those_of_the_whole_run(engine: Engine, threads: int) -> None:
    session = SimulatorBackend(threads, engine=engine).start(PROGRAM, IMAGES)
    left, random = np.arange(len(IMAGES)), np.random.default_rng(threads)
    for steps in (1, 2, 5, 3, 1):
        when = slice(session.done, session.done + steps)
        assert_equal(session.advance(steps), piece(GOLDEN, left, when))
        kept = np.flatnonzero(random.random(len(left)) < 0.7)
        session.keep(kept)
        left = left[kept]
        assert session.images == len(left)
    assert session.done == 12


@ENGINES
def test_sessions_and_runs_do_not_disturb_each_other(engine: Engine) -> None:
    backend = SimulatorBackend(2, engine=engine)
    first = backend.start(PROGRAM, IMAGES)
    first.advance(4)
    second = backend.start(PROGRAM, IMAGES[::-1])
    assert_equal(second.advance(6), piece(GOLDEN, np.arange(9)[::-1], slice(0, 6)))
    other = tiny_program(timesteps=3)
    assert_equal(backend.run(other, IMAGES), ReferenceBackend().run(other, IMAGES))
    assert_equal(backend.run(PROGRAM, IMAGES), GOLDEN)
    assert_equal(first.advance(8), piece(GOLDEN, np.arange(9), slice(4, 12)))


@ENGINES
@pytest.mark.parametrize("rule", [Fire.RETRACT, Fire.SIGNED])
def test_totals_and_counters_outlive_a_piece(engine: Engine, rule: Fire) -> None:
    program = with_population("hidden", fire=rule)
    golden = ReferenceBackend().run(program, IMAGES)
    session = SimulatorBackend(2, engine=engine).start(program, IMAGES)
    for step in range(program.timesteps):
        found = session.advance(1)
        assert_equal(found, piece(golden, np.arange(9), slice(step, step + 1)))


@ENGINES
def test_nobody_may_be_left(engine: Engine) -> None:
    session = SimulatorBackend(2, engine=engine).start(PROGRAM, IMAGES)
    session.keep(np.flatnonzero(np.zeros(9, bool)))
    assert session.images == 0
    assert session.advance(3).readout.shape == (0, 3, 3)
    nobody = SimulatorBackend(2, engine=engine).start(PROGRAM, IMAGES[:0])
    assert nobody.advance(12).readout.shape == (0, 12, 3)


@ENGINES
def test_windowed_programs_take_all_steps_at_once(engine: Engine) -> None:
    program = with_population("hidden", windowed=True)
    session = SimulatorBackend(1, engine=engine).start(program, IMAGES)
    with pytest.raises(OptionError, match="'hidden' is windowed"):
        session.advance(program.timesteps - 1)
    golden = ReferenceBackend().run(program, IMAGES)
    found = session.advance(program.timesteps)
    assert_equal(found, piece(golden, np.arange(9), slice(None)))


@ENGINES
def test_what_a_session_cannot_do_is_refused(engine: Engine) -> None:
    backend = SimulatorBackend(1, engine=engine)
    with pytest.raises(InputError):
        backend.start(PROGRAM, IMAGES[0])
    session = backend.start(PROGRAM, IMAGES)
    session.advance(10)
    for steps in (0, -1, 3):
        with pytest.raises(OptionError, match="2 of 12 are left"):
            session.advance(steps)
    refused: list[np.ndarray] = [
        np.array([2, 1]),
        np.array([2, 1], np.uint64),
        np.array([1, 1], np.uint8),
        np.array([-1]),
        np.array([9]),
        np.array([1.0]),
        np.ones(9, bool),
        np.zeros((1, 1), int),
    ]
    for positions in refused:
        with pytest.raises(OptionError, match="positions"):
            session.keep(positions)
    assert session.images == 9
