"""The driver calls kernels in the documented order."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from machine_code import address, machines

from spikec.backends.simulator.events.driver import PHASES, Driver

Trace = list[tuple[int, ...]]
KERNEL = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


def expected(
    passes: Mapping[str, tuple[int, ...]], blocks: int, groups: list[range], steps: range
) -> Iterator[tuple[int, ...]]:
    """(arguments, image, block, step) of every call, as the driver's text orders them."""
    for index, images in enumerate(groups):
        yield from ((p, i, 0, t) for i in images for t in steps for p in passes["before"])
        for block in range(blocks) if index % 2 == 0 else reversed(range(blocks)):
            if index == 0:
                yield from ((p, images[0], block, 0) for p in passes["fetch"])
            for image in images:
                yield from block_calls(passes, image, block, steps)
        yield from ((p, i, 0, t) for i in images for t in steps for p in passes["after"])


def block_calls(
    passes: Mapping[str, tuple[int, ...]], image: int, block: int, steps: range
) -> Iterator[tuple[int, ...]]:
    """Those of an image for a block."""
    yield from ((p, image, block, t) for t in steps for p in passes["prepare"])
    if steps.start == 0:
        yield from ((p, image, block, 0) for p in passes["start"])
    yield from ((p, image, block, 0) for p in passes["constant"])
    for phase in ("step", "release"):
        yield from ((p, image, block, t) for t in steps for p in passes[phase])


@pytest.mark.parametrize(
    "lengths", [(1,) * 8, (0,) * 8, (2, 1, 0, 1, 3, 2, 0, 1), (0, 0, 3, 2, 0, 1, 2, 0)]
)
@pytest.mark.parametrize("steps", [range(0, 3), range(2, 5), range(4, 4)])
@pytest.mark.parametrize("together", [1, 2, 5])
def test_kernels_run_in_the_order_of_the_schedule(
    lengths: tuple[int, ...], steps: range, together: int
) -> None:
    calls: Trace = []
    kernel = KERNEL(lambda *arguments: calls.append(arguments))
    function = ctypes.cast(kernel, ctypes.c_void_p).value or 0
    ends = np.cumsum(lengths)
    passes = {p: tuple(range(e - n, e)) for p, n, e in zip(PHASES, lengths, ends, strict=True)}
    entries = [number for n in range(sum(lengths)) for number in (function, n)]
    for blocks, images in ((2, range(1, 4)), (1, range(5, 5)), (3, range(0, 1))):
        schedule = np.array([blocks, together, *lengths, *entries], np.int64)
        drive = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)(address(Driver(), machines()[-1]))
        calls.clear()
        drive(schedule.ctypes.data, images.start, len(images), steps.start, steps.stop)
        groups = [images[first : first + together] for first in range(0, len(images), together)]
        assert calls == list(expected(passes, blocks, groups, steps))
