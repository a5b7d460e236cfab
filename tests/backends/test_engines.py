"""The simulator's engines: which one runs, and what happens when something fails."""

from __future__ import annotations

import threading
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from equal_runs import assert_equal, names
from tiny_programs import CONNECTIONS, INPUT, tiny_program, with_population

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.backends.simulator.backend import Engine
from spikec.backends.simulator.events import engine as events
from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.images import Images
from spikec.backends.simulator.events.machine import Level, MachineCodeError, host_machine
from spikec.backends.simulator.threads import StoppedError, in_threads, slices
from spikec.compiler.connections import Connection, Conv, Dense
from spikec.compiler.errors import OptionError
from spikec.compiler.populations import AdaFire, Coding, Fire, Readout
from spikec.compiler.program import Program

IMAGES = np.random.default_rng(0).integers(-127, 128, (40, 1, 4, 4))
ALL = names(tiny_program())
GOLDEN = ReferenceBackend().run(tiny_program(), IMAGES, record=ALL)
THREADS = pytest.mark.parametrize("threads", [1, 2])
ENGINES = pytest.mark.parametrize("engine", [Engine.EVENTS, Engine.DENSE])


def refuse(*_: object, **__: object) -> None:
    raise MachineCodeError("no LLVM today")


def run_twice() -> None:
    backend = SimulatorBackend(2)
    for _ in range(2):
        assert_equal(backend.run(tiny_program(), IMAGES, record=ALL), GOLDEN)


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("level", [None, Level.GENERIC])
def test_every_engine_computes_the_same(engine: Engine, level: Level | None) -> None:
    backend = SimulatorBackend(2, engine=engine, level=level)
    assert_equal(backend.run(tiny_program(), IMAGES, record=ALL), GOLDEN)
    assert SimulatorBackend(1, engine=Engine(engine.value)).engine is engine


def test_a_level_beyond_the_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEC_SIMULATOR_CPU", "abacus")
    with pytest.raises(OptionError, match="abacus"):
        SimulatorBackend(1)
    assert SimulatorBackend(1, engine=Engine.DENSE).engine is Engine.DENSE
    assert host_machine(Level.GENERIC).lanes == 8


def test_without_machine_code_one_warning_tells_of_matrix_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "host_machine", refuse)
    with pytest.warns(RuntimeWarning, match="no LLVM today") as warned:
        run_twice()
    assert [warning.filename for warning in warned] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SimulatorBackend(1, engine=Engine.DENSE).run(tiny_program(), IMAGES)


def test_who_asks_for_events_gets_them_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    willing = SimulatorBackend(1, engine=Engine.EVENTS)
    monkeypatch.setattr(events, "make_plan", refuse)
    with pytest.raises(MachineCodeError, match="no LLVM today"):
        willing.run(tiny_program(), IMAGES)
    monkeypatch.setattr(events, "host_machine", refuse)
    with pytest.raises(MachineCodeError, match="no LLVM today"):
        SimulatorBackend(1, engine=Engine.EVENTS)


def test_a_program_without_machine_code_leads_to_matrix_products_for_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = SimulatorBackend(1)
    refused, other = tiny_program(), tiny_program()
    expected = ReferenceBackend().run(refused, IMAGES)
    with monkeypatch.context() as broken:
        broken.setattr(events, "make_plan", refuse)
        with pytest.warns(RuntimeWarning, match="no LLVM today") as warned:
            assert_equal(backend.run(refused, IMAGES), expected)
    assert [warning.filename for warning in warned] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal(backend.run(refused, IMAGES), expected)
        monkeypatch.setattr(backend, "_dense", None)
        assert_equal(backend.run(other, IMAGES), expected)


