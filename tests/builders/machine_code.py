"""Runs single kernels on NumPy arrays."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from spikec.backends.simulator.events.kernels import KernelLibrary, KernelSpec
from spikec.backends.simulator.events.machine import Level, Machine, host_machine
from spikec.compiler.errors import OptionError

Array = NDArray[np.generic]


class Kernel(KernelSpec, Protocol):
    """A spec that names its arguments."""

    @property
    def operands(self) -> tuple[str, ...]: ...

    @property
    def scalars(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Operand:
    """An array, where in it the first pixel lies, and what moves it, in bytes."""

    array: Array
    offset: int = 0
    image: int = 0
    block: int = 0
    step: int = 0

    def numbers(self) -> tuple[int, int, int, int]:
        return self.array.ctypes.data + self.offset, self.image, self.block, self.step


@dataclass(frozen=True)
class Call:
    """A kernel with its arguments, by name; missing numbers are 0, as in a plan."""

    spec: Kernel
    operands: Mapping[str, Operand]
    scalars: Mapping[str, int] = field(default_factory=dict)

    def arguments(self) -> NDArray[np.int64]:
        numbers = [n for name in self.spec.operands for n in self.operands[name].numbers()]
        scalars = [self.scalars.get(name, 0) for name in self.spec.scalars]
        return np.array([*numbers, *scalars], np.int64)

    def run(self, machine: Machine, image: int = 0, block: int = 0, step: int = 0) -> None:
        arguments = self.arguments()
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address(self.spec, machine))
        function(arguments.ctypes.data, image, block, step)


def address(spec: KernelSpec, machine: Machine) -> int:
    """Where the machine code of a spec is."""
    return library(machine).load([spec])[spec]


@functools.cache
def library(machine: Machine) -> KernelLibrary:
    return KernelLibrary(machine)


@functools.cache
def machines() -> tuple[Machine, ...]:
    """What this machine can be restricted to, the widest vectors first."""
    found = []
    for level in (Level.AVX512, Level.AVX2, Level.SSE, Level.GENERIC):
        try:
            found.append(host_machine(level))
        except OptionError:
            continue
    return tuple(found)


EACH_MACHINE = pytest.mark.parametrize("machine", machines(), ids=lambda m: f"{m.lanes} lanes")
LEVELS = pytest.mark.parametrize("level", [None, Level.GENERIC], ids=["host", "generic"])
"""What an engine may be restricted to: nothing, or the instructions that every processor has."""


def pack(flags: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Bits along the last axis, the lowest first."""
    return np.packbits(flags, axis=-1, bitorder="little")
