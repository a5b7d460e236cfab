"""Stacks: a sink's rows take the events of several rows of the source, as one list."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from equal_runs import assert_equal, names
from machine_code import EACH_MACHINE, Call, Operand, machines, pack

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.kernels import kernel_library
from spikec.backends.simulator.events.links import Link, chained
from spikec.backends.simulator.events.lists import COMPRESS, SLACK, Lists
from spikec.backends.simulator.events.machine import Machine
from spikec.backends.simulator.events.scatter import Scatter
from spikec.backends.simulator.events.stacks import stack_of
from spikec.compiler.connections import Connection, Conv, ConvTranspose, Factor, SumPool
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, Readout
from spikec.compiler.program import Program

UNIT = np.ones((1, 1, 1))
CHANNELS, OUT = 72, 64


def conv(
    kernel: tuple[int, int] = (3, 3),
    pads: tuple[int, int, int, int] = (1, 1, 1, 1),
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
) -> Conv:
    weights = np.random.default_rng(0).integers(-127, 128, (OUT, CHANNELS, *kernel), np.int8)
    return Conv(weights, strides, pads, dilations)


STACKED = {
    "square": conv(),
    "asymmetric": conv(pads=(2, 0, 0, 1)),
    "unpadded": conv(pads=(0, 0, 0, 0)),
    "padded widely": conv(pads=(4, 2, 3, 2)),
    "tall": conv((3, 1), (1, 0, 1, 0)),
    "even": conv((2, 3), (1, 1, 0, 1)),
    "large": conv((5, 5), (2, 2, 2, 2)),
    "dilated along rows": conv(pads=(1, 2, 1, 2), dilations=(1, 2)),
    "strided along rows": conv((3, 1), (1, 0, 1, 0), strides=(1, 2)),
}
OTHERS: dict[str, Factor] = {
    "one row": conv((1, 3), (0, 1, 0, 1)),
    "strided": conv(strides=(2, 2)),
    "strided along columns": conv(strides=(2, 1)),
    "dilated along columns": conv(pads=(2, 1, 2, 1), dilations=(2, 1)),
    "transposed": ConvTranspose(
        np.ones((CHANNELS, OUT, 3, 3), np.int8), (1, 1), (1,) * 4, (0, 0), (1, 1)
    ),
}


def program(factors: tuple[Factor, ...], shape: tuple[int, int], sink: tuple[int, int]) -> Program:
    """Frames of spikes, a layer that passes them on, and one behind the factors."""
    source, goal = (CHANNELS, *shape), (OUT, *sink)
    zero = 0 * UNIT
    frames = Input("frames", source, 8, UNIT, UNIT, zero, Coding.FRAMES)
    first = AdaFire("first", source, UNIT, zero, zero, 1, Fire.PLAIN, False, UNIT)
    second = AdaFire("second", goal, 900 * UNIT, zero, zero, 1, Fire.PLAIN, False, UNIT)
    scores = Readout("scores", goal, zero.astype(np.int32), UNIT)
    return Program(
        (frames, first, second, scores),
        (
            Connection("frames", "first", ()),
            Connection("first", "second", factors),
            Connection("second", "scores", ()),
        ),
        4,
    )


def sink_of(factor: Conv, shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a convolution's result, as ONNX defines them."""
    rows, columns = (
        (
            shape[axis]
            + factor.pads[axis]
            + factor.pads[axis + 2]
            - factor.dilations[axis] * (factor.weights.shape[axis + 2] - 1)
            - 1
        )
        // factor.strides[axis]
        + 1
        for axis in range(2)
    )
    return rows, columns


def equal(tested: Program, machine: Machine) -> set[int]:
    """Run on a machine and on the reference; what spans the kernels had."""
    shape = (2, tested.timesteps, *tested.input.shape)
    random = np.random.default_rng(1)
    inputs = (random.random(shape) < 0.2).astype(np.int8)
    engine = EventEngine(1, 2**30)
    engine.library = kernel_library(machine)
    record = names(tested)
    expected = ReferenceBackend().run(tested, inputs, record=record)
    assert expected.spikes["second"].any()
    assert_equal(engine.run(tested, inputs, record=record), expected)
    calls = [c for layer in engine.prepare(tested, record).layers for c in layer.phases["step"]]
    return {call.kernel.span for call in calls if isinstance(call.kernel, Scatter)}


