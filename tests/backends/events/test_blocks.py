from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.simulator.events.blocks import Block, block_of
from spikec.backends.simulator.events.fields import Field, padded
from spikec.backends.simulator.events.links import chained
from spikec.backends.simulator.events.machine import Machine
from spikec.backends.simulator.events.patch import Tap
from spikec.backends.simulator.events.sums import Part, Width, parts_of
from spikec.compiler.connections import Connection, Conv

MACHINES = [
    Machine("x86_64", "", "+avx2,+avx512bw,+ssse3", 64, 32),
    Machine("x86_64", "", "+avx2,+ssse3", 32, 16),
    Machine("x86_64", "", "", 16, 16),
]


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("vectors", [1, 2, 4])
@pytest.mark.parametrize("width", Width)
def test_every_tap_is_added_once_and_fits_the_registers(
    kernel: int, vectors: int, width: Width
) -> None:
    taps = [Tap(k // kernel, k % kernel, k) for k in range(kernel * kernel)]
    block = Block(8, vectors, 24)
    groups = block.split(taps, width)
    assert [tap for group in groups for tap in group] == taps
    each = vectors * (1 if width is Width.NARROW else 2)
    assert all(len(group) * each <= 24 or len(group) == 1 for group in groups)


def parts(channels: int, kernel: int, narrow: bool, size: int = 8) -> tuple[Part, ...]:
    weights = np.ones((channels, 4, kernel, kernel), np.int8)
    conv = Conv(weights, (1, 1), (kernel // 2,) * 4, (1, 1))
    link = chained(Connection("a", "b", (conv,)), Field((4, size, size), 0, 1, 3), "x")[1]
    return parts_of([link], narrow=narrow)


@pytest.mark.parametrize("machine", MACHINES, ids=["wide", "avx2", "generic"])
@pytest.mark.parametrize("channels", [1, 8, 12, 33, 64, 65, 200, 512])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("narrow", [True, False])
def test_blocks_divide_the_channels(
    machine: Machine, channels: int, kernel: int, narrow: bool
) -> None:
    block = block_of(parts(channels, kernel, narrow), padded(channels), 64, machine)
    assert padded(channels) % block.channels == 0
    assert block.lanes <= machine.lanes
    assert block.lanes in (8, 16, 32)
    assert not block.paired or (block.vectors % 2 == 0 and machine is not MACHINES[2])


def test_blocks_have_room_for_pairs_of_a_row_of_taps() -> None:
    found = [block_of(parts(256, 3, True), 256, 64, machine) for machine in MACHINES]
    assert [(block.channels, block.paired) for block in found] == [
        (64, True),
        (64, True),
        (8, False),
    ]


def test_a_block_of_a_large_map_stays_in_the_cache() -> None:
    machine = replace(MACHINES[0], l2_bytes=2**20)
    small = block_of(parts(512, 1, True), 512, 64, machine)
    large = block_of(parts(512, 1, True), 512, 112 * 112, machine)
    assert large.vectors < small.vectors
    assert block_of(parts(512, 1, True), 512, 10**6, machine).vectors == 1
