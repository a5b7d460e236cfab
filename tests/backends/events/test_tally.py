"""Exact counts against sums over all neurons in plain int64."""

from __future__ import annotations

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand, pack
from numpy.typing import NDArray

from spikec.backends.simulator.events.machine import Machine
from spikec.backends.simulator.events.tally import RUN, Tally

Int = NDArray[np.int64]


def runs_of(classes: Int) -> NDArray[np.int32]:
    """Runs of pixels of equal class, none too long, alternately neighbours and every third one."""
    runs: list[tuple[int, int, int, int]] = []
    left = dict.fromkeys(range(len(classes)))
    while left:
        first, step = next(iter(left)), 1 + 2 * (len(runs) % 2)
        pixel = first
        while pixel in left and classes[pixel] == classes[first] and pixel < first + step * RUN:
            del left[pixel]
            pixel += step
        runs.append((first, (pixel - first) // step, int(classes[first]), step))
    return np.array(runs, np.int32)


def counted(n: Int, classes: Int, table: Int, payload: int, machine: Machine) -> tuple[Int, Int]:
    """Events and spikes as the kernel counts them; the results' old contents do not matter."""
    channels = n.shape[1]
    lanes = 2 * machine.lanes if channels % (2 * machine.lanes) == 0 else machine.lanes
    most = int(expected(np.ones_like(n), classes, table)[0].max()) * max(1, int(np.abs(n).max()))
    spec = Tally(lanes, payload, table.shape[1], most < 2**31)
    runs, kinds = runs_of(classes), len(table)
    arrays = {
        "bits": np.pad(pack(n != 0), ((0, 0), (0, 3))),
        "payloads": n.astype(f"i{max(payload, 8) // 8}"),
        "runs": runs,
        "table": table.astype(np.int32),
        "counts": np.full((kinds, channels), 7, np.int32),
        "events": np.full(table.shape[1], 7, np.int64),
        "spikes": np.full(table.shape[1], 7, np.int64),
    }
    sizes = {"padded": channels, "runs": len(runs), "classes": kinds}
    pitches = {f"{name}_pixel": arrays[name].strides[0] for name in ("bits", "payloads")}
    operands = {name: Operand(array) for name, array in arrays.items()}
    Call(spec, operands, sizes | pitches).run(machine)
    events: Int = arrays["events"].astype(np.int64)
    return events, arrays["spikes"].astype(np.int64) if payload else events


def expected(n: Int, classes: Int, table: Int) -> tuple[Int, Int]:
    """Σ table · (n ≠ 0) and Σ table · |n| per column."""
    worth = table[classes]  # pixel, column, channel
    fired, sizes = (n != 0).astype(np.int64), np.abs(n)
    return np.einsum("pc,pkc->k", fired, worth), np.einsum("pc,pkc->k", sizes, worth)


@EACH_MACHINE
@pytest.mark.parametrize("payload", [0, 8, 16, 32])
@pytest.mark.parametrize(("pixels", "vectors"), [(1, 1), (1, 4), (37, 2), (600, 3)])
def test_counts_are_the_sums_over_all_neurons(
    machine: Machine, payload: int, pixels: int, vectors: int
) -> None:
    rng, channels = np.random.default_rng(pixels), vectors * machine.lanes
    limit = 2 ** (payload - 1) if payload else 1
    for kinds, density, columns in ((1, 0.1, 1), (9, 0.5, 3), (4, 1.0, 7)):
        classes = np.sort(rng.integers(0, kinds, pixels))
        classes = np.where(rng.random(pixels) < 0.2, rng.integers(0, kinds, pixels), classes)
        n = rng.integers(-limit, limit, (pixels, channels)) if payload else np.ones((), np.int64)
        n = np.where(rng.random((pixels, channels)) < density, n, 0)
        table = rng.integers(0, 2**16, (kinds, columns, channels))
        events, spikes = counted(n, classes, table, payload, machine)
        np.testing.assert_array_equal((events, spikes), expected(n, classes, table))


@EACH_MACHINE
@pytest.mark.parametrize("over", [0, 1])
def test_the_largest_sums_of_31_bits_are_exact(machine: Machine, over: int) -> None:
    """All in one lane, and the same number beyond 31 bits."""
    n = np.zeros((RUN, machine.lanes), np.int64)
    n[:, 3] = 1
    table = np.zeros((1, 1, machine.lanes), np.int64)
    table[0, 0, 3] = (2**31 - 1) // RUN + over
    events, _ = counted(n, np.zeros(len(n), np.int64), table, 0, machine)
    assert events.tolist() == [RUN * int(table.max())]
    assert (events[0] >= 2**31) == bool(over)


@EACH_MACHINE
def test_the_longest_runs_of_the_largest_payloads_fit(machine: Machine) -> None:
    n = np.full((2 * RUN + 5, machine.lanes), -(2**15))
    table = np.full((1, 2, machine.lanes), 2**31 - 1)
    table[0, 1] = np.arange(machine.lanes)
    events, spikes = counted(n, np.zeros(len(n), np.int64), table, 16, machine)
    worth = table[0].sum(axis=1)
    np.testing.assert_array_equal(events, worth * len(n))
    np.testing.assert_array_equal(spikes, worth * len(n) * 2**15)