@EACH_MACHINE
@pytest.mark.parametrize("shape", [(4, 4), (7, 5), (1, 6), (6, 2)], ids=str)
@pytest.mark.parametrize("factor", STACKED.values(), ids=STACKED)
def test_rows_that_take_events_of_stacks_equal_the_reference(
    factor: Conv, shape: tuple[int, int], machine: Machine
) -> None:
    sink = sink_of(factor, shape)
    if min(sink) < 1:
        return
    equal(program((factor,), shape, sink), machine)


def test_patches_that_have_no_room_in_the_registers_become_stacks() -> None:
    spans = {m.lanes: equal(program((conv(),), (5, 4), (5, 4)), m) for m in machines()}
    assert all(found == ({3} if lanes == 16 else found) for lanes, found in spans.items())
    assert spans.get(32, {0}) == {0}


@EACH_MACHINE
def test_windows_of_a_pool_are_stacked_like_pixels(machine: Machine) -> None:
    pool = SumPool((2, 2), (2, 2), (0,) * 4, (1, 1))
    equal(program((pool, conv()), (8, 6), (4, 3)), machine)


def link_of(factor: Factor, field: Field) -> Link:
    return chained(Connection("a", "b", (factor,)), field, "x")[1]


FIELD = Field((CHANNELS, 6, 7), 0, 1, 3)


@pytest.mark.parametrize("factor", STACKED.values(), ids=STACKED)
def test_a_stack_leads_every_weight_to_the_row_that_it_has_in_the_window(factor: Conv) -> None:
    link = link_of(factor, FIELD)
    stack, rows = stack_of(link), sink_of(factor, (6, 7))[0]
    assert stack is not None
    assert (stack.span, stack.before) == (factor.weights.shape[2], factor.pads[0])
    assert stack.column(rows) >= rows + stack.span - 1
    assert stack.column(rows) >= stack.before + 6


@pytest.mark.parametrize("factor", OTHERS.values(), ids=OTHERS)
def test_other_windows_are_no_stacks(factor: Factor) -> None:
    assert stack_of(link_of(factor, FIELD)) is None


def test_payloads_words_and_channels_beyond_an_entry_are_no_stacks() -> None:
    assert stack_of(link_of(conv(), FIELD)) is not None
    assert stack_of(link_of(conv(), replace(FIELD, high=2))) is None
    narrow = Conv(np.ones((OUT, 64, 3, 3), np.int8), (1, 1), (1,) * 4, (1, 1))
    assert stack_of(link_of(narrow, Field((64, 6, 7), 0, 1, 3))) is None
    for channels, fits in ((21824, True), (21888, False)):
        wide = Conv(np.ones((1, channels, 3, 3), np.int8), (1, 1), (1,) * 4, (1, 1))
        assert (stack_of(link_of(wide, Field((channels, 6, 7), 0, 1, 3))) is not None) == fits


@EACH_MACHINE
@pytest.mark.parametrize("density", [0, 0.1, 1])
@pytest.mark.parametrize("margins", [(0, 0), (1, 1), (3, 2)])
def test_lists_of_stacks_go_down_the_columns(
    machine: Machine, density: float, margins: tuple[int, int]
) -> None:
    channels, (rows, columns), (before, after) = 192, (3, 4), margins
    events = np.random.default_rng(3).random((rows, columns, channels)) < density
    down = [events[row, column] for column in range(columns) for row in range(rows)]
    listed = [np.flatnonzero(e) * 3 + k % rows for k, e in enumerate(down)]
    sizes = np.array([len(entries) for entries in listed]).reshape(columns, rows)
    ends = np.pad(sizes, [(0, 0), margins]).cumsum()
    for compressed in {False, machine.has(COMPRESS)}:
        positions = np.full(ends.size + 1, -5, np.int32)
        entries = np.full(ends[-1] + SLACK, -7, np.int16)
        arrays = {"bits": pack(events), "positions": positions, "entries": entries, "masks": events}
        numbers = {
            "rows": columns, "columns": rows, "words": channels // 64, "before": before,
            "after": after, "row_bytes": channels // 8, "column_bytes": columns * channels // 8,
            "window_rows": 1, "window_columns": 1, "window_row_bytes": 0,
        }  # fmt: skip
        operands = {name: Operand(array) for name, array in arrays.items()}
        Call(Lists(16, False, compressed, 3), operands, numbers).run(machine)
        assert positions.tolist() == [0, *ends.tolist()]
        np.testing.assert_array_equal(entries[: ends[-1]], np.concatenate(listed))
