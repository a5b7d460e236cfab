"""Fetching weights leaves memory as it is, and is done where it pays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand

from spikec.backends.simulator.events.fetch import LINE, Fetch
from spikec.backends.simulator.events.kernels import kernel_library
from spikec.backends.simulator.events.layers import MOST_TOGETHER, Layer
from spikec.backends.simulator.events.machine import Machine, host_machine
from spikec.backends.simulator.events.plan import make_plan
from spikec.compiler.connections import Connection, Dense
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, Readout
from spikec.compiler.program import Program

ONE = np.ones(1)
WIDTH = 2048


@EACH_MACHINE
@pytest.mark.parametrize("lines", [0, 1, 7])
def test_fetching_writes_nothing(machine: Machine, lines: int) -> None:
    block = LINE * lines
    weights = np.arange(3 * 7 * LINE).astype(np.int8)
    before = weights.copy()
    for index in range(3):
        Call(Fetch(), {"source": Operand(weights, block=block)}, {"lines": lines}).run(
            machine, block=index
        )
    np.testing.assert_array_equal(weights, before)


def dense_layer(timesteps: int, l2_bytes: int) -> Layer:
    """A dense layer of 4 MiB of weights, planned for a cache of some size."""
    frames = Input("frames", (WIDTH,), 2, ONE, ONE, 0 * ONE, Coding.FRAMES)
    neurons = AdaFire("neurons", (WIDTH,), 9 * ONE, 0 * ONE, 0 * ONE, 1, Fire.PLAIN, False, ONE)
    again = replace(neurons, name="again")
    program = Program(
        (frames, neurons, again, Readout("scores", (1,), [0], ONE)),
        (
            Connection("frames", "neurons", ()),
            Connection("neurons", "again", (Dense(np.ones((WIDTH, WIDTH), np.int8)),)),
            Connection("again", "scores", (Dense(np.ones((1, WIDTH), np.int8)),)),
        ),
        timesteps,
    )
    library = kernel_library(replace(host_machine(), l2_bytes=l2_bytes))
    layers = make_plan(program, library, frozenset()).layers
    return next(layer for layer in layers if layer.name == "again")


def test_weights_that_stay_in_the_cache_are_left_to_the_events() -> None:
    layer = dense_layer(32, 2**24)
    assert layer.blocks > 1
    assert not layer.phases["fetch"]
    assert layer.together == 1


def test_images_share_weights_that_do_not_stay_in_the_cache() -> None:
    layer = dense_layer(32, 2**20)
    assert len(layer.phases["fetch"]) == 1
    assert 1 < layer.together <= MOST_TOGETHER
    assert dense_layer(1024, 2**20).together == 1  # lists of that length fill the cache


def test_weights_that_few_events_read_are_not_fetched() -> None:
    layer = dense_layer(4, 2**20)
    assert not layer.phases["fetch"]
    assert layer.together > 1