@THREADS
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_stops_all_threads_and_the_next_run_is_right(
    threads: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = SimulatorBackend(threads, engine=Engine.EVENTS)
    program = tiny_program()
    assert_equal(backend.run(program, IMAGES, record=ALL), GOLDEN)
    started: list[int] = []
    start = Images.start

    def fail_at_the_fourth(images: Images, inputs: np.ndarray) -> None:
        started.append(len(inputs))
        if len(started) == 4:
            raise error("broken")
        time.sleep(0.01)  # time to notice
        start(images, inputs)

    with monkeypatch.context() as patch:
        patch.setattr(events, "MOST_IMAGES", 1)
        patch.setattr(Images, "start", fail_at_the_fourth)
        with pytest.raises(error, match="broken"):
            backend.run(program, IMAGES, record=ALL)
    assert len(started) < len(IMAGES)
    assert threading.active_count() == 1
    assert_equal(backend.run(program, IMAGES, record=ALL), GOLDEN)


@THREADS
def test_an_error_of_who_watches_stops_all_threads(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_IMAGES", 1)
    backend, told = SimulatorBackend(threads, engine=Engine.EVENTS), []

    def interrupt(images: int) -> None:
        told.append(images)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backend.run(tiny_program(), IMAGES, progress=interrupt)
    assert told == [1]
    assert threading.active_count() == 1
    assert_equal(backend.run(tiny_program(), IMAGES, record=ALL), GOLDEN)


def test_a_thread_that_is_told_to_stop_computes_no_further_layer() -> None:
    engine, stop = EventEngine(1, 2**30), threading.Event()
    engine.run(tiny_program(), IMAGES)
    images = Images(engine.kept[0].workspaces[0])
    done: list[str] = []

    def collect(name: str) -> None:
        done.append(name)
        stop.set()

    images.start(IMAGES[:1])
    with pytest.raises(StoppedError):
        images.advance(1, range(4), stop, collect)
    assert done == ["image"]


def test_results_come_from_threads_until_one_of_them_fails() -> None:
    stop = threading.Event()
    barrier = threading.Barrier(2)

    def work(part: slice) -> int:
        if part.start < 2:
            barrier.wait()  # two threads, or this never ends
        if part.start == 1:
            raise ArithmeticError
        return part.start

    with pytest.raises(ArithmeticError):
        list(in_threads(2, work, slices(50, 1), stop))
    assert stop.is_set()
    parts = slices(7, 3)
    assert parts == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert sorted(in_threads(3, lambda part: part.start, parts, threading.Event())) == [0, 3, 6]


@THREADS
def test_a_plan_serves_its_own_program_only(threads: int) -> None:
    backend = SimulatorBackend(threads, engine=Engine.EVENTS)
    louder = with_population("hidden", phi=1)
    negated = Dense(-CONNECTIONS[2].factors[1].weights)  # type: ignore[union-attr]
    last = replace(CONNECTIONS[2], factors=(CONNECTIONS[2].factors[0], negated))
    programs = [tiny_program(), louder, tiny_program(connections=(*CONNECTIONS[:2], last))]
    longer = tiny_program(timesteps=9)
    for program in [*programs, *programs[::-1], longer, tiny_program()]:
        for record in (frozenset({"hidden"}), frozenset(), names(program)):
            expected = ReferenceBackend().run(program, IMAGES[:9], record=record)
            assert_equal(backend.run(program, IMAGES[:9], record=record), expected)


@THREADS
@ENGINES
def test_no_images_give_empty_results(threads: int, engine: Engine) -> None:
    backend = SimulatorBackend(threads, engine=engine)
    program = tiny_program()
    for images in (0, 40, 0, 3):
        run = backend.run(program, IMAGES[:images], record=ALL)
        expected = ReferenceBackend().run(program, IMAGES[:images], record=ALL)
        assert_equal(run, expected)


@ENGINES
@pytest.mark.parametrize("coding", Coding)
@pytest.mark.parametrize("channels", [2, 66])
def test_windows_that_see_only_padding_add_nothing(
    engine: Engine, coding: Coding, channels: int
) -> None:
    """1×1 windows, stride 2, on a padded map of one cell: none of them lies on the cell."""
    source = replace(INPUT, shape=(channels, 1, 1), coding=coding)
    blind = Conv(np.full((3, channels, 1, 1), 127, np.int8), (2, 2), (1, 1, 1, 1), (1, 1))
    one = np.ones((1, 1, 1))
    hidden = AdaFire("hidden", (3, 2, 2), 5 * one, 2 * one, one, 2, Fire.PLAIN, False, one)
    rest = Readout("scores", (3,), [1], np.ones(1))
    top = Dense(np.arange(36, dtype=np.int8).reshape(3, 12))
    program = Program(
        (source, hidden, rest),
        (Connection("image", "hidden", (blind,)), Connection("hidden", "scores", (top,))),
        7,
    )
    shape = (3, 7, channels, 1, 1) if coding is Coding.FRAMES else (3, channels, 1, 1)
    inputs = np.full(shape, 127)
    run = SimulatorBackend(1, engine=engine).run(program, inputs, record=names(program))
    assert_equal(run, ReferenceBackend().run(program, inputs, record=names(program)))
    assert not run.connections[0].events.any()
    assert run.populations["hidden"].spikes.sum() == 3 * 12 * ((1 + 2 * 7) // 5)


def test_populations_fire_exactly_under_any_current() -> None:
    random, one = np.random.default_rng(1), np.ones(1)
    tops = [2**30 - 1, 2**30 + 77, 2**31 - 1, 5]
    for vmax in (2**31 - 1, 2**30, 2**28, 2**28 - 1, 127):
        for rule in Fire:
            theta, b = random.integers(1, vmax, 16), random.integers(-vmax, vmax, 16)
            population = AdaFire("n", (16,), theta, b, b, 3, rule, False, one)
            current = random.choice(tops, (6, 2, 16)) * random.choice([-1, 0, 1], (6, 2, 16))
            current = current.astype(np.int32)
            ours = SimulatorBackend(2).fire(population, current, 6, vmax)
            golden = ReferenceBackend().fire(population, current, 6, vmax)
            np.testing.assert_array_equal(ours.spikes, golden.spikes)
            np.testing.assert_array_equal(ours.membrane, golden.membrane)
            np.testing.assert_array_equal(ours.saturations, golden.saturations)


def test_an_engine_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(OptionError, match="engine is 'gpu'") as caught:
        SimulatorBackend(engine="gpu")  # type: ignore[arg-type]
    assert "auto, events, dense" in caught.value.hint
