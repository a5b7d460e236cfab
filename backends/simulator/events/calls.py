"""Calls: kernels with what they work on, before there are addresses."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from llvmlite import ir

from spikec.compiler.arrays import Array


class Kernel(Hashable, Protocol):
    """The spec of a kernel; its fields determine the code, its name is the symbol."""

    @property
    def name(self) -> str:
        """The symbol."""
        ...

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands, in the order of the arguments."""
        ...

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers behind the operands."""
        ...

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        ...


@dataclass(frozen=True, eq=False)
class Place:
    """Where an operand lies.

    Attributes:
        memory: An array of constants, or the name of a buffer.
        offset: Bytes from its beginning.
        image: Bytes from an image to the next.
        block: Bytes from a block of channels to the next.
        step: Bytes from a step to the next.
    """

    memory: Array | str
    offset: int = 0
    image: int = 0
    block: int = 0
    step: int = 0


@dataclass(frozen=True, eq=False)
class Call:
    """One pass of a schedule.

    Attributes:
        kernel: What to do.
        places: Its operands by name; those that it does not use may be missing.
        numbers: Its scalars by name; missing ones are 0.
    """

    kernel: Kernel
    places: Mapping[str, Place]
    numbers: Mapping[str, int] = field(default_factory=dict)
