"""Potentials that are proved to stay within ±vmax are not clipped; all others are."""

from __future__ import annotations

import numpy as np
import pytest
from equal_runs import assert_equal, names
from machine_code import LEVELS

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.fire import Fire as Firing
from spikec.backends.simulator.events.machine import Level
from spikec.compiler.connections import Connection, Dense
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, Readout
from spikec.compiler.program import Program

STEPS = 4
VMAX = 2**15 - 1
ONE = np.ones(1)
WAYS = [*((rule, False) for rule in Fire), (Fire.PLAIN, True), (Fire.SIGNED, True)]


def program(rule: Fire, threshold: int, grown: int, bias: int, *, windowed: bool) -> Program:
    """A neuron that receives at most so much at a step: from a source that fires if told to."""
    source = AdaFire("source", (1,), ONE, 0 * ONE, 0 * ONE, 1, Fire.PLAIN, False, ONE)
    sink = AdaFire(
        "sink", (1,), threshold * ONE, bias * ONE, 0 * ONE, 1, rule, windowed, ONE
    )  # fmt: skip
    weight = np.array([[1]], np.int8)
    exponent = (grown - abs(bias)).bit_length() - 1
    assert 2**exponent == grown - abs(bias)
    return Program(
        (
            Input("input", (1,), 8, ONE, ONE, 0 * ONE, Coding.FRAMES),
            source,
            sink,
            Readout("scores", (1,), np.zeros(1, np.int32), ONE),
        ),
        (
            Connection("input", "source", (Dense(weight),)),
            Connection("source", "sink", (Dense(weight),), exponent),
            Connection("sink", "scores", (Dense(weight),)),
        ),
        STEPS,
        membrane_bits=16,
    )


def clips(found: Program, level: Level | None) -> bool:
    """Whether the sink's potentials are clipped, in a plan whose runs are the reference's."""
    engine = EventEngine(1, 2**30, level)
    inputs = np.array([[[1]] * STEPS, [[1], [0], [1], [1]], [[0]] * STEPS])
    expected = ReferenceBackend().run(found, inputs, record=names(found))
    assert_equal(engine.run(found, inputs, record=names(found)), expected)
    layer = next(x for x in engine.prepare(found, names(found)).layers if x.name == "sink")
    kernels = [call.kernel for call in layer.phases["step"]]
    return any(kernel.clip for kernel in kernels if isinstance(kernel, Firing))


@LEVELS
@pytest.mark.parametrize(("rule", "windowed"), WAYS)
@pytest.mark.parametrize("bias", [0, 3, -3])
def test_the_clip_goes_exactly_where_no_potential_can_leave(
    rule: Fire, windowed: bool, bias: int, level: Level | None
) -> None:
    grown = 4096 + abs(bias)
    largest = VMAX - STEPS * grown
    for threshold, clipped in ((1, False), (largest, False), (largest + 1, True)):
        found = program(rule, threshold, grown, bias, windowed=windowed)
        assert clips(found, level) == clipped


@LEVELS
def test_what_can_leave_is_clipped_and_counted(level: Level | None) -> None:
    found = program(Fire.PLAIN, 30000, 2**14, 0, windowed=True)
    assert clips(found, level)
    inputs = np.ones((1, STEPS, 1), np.int64)
    run = EventEngine(1, 2**30, level).run(found, inputs)
    assert run.populations["sink"].saturations.tolist() == [[0, 1, 1, 1]]
