"""Memory of runs: it is used again, grows when it must, and stays within its limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from equal_runs import assert_equal, names

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator.events import engine as engines
from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.kernels import kernel_library
from spikec.backends.simulator.events.lists import SLACK
from spikec.backends.simulator.events.workspace import Workspace, workspace_bytes
from spikec.compiler.connections import Connection, Conv, Dense
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, Readout
from spikec.compiler.program import Program

UNIT = np.ones((1, 1, 1))
LIMIT = 2**30


def wide_program(channels: int = 130, timesteps: int = 5) -> Program:
    """Two layers that read lists of events, whose lengths the input decides on."""
    random = np.random.default_rng(0)
    shape = (channels, 4, 4)
    kernel = random.integers(-9, 10, (channels, channels, 3, 3)).astype(np.int8)
    conv = Conv(kernel, (1, 1), (1,) * 4, (1, 1))
    neurons = [
        AdaFire(name, shape, 300 * UNIT, 0 * UNIT, 0 * UNIT, phi, Fire.PLAIN, False, UNIT)
        for name, phi in (("first", 1), ("second", 3))
    ]
    top = Dense(random.integers(-9, 10, (3, channels * 16)).astype(np.int8))
    return Program(
        (
            Input("image", shape, 8, UNIT, UNIT, 0 * UNIT, Coding.FRAMES),
            *neurons,
            Readout("scores", (3,), [0], np.ones(1)),
        ),
        (
            Connection("image", "first", (conv,)),
            Connection("first", "second", (conv,)),
            Connection("second", "scores", (top,)),
        ),
        timesteps,
    )


def crowded(threads: int = 1) -> EventEngine:
    """An engine of a machine whose second-level cache holds the weights of no layer."""
    engine = EventEngine(threads, LIMIT)
    engine.library = kernel_library(replace(engine.library.machine, l2_bytes=2**15))
    return engine


PROGRAM = wide_program()
ALL = names(PROGRAM)


def frames(density: float, images: int = 3) -> np.ndarray:
    random = np.random.default_rng(1)
    shape = (images, PROGRAM.timesteps, *PROGRAM.input.shape)
    return random.integers(-127, 128, shape) * (random.random(shape) < density)


def test_lists_grow_with_the_events_that_were_sent() -> None:
    engine = EventEngine(1, LIMIT)
    for density in (0, 0.01, 1, 0.3, 0, 1):
        inputs = frames(density)
        expected = ReferenceBackend().run(PROGRAM, inputs, record=ALL)
        assert_equal(engine.run(PROGRAM, inputs, record=ALL), expected)


@pytest.mark.parametrize("images", [1, 2, 3, 7, 33])
def test_images_that_share_the_fetched_weights_keep_their_own_lists(images: int) -> None:
    engine, plain = crowded(), EventEngine(1, LIMIT)
    layers = engine.prepare(PROGRAM, ALL).layers
    assert {layer.together for layer in layers if layer.lists and layer.blocks > 1} == {2}
    for density in (0.01, 1, 0.1):
        inputs = frames(density, images)
        expected = plain.run(PROGRAM, inputs, record=ALL)
        assert_equal(engine.run(PROGRAM, inputs, record=ALL), expected)


def test_a_quiet_image_does_not_shorten_the_lists_of_a_loud_one() -> None:
    inputs = np.concatenate([frames(0), frames(1), frames(0.1)])
    expected = ReferenceBackend().run(PROGRAM, inputs, record=ALL)
    for memory in (1, LIMIT):
        assert_equal(EventEngine(1, memory).run(PROGRAM, inputs, record=ALL), expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("images", [1, 7, 100])
@pytest.mark.parametrize("share", [0.5, 1, 3, 10.5, 1000])
def test_chunks_fit_into_memory_or_hold_one_image(threads: int, images: int, share: float) -> None:
    engine = EventEngine(threads, LIMIT)
    plan = engine.prepare(PROGRAM, frozenset())
    engine.memory_limit = int(share * workspace_bytes(plan, 1))
    used, size = engine._chunks(plan, images)
    assert 1 <= used <= min(threads, images)
    assert 1 <= size <= engines.MOST_IMAGES
    assert used * workspace_bytes(plan, size) <= engine.memory_limit or used == size == 1


@pytest.mark.parametrize("engine", [EventEngine(1, LIMIT), crowded()], ids=["roomy", "crowded"])
def test_what_a_workspace_takes_is_what_was_promised(engine: EventEngine) -> None:
    plan = engine.prepare(PROGRAM, ALL)
    for images in (1, 4):
        workspace = Workspace(plan, images)
        bases = {id(a.base if a.base is not None else a): a for a in workspace.buffers.values()}
        taken = sum((a.base if a.base is not None else a).nbytes for a in bases.values())
        slack = 192 * len(workspace.buffers)
        assert taken <= workspace_bytes(plan, images) + slack


def test_memory_is_kept_from_run_to_run_of_one_program() -> None:
    engine = EventEngine(1, LIMIT)
    engine.run(PROGRAM, frames(0.1, 4))
    (ready,) = engine.kept
    (workspace,) = ready.workspaces
    engine.run(PROGRAM, frames(0.1, 2))
    assert ready.workspaces == [workspace]
    engine.run(PROGRAM, frames(0.1, 6))
    assert ready.workspaces != [workspace]


def test_memory_is_kept_while_two_programs_run_by_turns() -> None:
    engine, other = EventEngine(1, LIMIT), wide_program(66)
    engine.run(PROGRAM, frames(0.1, 4))
    engine.run(other, frames(0.1, 4)[:, :, :66])
    first, second = [ready.workspaces for ready in engine.kept]
    engine.run(PROGRAM, frames(0.1, 4))
    assert [ready.workspaces for ready in engine.kept] == [second, first]
    third = wide_program(65)
    engine.run(third, frames(0.1, 4)[:, :, :65])
    assert [ready.plan.program for ready in engine.kept] == [PROGRAM, third]


def test_memory_of_another_program_is_given_up_where_both_exceed_the_limit() -> None:
    engine, other = EventEngine(1, LIMIT), wide_program(66)
    engine.run(PROGRAM, frames(0.1, 4))
    engine.memory_limit = engine.kept[0].bytes_held + 1
    engine.run(other, frames(0.1, 4)[:, :, :66])
    assert [len(ready.workspaces) for ready in engine.kept] == [0, 1]


def test_a_list_has_room_for_its_events_and_a_whole_write_behind_them() -> None:
    plan = EventEngine(1, LIMIT).prepare(PROGRAM, frozenset())
    layer = next(layer for layer in plan.layers if layer.lists)
    workspace, use = Workspace(plan, 1), layer.lists[0]
    for entries in [*range(200, 600), 5000]:
        workspace.reserve(layer, 0, entries)
        room = workspace.capacity[layer.name, 0]
        assert room >= entries + SLACK
        memory = workspace.buffers[str(use.entries.memory)]
        assert memory.nbytes >= room * use.entry // 8 * PROGRAM.timesteps


def test_no_layer_keeps_the_address_of_memory_that_is_gone() -> None:
    plan = EventEngine(1, LIMIT).prepare(PROGRAM, frozenset())
    first, second = [layer for layer in plan.layers if layer.lists][:2]
    workspace, memory = Workspace(plan, 1), str(first.lists[0].entries.memory)
    assert memory == str(second.lists[0].entries.memory)
    for entries in (1, 1000, 10_000):
        workspace.reserve(second, 0, entries)
        for layer in (first, second):
            workspace.schedule(layer)
            used = np.concatenate(workspace._bound[layer.name][1])
            assert workspace.buffers[memory].ctypes.data in used
