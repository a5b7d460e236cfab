"""Schedules: what the driver is given, and the driver as a function."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from spikec.backends.simulator.events.driver import PHASES
from spikec.compiler.arrays import Int64

Drive = Callable[[int, int, int, int, int], None]
"""(schedule, first image, images, first step, last step)."""

_DRIVE = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)


def drive_at(address: int) -> Drive:
    """The driver at an address; it runs without the interpreter's lock."""
    drive: Drive = _DRIVE(address)
    return drive


def schedule_of(
    blocks: int, passes: Mapping[str, Sequence[tuple[int, Int64]]], together: int = 1
) -> Int64:
    """The driver's schedule, int64; the arguments must outlive it.

    Args:
        blocks: Blocks of channels.
        passes: Address of the kernel and arguments of every pass, by phase.
        together: Images that go through the blocks together.
    """
    lists = [passes.get(phase, ()) for phase in PHASES]
    flat = [
        number
        for phase in lists
        for address, arguments in phase
        for number in (address, int(arguments.ctypes.data))
    ]
    return np.array([blocks, together, *map(len, lists), *flat], np.int64)
