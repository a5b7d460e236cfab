"""Plans: what layers share, what is kept, and when memory is free again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from equal_runs import names
from examples import examples
from hypothesis import given
from random_programs import Case, ample_cases

from spikec.backends.simulator.events.driver import PHASES
from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.kernels import kernel_library
from spikec.backends.simulator.events.machine import host_machine
from spikec.backends.simulator.events.plan import Building, Plan, make_plan
from spikec.compiler.connections import Connection, Conv, Dense, GlobalSum, Identity
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, Readout
from spikec.compiler.program import Program

UNIT = np.ones((1, 1, 1))


def chain(layers: int, coding: Coding = Coding.DIRECT, width: int = 6) -> Program:
    """An image, equal convolutions one behind the other, with a skip over each, and scores."""
    shape = (8, width, width)
    kernel = np.random.default_rng(0).integers(-9, 10, (8, 8, 3, 3)).astype(np.int8)
    conv = Conv(kernel, (1, 1), (1,) * 4, (1, 1))
    order = ["image", *(f"layer{index}" for index in range(layers))]
    neurons = [
        AdaFire(name, shape, 90 * UNIT, UNIT, UNIT, 1, Fire.PLAIN, False, UNIT)
        for name in order[1:]
    ]
    skip = Identity(np.arange(8, dtype=np.int8))
    top = (GlobalSum(), Dense(np.ones((2, 8), np.int8)))
    return Program(
        (
            Input("image", shape, 8, UNIT, UNIT, 0 * UNIT, coding),
            *neurons,
            Readout("scores", (2,), [0], np.ones(1)),
        ),
        (
            *(Connection(a, b, (conv,)) for a, b in pairwise(order)),
            *(Connection(a, b, (skip,)) for a, b in zip(order, order[2:], strict=False)),
            Connection(order[-1], "scores", top),
        ),
        6,
    )


def planned(program: Program, record: frozenset[str] = frozenset(), *, narrow: bool = True) -> Plan:
    return make_plan(program, kernel_library(host_machine()), record, narrow=narrow)


def test_equal_layers_share_their_kernels() -> None:
    few, many = planned(chain(3)), planned(chain(12))
    assert few.addresses == many.addresses
    assert len(many.layers) == 12 + 2


def test_maps_of_another_size_share_their_kernels() -> None:
    assert planned(chain(3, width=24)).addresses == planned(chain(3, width=32)).addresses


def test_payloads_live_until_their_last_reader() -> None:
    plan = planned(chain(4))
    order = [layer.name for layer in plan.layers]
    assert order == ["image", "layer0", "layer1", "layer2", "layer3", "scores"]
    expected = {"image": (0, 2), "layer0": (1, 3), "layer1": (2, 4), "layer2": (3, 4)}
    assert plan.lifetimes == {**expected, "layer3": (4, 5)}
    # Three maps live at once, however long the chain is.
    sizes = [planned(chain(layers)).sizes["image"] for layers in (20, 21, 22)]
    results = 6 * 8 + 2 * 6 * 8 * 5  # saturations; events and sums of two connections
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1]
    assert sizes[2] - sizes[1] <= results


@pytest.mark.parametrize("coding", Coding)
def test_an_input_that_stays_the_same_is_kept_once(coding: Coding) -> None:
    plan = planned(chain(2, coding))
    steady = coding is Coding.DIRECT
    assert plan.fields["image"].steps == (1 if steady else 6)
    first = plan.layers[1]
    assert bool(first.phases["constant"]) or not steady
    gathered = len(first.phases["step"])
    assert gathered < len(plan.layers[2].phases["step"]) or not steady


def test_only_what_is_recorded_leaves_a_trace() -> None:
    results = planned(chain(3), frozenset({"layer1", "image"})).results
    assert [name for name in results if name.startswith("trace:")] == ["trace:layer1"]


def test_an_engine_plans_again_for_another_program_or_record() -> None:
    engine, program = EventEngine(1, 2**30), chain(2)
    first = engine.prepare(program, frozenset())
    assert engine.prepare(program, frozenset()) is first
    second = engine.prepare(program, frozenset({"layer0"}))
    assert second is not first
    assert engine.prepare(program, frozenset({"layer0"})) is second
    other = chain(2)
    assert engine.prepare(other, frozenset({"layer0"})).program is other
    assert engine.prepare(program, frozenset({"layer0"})) is second
    assert engine.prepare(program, frozenset()) is not first


def test_sums_of_32_bits_are_asked_for_once() -> None:
    for narrow in (True, False):
        layers = planned(chain(2, Coding.FRAMES), narrow=narrow).layers
        scratch = {name for layer in layers for name in layer.scratch}
        assert ("narrow" in scratch) == narrow


UNUSED = {
    *(("Channelwise", "weights"), ("Relay", "payloads"), ("Scatter", "entries")),
    *(("Scatter", "payloads"), ("Scatter", "payloads_row"), ("Scatter", "payloads_pixel")),
}
"""What a kernel names and does not read: unit weights, no lists, no payloads."""


@examples(60)
@given(ample_cases())
def test_every_kernel_gets_all_that_it_reads(case: Case) -> None:
    building = Building(case.program, host_machine(), names(case.program), True)
    for layer in building.layers():
        for call in (call for phase in PHASES for call in layer.phases[phase]):
            wanted = {*call.kernel.operands, *call.kernel.scalars}
            kind = type(call.kernel).__name__
            missing = {(kind, name) for name in wanted - call.places.keys() - call.numbers.keys()}
            assert missing <= UNUSED
